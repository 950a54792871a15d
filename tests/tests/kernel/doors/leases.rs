//! Whom a lease admits, how often, and until when.

use ruroco_common::{
    doors::{HANDSHAKE_GRACE, Lease},
    verdict::Verdict::{Candidate, DoorAdmitted, DoorClosed, DoorLimited, DoorSession, NotOurs},
};

use super::fixture::{
    ACK, BOTH, Doors, EXTRA, OPEN, SECOND, SSH, SYN, VPN, WIDE, lease, now, source, tcp, udp,
};
use crate::{KEY, OURS, PORT, frames::Packet, knock};

fn all(port: u16) -> impl Iterator<Item = Packet> {
    tcp(port, SYN).into_iter().chain(udp(port))
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_is_closed_without_a_lease_and_open_with_one() {
    let mut doors = Doors::all();
    for packet in all(BOTH) {
        doors.expect(&packet, DoorClosed);
    }
    for packet in all(BOTH) {
        doors.open(&source(&packet), "both");
    }
    for packet in all(BOTH) {
        doors.expect(&packet, DoorAdmitted);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_is_of_no_use_for_another_door_or_to_another_address() {
    let mut doors = Doors::all();
    for packet in all(BOTH) {
        for door in ["ssh", "wide", "forwarded", "vpn"] {
            doors.open(&source(&packet), door);
        }
        for other in ["198.51.100.8", "2001:db8::8", "::198.51.100.9"] {
            doors.open(other, "both");
        }
        doors.expect(&packet, DoorClosed);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_port_without_a_door_is_not_ours() {
    let mut doors = Doors::all();
    let swapped = SSH.swap_bytes();
    for packet in [OPEN, SSH - 1, swapped, 0, u16::MAX].into_iter().flat_map(all) {
        doors.expect(&packet, NotOurs);
    }
    // A door of the other protocol.
    udp(SSH).iter().chain(&tcp(VPN, SYN)).for_each(|packet| doors.expect(packet, NotOurs));
    // A door's port as the source.
    for packet in all(OPEN) {
        doors.expect(&Packet { source_port: SSH, ..packet }, NotOurs);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn doors_are_at_the_addresses_of_this_host() {
    let mut doors = Doors::all();
    let to = |destination: &str| {
        let packet = Packet::to(destination.parse().unwrap(), BOTH, b"payload ");
        [packet.clone().with_tcp(SYN), packet]
    };
    for address in EXTRA.iter().chain(&OURS) {
        to(&address.to_string()).iter().for_each(|packet| doors.expect(packet, DoorClosed));
    }
    for elsewhere in ["192.0.2.2", "192.0.3.1", "2001:db8::2", "2001:db8:0:1::1"] {
        to(elsewhere).iter().for_each(|packet| doors.expect(packet, NotOurs));
    }
    let many = ["224.0.0.1", "239.255.255.250", "255.255.255.255", "0.0.0.0", "ff02::1", "ff05::2"];
    for many in many {
        let [tcp, udp] = to(many);
        doors.expect(&tcp, NotOurs);
        doors.expect(&udp, DoorClosed);
    }
    for single in ["223.255.255.255", "240.0.0.1", "fe80::1", "255.255.255.254"] {
        to(single).iter().for_each(|packet| doors.expect(packet, NotOurs));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_gates_own_port_is_never_a_doors() {
    const KNOCKS: super::fixture::Spec =
        ("knocks", &[PORT], &[PORT], ruroco_common::doors::SourcePrefix::ADDRESS, false);
    let mut doors = Doors::of(&[KNOCKS]);
    for address in OURS {
        doors.expect(&Packet::to(address, PORT, &knock(KEY)), Candidate);
        doors.expect(&Packet::to(address, PORT, b"").with_tcp(SYN), DoorClosed);
    }
    for address in EXTRA {
        doors.expect(&Packet::to(address, PORT, &knock(KEY)), DoorClosed);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_ends() {
    let mut doors = Doors::all();
    for packet in all(BOTH) {
        for until in [0, 1, now() - SECOND, now()] {
            doors.put(&source(&packet), "both", Lease { until, ..lease() });
            doors.expect(&packet, DoorClosed);
        }
        doors.put(&source(&packet), "both", Lease { until: now() + 60 * SECOND, ..lease() });
        doors.expect(&packet, DoorAdmitted);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_for_a_prefix_is_for_all_of_its_addresses() {
    let mut doors = Doors::all();
    doors.open("198.51.100.0", "wide");
    doors.open("2001:db8::", "wide");
    for (address, verdict) in [
        ("198.51.100.1", DoorAdmitted),
        ("198.51.100.255", DoorAdmitted),
        ("198.51.101.1", DoorClosed),
        ("2001:db8::1", DoorAdmitted),
        ("2001:db8:0:0:ffff::1", DoorAdmitted),
        ("2001:db8:0:1::1", DoorClosed),
    ] {
        let source: std::net::IpAddr = address.parse().unwrap();
        for packet in all(WIDE).filter(|packet| packet.source.is_ipv4() == source.is_ipv4()) {
            doors.expect(&Packet { source, ..packet }, verdict);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_limit_is_kept_exactly() {
    let mut doors = Doors::all();
    for packet in all(BOTH) {
        for limit in [1, 2, 10] {
            doors.put(&source(&packet), "both", Lease { limit, ..lease() });
            for number in 0..limit + 3 {
                let source_port =
                    1000 * u16::try_from(limit).unwrap() + u16::try_from(number).unwrap();
                let verdict = if number < limit { DoorAdmitted } else { DoorLimited };
                doors.expect(&Packet { source_port, ..packet.clone() }, verdict);
            }
            let after = doors.lease(&source(&packet), "both");
            assert_eq!((after.used, after.connections), (limit, limit.into()));
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_is_admitted_is_counted_and_nothing_else_is_changed() {
    let mut doors = Doors::all();
    for packet in all(BOTH) {
        let before = Lease { connections: 40, used: 5, limit: 7, ..lease() };
        doors.put(&source(&packet), "both", before);
        doors.expect(&packet, DoorAdmitted);
        let after = doors.lease(&source(&packet), "both");
        assert!(after.bucket > now() - SECOND, "the bucket's time is {}", after.bucket);
        let is_udp = packet.tcp.is_none();
        // The port tells which connection confirms a trial.
        let last_port = if is_udp { 0 } else { packet.source_port.into() };
        assert_eq!(is_udp, after.admitted_at == 0);
        let expected = Lease {
            bucket: after.bucket,
            connections: 41,
            used: 6,
            flows: is_udp.into(),
            last_port,
            admitted_at: after.admitted_at,
            ..before
        };
        assert_eq!(after, expected);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_without_a_limit_admits_fifty_at_once() {
    let mut doors = Doors::all();
    for packet in tcp(BOTH, SYN) {
        doors.open(&source(&packet), "both");
        let begun = now();
        let judged: Vec<_> = (0..120_u16)
            .map(|source_port| doors.judge(&Packet { source_port, ..packet.clone() }))
            .collect();
        let admitted = judged.iter().filter(|verdict| **verdict == DoorAdmitted).count();
        // A token more for each 20 ms that this took.
        let most = 50 + usize::try_from((now() - begun) / (SECOND / 50)).unwrap() + 1;
        assert!((50..=most).contains(&admitted), "{admitted} of at most {most}");
        assert!(judged.iter().all(|verdict| [DoorAdmitted, DoorLimited].contains(verdict)));
        // A bucket that is full again only later.
        doors.put(&source(&packet), "both", Lease { bucket: now() + 60 * SECOND, ..lease() });
        doors.expect(&packet, DoorLimited);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn disarmed_doors_are_open_to_everyone_from_a_time_on() {
    let mut doors = Doors::all();
    for (open_from, disarmed) in
        [(0, false), (1, true), (now(), true), (now() + 600 * SECOND, false), (u64::MAX, false)]
    {
        doors.set_state(open_from);
        let verdict = if disarmed { NotOurs } else { DoorClosed };
        all(BOTH).for_each(|packet| doors.expect(&packet, verdict));
        tcp(SSH, ACK).iter().for_each(|packet| doors.expect(packet, verdict));
        // The gate's own port stays what it is.
        doors.expect(&Packet::to(OURS[0], PORT, &knock(KEY)), Candidate);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_segment_without_a_socket_is_closed_whatever_the_lease() {
    let mut doors = Doors::all();
    for packet in tcp(SSH, ACK) {
        doors.expect(&packet, DoorClosed);
        doors.open(&source(&packet), "ssh");
        doors.expect(&packet, DoorClosed);
        doors.put(&source(&packet), "ssh", Lease { until: now() - HANDSHAKE_GRACE, ..lease() });
        doors.expect(&packet, DoorClosed);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_wraps_a_packet_changes_nothing() {
    use crate::frames::{DESTINATION_OPTIONS, Extension, HOP_BY_HOP, ROUTING};
    let mut doors = Doors::all();
    let wrapped = |packet: &Packet| {
        let tags = [vec![0x8100], vec![0x88a8, 0x8100], vec![0x8100; 400]];
        let tagged = tags.map(|vlan_tags| Packet { vlan_tags, ..packet.clone() });
        let longest = vec![Extension::Common(DESTINATION_OPTIONS, 0); 200];
        let chains = [
            vec![Extension::Common(HOP_BY_HOP, 3)],
            vec![Extension::Common(ROUTING, 255)],
            vec![Extension::Fragment(0)],
            vec![Extension::Common(HOP_BY_HOP, 0), Extension::Fragment(0)],
            longest,
        ];
        let chained = chains.map(|extensions| Packet { extensions, ..packet.clone() });
        let options = (1..=10).map(|ipv4_options| Packet { ipv4_options, ..packet.clone() });
        let by_family: Vec<_> = match packet.destination.is_ipv4() {
            true => options.collect(),
            false => chained.into(),
        };
        tagged.into_iter().chain(by_family).chain([packet.clone().padded()])
    };
    for packet in all(BOTH) {
        for (number, packet) in wrapped(&packet).enumerate() {
            let packet = Packet { source_port: 1 + u16::try_from(number).unwrap(), ..packet };
            doors.expect(&packet, DoorClosed);
            doors.open(&source(&packet), "both");
            doors.expect(&packet, DoorAdmitted);
            if packet.tcp.is_none() {
                doors.expect(&packet, DoorSession);
            }
            doors.put(&source(&packet), "both", Lease { until: 0, ..lease() });
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_udp_packet_with_lying_lengths_is_for_its_door_too() {
    let mut doors = Doors::all();
    for packet in udp(VPN) {
        for udp_length_lie in [-8, -1, 1, 100] {
            let packet = Packet { udp_length_lie, ..packet.clone() };
            doors.expect(&packet, DoorClosed);
        }
    }
}
