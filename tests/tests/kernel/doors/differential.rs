//! The kernel's verdict on any frame is that of a model, where there are doors.
//!
//! One door is open to everyone, so that every source meets a lease. The model of the frame is as in
//! [`crate::differential`], that of the rules is written here once more.

use std::{cell::RefCell, collections::HashSet, net::IpAddr};

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use ruroco_common::{
    doors::{FlowKey, SourcePrefix},
    headers::{self, Frame, Protocol, Scope},
    verdict::Verdict,
};

use super::fixture::{ACK, BOTH, Doors, EXTRA, SPECS, SSH, SYN, Spec, VPN};
use crate::{OURS, PORT, differential, frames, oracle};

/// Open to everyone.
const OPENED: u16 = 2300;
const EVERYONE: SourcePrefix = SourcePrefix { ipv4: 0, ipv6: 0 };
const SPEC: Spec = ("everyone", &[OPENED], &[OPENED], EVERYONE, false);

#[derive(Debug)]
struct Seen {
    protocol: Protocol,
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    port: u16,
    flags: Option<u8>,
}

fn pool() -> frames::Pool {
    let groups = ["224.0.0.1", "255.255.255.255", "ff02::1"].map(|group| group.parse().unwrap());
    frames::Pool {
        destinations: OURS.into_iter().chain(EXTRA).chain(groups).collect(),
        ports: vec![PORT, SSH, BOTH, VPN, OPENED, OPENED],
        ..differential::pool()
    }
}

/// Whether this host has doors of a protocol at an address.
fn is_here(protocol: Protocol, address: IpAddr) -> bool {
    let is_broadcast = address == IpAddr::from([255; 4]) || address == IpAddr::from([0; 4]);
    let is_for_many = protocol == Protocol::Udp && (address.is_multicast() || is_broadcast);
    OURS.contains(&address) || EXTRA.contains(&address) || is_for_many
}

fn has_door(protocol: Protocol, port: u16) -> bool {
    SPECS.iter().chain([&SPEC]).any(|(_, tcp, udp, ..)| match protocol {
        Protocol::Tcp => tcp.contains(&port),
        Protocol::Udp => udp.contains(&port),
    })
}

/// What there is with ports in a frame: as etherparse sees it, or as our own parser does on the host if etherparse
/// does not accept it.
fn seen(frame: &[u8]) -> Option<Seen> {
    if let Some(packet) = oracle::read(frame).filter(oracle::Packet::within_limits) {
        let (protocol, flags) = match packet.transport {
            oracle::Transport::Tcp(flags) => (Protocol::Tcp, Some(flags)),
            oracle::Transport::Udp(_) => (Protocol::Udp, None),
        };
        let oracle::Packet { source, destination, source_port, destination_port: port, .. } =
            packet;
        return Some(Seen { protocol, source, destination, source_port, port, flags });
    }
    match headers::parse(frame, Scope::UdpAndTcp) {
        Frame::Udp(udp) => Some(Seen {
            protocol: Protocol::Udp,
            source: udp.addresses.source.into(),
            destination: udp.addresses.destination.into(),
            source_port: udp.ports.source,
            port: udp.ports.destination,
            flags: None,
        }),
        Frame::Tcp(tcp) => Some(Seen {
            protocol: Protocol::Tcp,
            source: tcp.addresses.source.into(),
            destination: tcp.addresses.destination.into(),
            source_port: tcp.ports.source,
            port: tcp.ports.destination,
            flags: tcp.flags,
        }),
        Frame::Portless { .. }
        | Frame::Incomplete { .. }
        | Frame::Endless { .. }
        | Frame::Hidden
        | Frame::Other => None,
    }
}

fn expected(frame: &[u8], flows: &mut HashSet<FlowKey>) -> Verdict {
    let Some(seen) = seen(frame) else {
        let (verdict, destination) = match headers::parse(frame, Scope::UdpAndTcp) {
            Frame::Portless { destination, protocol } => {
                let is_here = is_here(protocol, destination.into());
                return if is_here { Verdict::DoorFragment } else { Verdict::NotOurs };
            }
            Frame::Incomplete { destination } => (Verdict::Fragment, destination),
            Frame::Endless { destination } => (Verdict::Malformed, destination),
            Frame::Hidden => return Verdict::Malformed,
            Frame::Udp(_) | Frame::Tcp(_) | Frame::Other => return Verdict::NotOurs,
        };
        let is_here = is_here(Protocol::Udp, destination.into());
        return if is_here { verdict } else { Verdict::NotOurs };
    };
    let is_udp = seen.protocol == Protocol::Udp;
    if is_udp && seen.port == PORT && OURS.contains(&seen.destination) {
        return differential::expected(frame).0;
    }
    if !has_door(seen.protocol, seen.port) || !is_here(seen.protocol, seen.destination) {
        return Verdict::NotOurs;
    }
    let is_open = seen.port == OPENED;
    match (seen.protocol, seen.flags) {
        (Protocol::Tcp, None) => Verdict::DoorFragment,
        (Protocol::Tcp, Some(flags)) if is_open && flags & SYN != 0 && flags & ACK == 0 => {
            Verdict::DoorAdmitted
        }
        (Protocol::Udp, _) if is_open => {
            let key = FlowKey {
                source: seen.source.into(),
                destination: seen.destination.into(),
                source_port: seen.source_port,
                destination_port: seen.port,
                protocol: 17,
            };
            if flows.insert(key) { Verdict::DoorAdmitted } else { Verdict::DoorSession }
        }
        _ => Verdict::DoorClosed,
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_kernel_judges_twisted_packets_to_doors_as_the_model_does() {
    let specs: Vec<Spec> = SPECS.into_iter().chain([SPEC]).collect();
    let doors = RefCell::new(Doors::of(&specs));
    let flows = RefCell::new(HashSet::new());
    let met = RefCell::new(Verdict::ALL.map(|verdict| (verdict, 0_usize)));
    // Few sources and ports, so that flows go on.
    let again = prop_oneof![Just(None), select(vec![1_u8, 2]).prop_map(Some)];
    let config = Config { source_file: Some(file!()), ..Config::with_cases(10_000) };
    let strategy = (frames::twisted(&pool()), again);
    let run = TestRunner::new(config).run(&strategy, |(frame, again)| {
        if frame.len() < frames::ETHERNET_SIZE {
            return Ok(());
        }
        let mut doors = doors.borrow_mut();
        for address in ["0.0.0.0", "::"] {
            doors.open(address, "everyone");
        }
        for _ in 0..again.unwrap_or(1) {
            let expected = expected(&frame, &mut flows.borrow_mut());
            let is_of_our_key = matches!(expected, Verdict::Candidate | Verdict::Forged);
            let verdict = if is_of_our_key {
                let verdict = doors.kernel.judge(&frame);
                doors.kernel.drain();
                verdict
            } else {
                // To forget knocks takes most of the time of a judgement.
                doors.kernel.judge_once_more(&frame, None)
            };
            prop_assert_eq!(verdict, expected);
            let mut met = met.borrow_mut();
            met.iter_mut().filter(|(v, _)| *v == expected).for_each(|(_, times)| *times += 1);
        }
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    for (verdict, times) in met.into_inner() {
        let is_rare = verdict == Verdict::DoorLimited || differential::takes_more(verdict);
        let is_of_doors = verdict.name().starts_with("door_") && verdict != Verdict::DoorLimited;
        assert!(is_rare && !is_of_doors || times > 3, "{verdict:?} only {times} times");
    }
}
