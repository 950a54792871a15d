//! Floods: packets made by the kernel out of an XDP program (`BPF_F_TEST_XDP_LIVE_FRAMES`), or, for
//! comparison, by an ordinary socket.
//!
//! The kernel runs the program on pages that it takes from a pool of its own, and puts what comes
//! out into the queue of the interface's other end, without a system call or an allocation for
//! each packet.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::{
    maps::Array,
    programs::{TestRun, TestRunAttrs, TestRunOptions, XdpMode},
};
use etherparse::TcpHeader;
use ruroco_lab::{
    attacker::{self, ATTACKED_MAC, ATTACKER_MAC, Attacker, SPARE_INTERFACE},
    namespace::Namespace,
    network::Family,
    packet::Packet,
};
use zerocopy::{FromZeros, IntoBytes, transmute};

use crate::{
    cpu::on,
    frame::{self, DATAGRAM_WORDS, Frame, KeyId, Plan},
    kernel::Own,
    paths::Paths,
};

/// The CPU that floods.
pub(crate) const GENERATOR_CPU: usize = 0;
/// The CPU that receives them.
pub(crate) const RECEIVER_CPU: usize = 1;

/// Packets in one system call when nothing limits the rate: enough to make it count for nothing,
/// few enough for it to end soon.
const CALL: u32 = 1 << 15;
/// Packets that are handed to the interface at once; the kernel takes up to 256, which is also how
/// many the other end has room for (`VETH_RING_SIZE`, drivers/net/veth.c).
const BATCH: u32 = 64;
/// How often a limited rate is kept.
const TICK: Duration = Duration::from_millis(1);

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// So many packets a second.
    Limited(u32),
    /// As fast as it can.
    Maximum,
}

impl Rate {
    /// Packets a second, if it is limited.
    pub(crate) const fn limit(self) -> Option<u32> {
        match self {
            Self::Limited(rate) => Some(rate),
            Self::Maximum => None,
        }
    }
}

/// Where to flood from, and to whom.
pub(crate) struct Target<'a> {
    /// The host that floods.
    pub(crate) from: &'a Namespace,
    /// Its interface.
    pub(crate) interface: &'static str,
    /// The hardware addresses of both ends.
    pub(crate) macs: [[u8; 6]; 2],
    /// The UDP port.
    pub(crate) port: u16,
}

impl<'a> Target<'a> {
    /// The attacker's own link.
    pub(crate) fn own_link(from: &'a Namespace, port: u16) -> Self {
        let macs = [ATTACKER_MAC, ATTACKED_MAC];
        Self { from, interface: attacker::ATTACKER_INTERFACE, macs, port }
    }
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) seconds: f64,
}

/// The loaded generator.
pub(crate) struct Generator {
    own: Own,
}

impl Generator {
    /// Loads it, for an attacker.
    ///
    /// It is also attached, where nothing comes: otherwise the kernel would make a place for it in
    /// its dispatcher at the beginning of each call (`bpf_prog_change_xdp`), for tens of
    /// milliseconds.
    pub(crate) fn load(paths: &Paths, attacker: &Attacker) -> Result<Self> {
        let mut own = Own::load(&paths.flood_object(), frame::GENERATOR)?;
        let index = attacker::interface_index(&attacker.namespace, SPARE_INTERFACE);
        let program = own.xdp_mut()?;
        let attached =
            attacker.namespace.enter(|| program.attach_to_if_index(index, XdpMode::Driver));
        attached.context("could not attach the generator")?;
        Ok(Self { own })
    }

    /// Floods for as long as `meanwhile` takes.
    pub(crate) fn flood<T>(
        &mut self,
        target: &Target<'_>,
        recipe: &Recipe,
        rate: Rate,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Sent)> {
        self.set(recipe, target.port)?;
        let first = match &recipe.whole {
            Some(frame) => frame.clone(),
            None => first_frame(target, &recipe.payload)?,
        };
        ensure!(first.len() >= size_of::<Frame>(), "the first frame is too short");
        let length = u32::try_from(first.len())?;
        let interface = attacker::interface_index(target.from, target.interface);
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
        let context = [0, length, 0, interface, 0, 0];
        let program = self.own.xdp()?;
        let call = |packets: u32| {
            let options = TestRunOptions {
                data_in: Some(&first),
                ctx_in: Some(context.as_bytes()),
                repeat: packets,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::default()
            };
            program.test_run(options).map(drop).context("the kernel makes no live frames")
        };
        alongside(meanwhile, |end| {
            target.from.enter(|| on(GENERATOR_CPU, || repeat(rate, CALL, end, call)))
        })
    }

    fn set(&mut self, recipe: &Recipe, port: u16) -> Result<()> {
        let map = self.own.ebpf.map_mut(frame::KEY_IDS).context("the generator takes no keys")?;
        let mut key_ids = Array::<_, [u8; size_of::<KeyId>()]>::try_from(map)?;
        for (place, key_id) in (0..).zip(&recipe.key_ids) {
            let bytes: [u8; size_of::<KeyId>()] = transmute!(*key_id);
            key_ids.set(place, bytes, 0)?;
        }
        let map = self.own.ebpf.map_mut(frame::PLAN).context("the generator takes no plan")?;
        let mut plans = Array::<_, [u8; size_of::<Plan>()]>::try_from(map)?;
        let plan = Plan { port: port.to_be(), ..recipe.plan };
        let bytes: [u8; size_of::<Plan>()] = transmute!(plan);
        Ok(plans.set(0, bytes, 0)?)
    }
}

/// What to flood with.
pub(crate) struct Recipe {
    pub(crate) plan: Plan,
    key_ids: Vec<KeyId>,
    payload: Vec<u8>,
    /// For [`frame::WHOLE`].
    whole: Option<Vec<u8>>,
}

impl Recipe {
    /// Made of an authentic datagram: forged under its key.
    pub(crate) fn new(kind: u32, source_bits: u32, datagram: &[u8]) -> Self {
        let mut plan = Plan { kind, source_bits, keys: 1, ..Plan::new_zeroed() };
        let room = plan.datagram.as_mut_bytes();
        let length = room.len().min(datagram.len());
        room[..length].copy_from_slice(&datagram[..length]);
        let [first, second, third, fourth, ..] = plan.datagram;
        let key_ids = vec![[first, second, third, fourth]];
        Self { plan, key_ids, payload: datagram.to_vec(), whole: None }
    }

    /// The same frame again and again.
    pub(crate) fn whole(mut frame: Vec<u8>) -> Self {
        // What follows an IP packet in its frame does not belong to it.
        frame.resize(frame.len().max(size_of::<Frame>()), 0);
        Self { whole: Some(frame), ..Self::new(frame::WHOLE, 0, &[]) }
    }

    /// Where [`frame::SYN`]s go.
    pub(crate) fn at_door(mut self, address: Ipv4Addr, port: u16) -> Result<Self> {
        let header = TcpHeader { syn: true, ..TcpHeader::new(0, port, 0, frame::SYN_WINDOW) };
        let sum = header.calc_checksum_ipv4_raw([0; 4], address.octets(), &[])?;
        self.plan.door = port.to_be();
        self.plan.checksum = sum.to_be();
        Ok(self)
    }

    /// Forged under any of these instead.
    pub(crate) fn under(mut self, keys: &[ruroco_common::datagram::KeyId]) -> Result<Self> {
        ensure!((1..=frame::MAX_KEYS as usize).contains(&keys.len()), "{} keys", keys.len());
        self.key_ids = keys.iter().map(|key_id| transmute!(key_id.0)).collect();
        self.plan.keys = u32::try_from(keys.len())?;
        Ok(self)
    }
}

/// The frame that the generator begins with; a payload shorter than a datagram is filled up.
fn first_frame(target: &Target<'_>, payload: &[u8]) -> Result<Vec<u8>> {
    let mut payload = payload.to_vec();
    payload.resize(payload.len().max(2 * DATAGRAM_WORDS), 0);
    let mut packet = Packet::to_gate(Family::V4, &payload);
    [packet.ethernet.source, packet.ethernet.destination] = target.macs;
    packet.ipv4().0.source = [10, 0, 0, 1];
    packet.udp.destination_port = target.port;
    packet.udp.checksum = 0;
    Ok(packet.to_frame())
}

/// Runs `flood` on a thread until `meanwhile` is done.
pub(crate) fn alongside<T>(
    meanwhile: impl FnOnce() -> Result<T>,
    flood: impl FnOnce(&AtomicBool) -> Result<Sent> + Send,
) -> Result<(T, Sent)> {
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&end));
        // Until it is at its rate.
        thread::sleep(Duration::from_millis(100));
        let done = meanwhile();
        end.store(true, Ordering::Relaxed);
        let sent = flooding.join().ok().context("the generator has ended")??;
        Ok((done?, sent))
    })
}

/// Makes calls that send a number of packets each, at this rate, until the end.
pub(crate) fn repeat(
    rate: Rate,
    most: u32,
    end: &AtomicBool,
    mut call: impl FnMut(u32) -> Result<()>,
) -> Result<Sent> {
    let begun = Instant::now();
    let mut packets = 0_u64;
    while !end.load(Ordering::Relaxed) {
        let now = match rate {
            Rate::Maximum => most,
            Rate::Limited(rate) => {
                let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
                // Time in which it could not run is not made up for in one go.
                let behind = due.saturating_sub(packets).min(u64::from(rate / 100));
                u32::try_from(behind)?.min(most)
            }
        };
        if now > 0 {
            call(now)?;
            packets += u64::from(now);
        }
        if rate != Rate::Maximum {
            thread::sleep(TICK);
        }
    }
    Ok(Sent { packets, seconds: begun.elapsed().as_secs_f64() })
}

/// Floods from a UDP socket: packets of one source, some tens at a time (`sendmmsg`).
pub(crate) fn flood_from_socket<T>(
    target: &Target<'_>,
    payload: &[u8],
    meanwhile: impl FnOnce() -> Result<T>,
) -> Result<(T, Sent)> {
    alongside(meanwhile, |end| {
        target.from.enter(|| {
            on(GENERATOR_CPU, || {
                let mut sender = ruroco_lab::many::Sender::new(target.port);
                let mut packets = 0_u64;
                let begun = Instant::now();
                while !end.load(Ordering::Relaxed) {
                    packets += sender.send(payload) as u64;
                }
                Ok(Sent { packets, seconds: begun.elapsed().as_secs_f64() })
            })
        })
    })
}
