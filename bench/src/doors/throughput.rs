//! How much one TCP connection carries through a door, and without one.
//!
//! A veth without an XDP program hands over packets of 64 KiB that no wire would carry, and one with an XDP
//! program does not. So what sends is kept from making them in all variants, and what receives joins packets
//! in all of them, as network cards do.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::programs::{Xdp, XdpMode};
use ruroco_common::doors::LeaseKey;
use ruroco_lab::{
    attacker::{self, Offload},
    network::{CLIENT, CLIENT_INTERFACE, Family, Network, SERVER, SERVER_INTERFACE},
};
use serde::Serialize;

use super::TCP_PORT;
use crate::{
    cpu::on,
    generator::{GENERATOR_CPU, RECEIVER_CPU},
    kernel::Own,
    paths::Paths,
    scale::Scale,
    statistics::Summary,
};

/// How long a connection in the lab may take, or stand still.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes a second, and the ratios within each round.
#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    pub(super) without: Summary,
    pub(super) empty: Summary,
    pub(super) door: Summary,
    /// Of the door to no program.
    pub(super) to_without: Ratio,
    /// Of the door to an empty program.
    pub(super) to_empty: Ratio,
    /// As this machine's veth does it without a program, with packets that no wire would carry.
    pub(super) joined: Summary,
}

/// A ratio with its spread: a quarter of all rounds lies below the lower quartile, a quarter above the upper one.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    pub(super) lower: f64,
    pub(super) median: f64,
    pub(super) upper: f64,
}

impl Ratio {
    fn of(over: &[f64], under: &[f64]) -> Option<Self> {
        let mut all: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
        all.sort_by(f64::total_cmp);
        let at = |percent| crate::statistics::percentile(&all, percent);
        Some(Self { lower: at(25)?, median: at(50)?, upper: at(75)? })
    }
}

/// Takes every measurement.
pub(super) fn measure(paths: &Paths, scale: &Scale) -> Result<Throughput> {
    let network = Network::new();
    let index = attacker::interface_index(&network.server, SERVER_INTERFACE);
    let listener = network.server.enter(|| TcpListener::bind((SERVER.v4, TCP_PORT)))?;
    let mut door = super::kernel()?;
    let key = LeaseKey { address: CLIENT.of(Family::V4).into(), door: super::name()? };
    let mut empty = Own::load(&paths.flood_object(), crate::frame::PASS)?;
    let carry = || carry(&network, &listener, scale);
    let joined: Result<Vec<f64>> = (0..scale.doors.transfer_rounds).map(|_| carry()).collect();
    let joined = joined?;
    attacker::poll(&network.server, SERVER_INTERFACE);
    for offload in [Offload::Tso, Offload::Gso] {
        attacker::set_offload(&network.client, CLIENT_INTERFACE, offload, false);
    }
    let through = |program: &mut Xdp| -> Result<f64> {
        let link = network.server.enter(|| program.attach_to_if_index(index, XdpMode::Driver));
        let link = link.context("could not attach a program")?;
        let carried = carry();
        network.server.enter(|| program.detach(link))?;
        carried
    };
    let mut times: [Vec<f64>; 3] = Default::default();
    for round in 0..scale.doors.transfer_rounds {
        // A lease admits one connection more at each knock, and so many a second.
        ensure!(door.doors()?.put(&key, &super::lease())?, "no room for a lease");
        // The first of a round is another one each time.
        for place in 0..times.len() {
            let place = (place + round) % times.len();
            times[place].push(match place {
                0 => carry()?,
                1 => through(empty.xdp_mut()?)?,
                _ => through(door.xdp_mut()?)?,
            });
        }
    }
    let [without, empty, door] = &times;
    let ratio = |over, under| Ratio::of(over, under).context("there were no rounds");
    let (to_without, to_empty) = (ratio(door, without)?, ratio(door, empty)?);
    let [without, empty, door] = times.map(|times| Summary::of(times).unwrap_or_default());
    let joined = Summary::of(joined).unwrap_or_default();
    Ok(Throughput { without, empty, door, to_without, to_empty, joined })
}

/// Bytes a second that a new connection carries from the client to the server.
fn carry(network: &Network, listener: &TcpListener, scale: &Scale) -> Result<f64> {
    let address = listener.local_addr()?;
    let near = network.client.enter(|| TcpStream::connect_timeout(&address, PATIENCE));
    let mut near = near.context("could not connect")?;
    let (far, _) = listener.accept()?;
    thread::scope(|scope| {
        let send = || {
            let content = vec![0x5a; 1 << 17];
            // Until the other end is closed.
            while near.write_all(&content).is_ok() {}
            Ok(())
        };
        let sending = scope.spawn(|| on(GENERATOR_CPU, send));
        let rate = on(RECEIVER_CPU, || receive(far, scale));
        sending.join().ok().context("the sender has ended")??;
        rate
    })
}

/// Reads for a while, from when the connection has found its speed.
fn receive(mut far: TcpStream, scale: &Scale) -> Result<f64> {
    far.set_read_timeout(Some(PATIENCE))?;
    let mut room = vec![0; 1 << 18];
    let mut read_for = |time: Duration| -> Result<f64> {
        let (begun, mut bytes) = (Instant::now(), 0_usize);
        while begun.elapsed() < time {
            bytes += far.read(&mut room).context("the connection stands still")?;
        }
        Ok(bytes as f64 / begun.elapsed().as_secs_f64())
    };
    read_for(scale.doors.transfer_time / 5)?;
    read_for(scale.doors.transfer_time)
}
