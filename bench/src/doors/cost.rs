//! What the program costs for a packet to a door, above an empty program; and for a packet to no door,
//! above the program without doors.

use std::net::{IpAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use ruroco_common::{
    doors::LeaseKey,
    verdict::Verdict::{self, DoorClosed, DoorSession, NotOurs},
};
use ruroco_lab::network::{CLIENT, CLIENT_MAC, Family, Network, SERVER, SERVER_MAC};
use serde::Serialize;

use super::{
    TCP_PORT, UDP_PORT,
    packets::{Session, syn, udp},
};
use crate::{
    kernel::{self, Kernel, Own},
    packets as knocks,
    paths::Paths,
    scale::Scale,
    statistics::Summary,
};

/// Nanoseconds per packet.
#[derive(Debug, Serialize)]
pub(crate) struct DoorCost {
    pub(super) at_door: Vec<PacketCost>,
    /// Of the program with doors, above the program without.
    pub(super) elsewhere: Vec<PacketCost>,
}

/// Of one packet.
#[derive(Debug, Serialize)]
pub(crate) struct PacketCost {
    pub(super) packet: &'static str,
    pub(super) family: &'static str,
    pub(super) verdict: &'static str,
    /// Of the program that it is compared with.
    pub(super) floor: Summary,
    pub(super) cost: Summary,
    /// The differences within each round.
    pub(super) above: Summary,
}

/// What a packet is called in the report.
pub(super) const SYN: &str = "SYN at a closed door";
pub(super) const SESSION: &str = "TCP of a live session";
pub(super) const FLOW: &str = "UDP of a live flow";

/// One packet, and what has been measured.
struct Case {
    packet: &'static str,
    family: &'static str,
    verdict: Verdict,
    frame: Vec<u8>,
    floors: Vec<f64>,
    costs: Vec<f64>,
}

impl Case {
    fn new(packet: &'static str, family: Family, verdict: Verdict, frame: Vec<u8>) -> Self {
        let family = if family == Family::V4 { "IPv4" } else { "IPv6" };
        Self { packet, family, verdict, frame, floors: Vec::new(), costs: Vec::new() }
    }

    fn result(self) -> Option<PacketCost> {
        let above = self.costs.iter().zip(&self.floors).map(|(cost, floor)| cost - floor);
        Some(PacketCost {
            packet: self.packet,
            family: self.family,
            verdict: self.verdict.name(),
            floor: Summary::of(self.floors.iter().copied())?,
            cost: Summary::of(self.costs.iter().copied())?,
            above: Summary::of(above)?,
        })
    }
}

/// Takes every measurement.
pub(super) fn measure(paths: &Paths, scale: &Scale) -> Result<DoorCost> {
    let network = Network::new();
    let (pass, drop) = (
        Own::load(&paths.flood_object(), crate::frame::PASS)?,
        Own::load(&paths.flood_object(), crate::frame::DROP)?,
    );
    let mut with = super::kernel()?;
    let mut without = Kernel::new(&[knocks::key()?])?;
    let mut sessions = Vec::new();
    let (mut at_door, mut elsewhere) = (Vec::new(), Vec::new());
    for family in Family::BOTH {
        let (client, server) = (CLIENT.of(family), SERVER.of(family));
        let listener = network.server.enter(|| TcpListener::bind((server, TCP_PORT)))?;
        let session = Session::new(&network.client, &listener)?;
        at_door.extend(at_door_of(family, client, server, session.frame.clone())?);
        elsewhere.extend(elsewhere_of(family, client, server)?);
        sessions.push((listener, session));
    }
    // The kernel looks for sockets in the namespace in which the program is run.
    network.server.enter(|| -> Result<()> {
        begin_flows(&mut with, &at_door)?;
        let repeat = scale.repeat;
        for _ in 0..scale.rounds {
            for case in &mut at_door {
                let floor = if case.verdict == DoorClosed { &drop } else { &pass };
                case.floors.push(kernel::time(floor.xdp()?, &case.frame, repeat)?);
                case.costs.push(with.time(&case.frame, repeat, case.verdict)?);
            }
            for case in &mut elsewhere {
                case.floors.push(without.time(&case.frame, repeat, case.verdict)?);
                case.costs.push(with.time(&case.frame, repeat, case.verdict)?);
            }
        }
        Ok(())
    })?;
    let results = |cases: Vec<Case>| -> Vec<PacketCost> {
        let results: Vec<_> = cases.into_iter().filter_map(Case::result).collect();
        for PacketCost { packet, family, above, .. } in &results {
            println!(
                "   {packet:<30} {family} {:.0} ns above, least {:.0}",
                above.median, above.min
            );
        }
        results
    };
    Ok(DoorCost { at_door: results(at_door), elsewhere: results(elsewhere) })
}

fn at_door_of(
    family: Family,
    client: IpAddr,
    server: IpAddr,
    session: Vec<u8>,
) -> Result<[Case; 3]> {
    let macs = [CLIENT_MAC, SERVER_MAC];
    Ok([
        Case::new(SYN, family, DoorClosed, syn(macs, client, server, TCP_PORT)?),
        Case::new(SESSION, family, DoorSession, session),
        Case::new(FLOW, family, DoorSession, udp(macs, client, server, UDP_PORT)?),
    ])
}

fn elsewhere_of(family: Family, client: IpAddr, server: IpAddr) -> Result<[Case; 2]> {
    let macs = [CLIENT_MAC, SERVER_MAC];
    Ok([
        Case::new("TCP to a port without a door", family, NotOurs, syn(macs, client, server, 80)?),
        Case::new("UDP to a port without a door", family, NotOurs, udp(macs, client, server, 53)?),
    ])
}

/// Has the flows begin under leases, which end at once: the door is closed for everything but what exists.
fn begin_flows(with: &mut Kernel, cases: &[Case]) -> Result<()> {
    for (family, case) in
        Family::BOTH.into_iter().zip(cases.iter().filter(|case| case.packet == FLOW))
    {
        let key = LeaseKey { address: CLIENT.of(family).into(), door: super::name()? };
        ensure!(with.doors()?.put(&key, &super::lease())?, "no room for a lease");
        kernel::time(with.xdp()?, &case.frame, 1).context("could not begin a flow")?;
        with.doors()?.remove(&key)?;
    }
    Ok(())
}
