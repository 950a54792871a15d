//! First fragments, of which too little is there, and later ones.

use ruroco_common::verdict::Verdict::{
    self, DoorAdmitted, DoorClosed, DoorFragment, Fragment, Malformed, NotOurs,
};

use super::fixture::{BOTH, Doors, EXTRA, OPEN, SSH, SYN, Spec, VPN, now, source, tcp, udp};
use crate::{
    OURS,
    frames::{
        DESTINATION_OPTIONS, Extension, IPV4_MORE_FRAGMENTS, IPV6_MORE_FRAGMENTS, Packet, TCP, UDP,
    },
};

const FIRST: Extension = Extension::Fragment(IPV6_MORE_FRAGMENTS);
const NO_OPTIONS: Extension = Extension::Common(DESTINATION_OPTIONS, 0);

/// The first of several fragments, with so many bytes of TCP or UDP.
fn piece(packet: &Packet, length: usize) -> Packet {
    let packet = if packet.destination.is_ipv4() {
        Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..packet.clone() }
    } else {
        Packet { extensions: vec![FIRST], ..packet.clone() }
    };
    let whole = packet.payload.len() + if packet.tcp.is_some() { 20 } else { 8 };
    let ip_length_lie = i16::try_from(length).unwrap() - i16::try_from(whole).unwrap();
    Packet { ip_length_lie, ..packet }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_first_fragment_without_flags_is_dropped_at_a_door_and_passes_elsewhere() {
    let mut doors = Doors::all();
    for (port, without, with) in [(SSH, DoorFragment, DoorClosed), (OPEN, NotOurs, NotOurs)] {
        for packet in tcp(port, SYN) {
            for length in 0..28 {
                let is_read = packet.destination.is_ipv4() || length % 8 == 0;
                let verdict = match length {
                    _ if !is_read => NotOurs,
                    ..8 => NotOurs,
                    8..16 => without,
                    _ => with,
                };
                assert_eq!(doors.judge(&piece(&packet, length)), verdict, "{length} {packet:?}");
            }
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_first_fragment_with_flags_is_judged_as_the_whole_packet() {
    let mut doors = Doors::all();
    for packet in tcp(SSH, SYN) {
        doors.expect(&piece(&packet, 16), DoorClosed);
        doors.open(&source(&packet), "ssh");
        doors.expect(&piece(&packet, 16), DoorAdmitted);
    }
    for packet in udp(VPN) {
        doors.expect(&piece(&packet, 16), DoorClosed);
        doors.open(&source(&packet), "vpn");
        doors.expect(&piece(&packet, 16), DoorAdmitted);
    }
}

/// IPv6 with a chain that ends before the ports.
fn portless(destination: std::net::IpAddr, protocol: u8) -> Packet {
    let extensions = vec![FIRST, NO_OPTIONS];
    let packet = Packet { protocol, extensions, ..Packet::to(destination, SSH, b"payload ") };
    Packet { ip_length_lie: -16, ..packet }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_first_fragment_without_ports_is_dropped_if_its_protocol_has_doors() {
    const TCP_DOOR: Spec = ("ssh", &[SSH], &[], ruroco_common::doors::SourcePrefix::ADDRESS, false);
    const UDP_DOOR: Spec = ("vpn", &[], &[VPN], ruroco_common::doors::SourcePrefix::ADDRESS, false);
    for (doors, for_tcp, for_udp) in [
        (&[TCP_DOOR][..], DoorFragment, NotOurs),
        (&[UDP_DOOR], NotOurs, DoorFragment),
        (&[TCP_DOOR, UDP_DOOR], DoorFragment, DoorFragment),
        (&[], NotOurs, NotOurs),
    ] {
        let mut doors = Doors::of(doors);
        let group = "ff02::1".parse().unwrap();
        for (destination, for_tcp, for_udp) in [
            (OURS[1], for_tcp, for_udp),
            (EXTRA[1], for_tcp, for_udp),
            (group, NotOurs, for_udp),
            ("2001:db8::2".parse().unwrap(), NotOurs, NotOurs),
        ] {
            doors.expect(&portless(destination, TCP), for_tcp);
            doors.expect(&portless(destination, UDP), for_udp);
            doors.expect(&portless(destination, 58), NotOurs);
        }
        doors.set_state(now());
        doors.expect(&portless(OURS[1], TCP), NotOurs);
        doors.expect(&portless(OURS[1], UDP), NotOurs);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_may_lead_to_any_port_is_dropped_wherever_there_are_doors() {
    let group = "ff02::1".parse().unwrap();
    let elsewhere = "2001:db8::2".parse().unwrap();
    let mut doors = Doors::all();
    let mut none = Doors::of(&[]);
    for (destination, is_here, is_here_without_doors) in [
        (OURS[1], true, true),
        (EXTRA[1], true, false),
        (group, true, false),
        (elsewhere, false, false),
    ] {
        let verdict = |verdict: Verdict, is_here| if is_here { verdict } else { NotOurs };
        let continued = Packet {
            extensions: vec![FIRST, NO_OPTIONS, NO_OPTIONS],
            ip_length_lie: -24,
            ..Packet::to(destination, SSH, b"payload ")
        };
        doors.expect(&continued, verdict(Fragment, is_here));
        none.expect(&continued, verdict(Fragment, is_here_without_doors));
        let endless =
            Packet { extensions: vec![NO_OPTIONS; 201], ..Packet::to(destination, SSH, b"") };
        doors.expect(&endless, verdict(Malformed, is_here));
        none.expect(&endless, verdict(Malformed, is_here_without_doors));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn later_fragments_pass() {
    let mut doors = Doors::all();
    for packet in tcp(BOTH, SYN).into_iter().chain(udp(BOTH)) {
        for bit in 0..13 {
            let packet = if packet.destination.is_ipv4() {
                Packet { ipv4_fragment: 1 << bit, ..packet.clone() }
            } else {
                Packet { extensions: vec![Extension::Fragment(8 << bit)], ..packet.clone() }
            };
            doors.expect(&packet, NotOurs);
        }
    }
}
