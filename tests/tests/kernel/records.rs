//! What the ring holds after a knock, and what happens when it is full.

use std::time::Duration;

use ruroco_common::{
    address::Address,
    candidate::{self, Candidate},
    maps::RING_SIZE,
    verdict::Verdict,
};
use ruroco_lab::namespace::Namespace;
use rustix::time::{ClockId, clock_gettime};
use zerocopy::IntoBytes;

use crate::{
    KEY, OURS, PORT,
    frames::{DESTINATION_OPTIONS, Extension, HOP_BY_HOP, Packet, ROUTING},
    kernel::Kernel,
    knock,
};

/// The kernel puts 8 bytes before each record (`BPF_RINGBUF_HDR_SZ`).
const RING_HEADER: usize = 8;
/// Where frames come from when a test does not say: the loopback interface, always the first.
const LOOPBACK: u32 = 1;

/// Now, in the clock of the records.
fn boot_time() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, rest) = (now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap());
    Duration::new(seconds, rest).as_nanos().try_into().unwrap()
}

/// Judges a packet that must be a candidate, and checks every byte of the record it leaves.
#[track_caller]
fn leaves_its_record(kernel: &mut Kernel, packet: &Packet, interface: Option<u32>) {
    let before = boot_time();
    assert_eq!(kernel.judge_from(&packet.to_frame(), interface), Verdict::Candidate);
    let after = boot_time();
    let [record] = kernel.drain()[..] else { panic!("not one record") };
    assert!((before..=after).contains(&record.received_at), "{before} {record:?} {after}");
    assert_eq!(record.source, Address::from(packet.source));
    assert_eq!(record.destination, Address::from(packet.destination));
    assert_eq!(record.source_port, packet.source_port);
    assert_eq!(record.destination_port, packet.destination_port);
    assert_eq!(record.interface, interface.unwrap_or(LOOPBACK));
    assert_eq!(record.datagram.as_bytes(), packet.payload);
    assert_eq!(record.padding, [0; 2]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_record_holds_what_the_packet_said() {
    let mut kernel = Kernel::filled();
    for address in OURS {
        let plain = Packet::to(address, PORT, &knock(KEY));
        let ports = [0, 1, 0x1234, u16::MAX];
        for source_port in ports {
            let packet = Packet { source_port, ..plain.clone() };
            leaves_its_record(&mut kernel, &packet, None);
        }
        leaves_its_record(&mut kernel, &Packet { padding: 30, ..plain.clone() }, None);
        let tagged = Packet { vlan_tags: vec![0x88a8, 0x8100], ..plain };
        leaves_its_record(&mut kernel, &tagged, None);
    }
    let options = Packet { ipv4_options: 7, ..Packet::to(OURS[0], PORT, &knock(KEY)) };
    leaves_its_record(&mut kernel, &options, None);
    let extensions = vec![
        Extension::Common(HOP_BY_HOP, 2),
        Extension::Common(ROUTING, 3),
        Extension::Common(DESTINATION_OPTIONS, 0),
    ];
    let chain = Packet { extensions, ..Packet::to(OURS[1], PORT, &knock(KEY)) };
    leaves_its_record(&mut kernel, &chain, None);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_record_names_the_interface_the_packet_came_in_on() {
    const INDEX: u32 = 0x0001_e240;
    let namespace = Namespace::new();
    namespace.ip(&format!("link add name knocks index {INDEX} type veth peer name other"));
    namespace.enter(|| {
        let mut kernel = Kernel::filled();
        for address in OURS {
            let packet = Packet::to(address, PORT, &knock(KEY));
            leaves_its_record(&mut kernel, &packet, Some(INDEX));
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nothing_but_a_candidate_reaches_the_ring() {
    let mut kernel = Kernel::filled();
    let good = Packet::to(OURS[0], PORT, &knock(KEY));
    let mut forged = knock(KEY);
    forged[20] ^= 1;
    let refused = [
        (Verdict::NotOurs, Packet { destination_port: PORT + 1, ..good.clone() }),
        (Verdict::Malformed, Packet { udp_length_lie: 1, ..good.clone() }),
        (Verdict::Fragment, Packet { ipv4_fragment: 0x2000, ..good.clone() }),
        (Verdict::WrongLength, Packet { payload: knock(KEY)[..93].to_vec(), ..good.clone() }),
        (Verdict::UnknownKey, Packet { payload: vec![0xff; 94], ..good.clone() }),
        (Verdict::Forged, Packet { payload: forged, ..good }),
    ];
    for (verdict, packet) in refused {
        assert_eq!(kernel.judge(&packet.to_frame()), verdict);
        assert_eq!(kernel.drain(), [], "after {verdict:?}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_full_ring_keeps_what_it_has_refuses_the_rest_and_recovers() {
    let mut kernel = Kernel::filled();
    let capacity = usize::try_from(RING_SIZE).unwrap() / (candidate::SIZE + RING_HEADER);
    assert_eq!(capacity, 6_898, "the number that the documentation of RING_SIZE gives");
    // The source port tells the packets apart; there are fewer of them than ports.
    let knocks = |from: usize, count: usize| {
        (from..from + count).map(|n| Packet {
            source_port: u16::try_from(n).unwrap(),
            ..Packet::to(OURS[0], PORT, &knock(KEY))
        })
    };
    let ports = |records: Vec<Candidate>| -> Vec<usize> {
        records.into_iter().map(|record| record.source_port.into()).collect()
    };

    for packet in knocks(0, capacity) {
        assert_eq!(kernel.judge(&packet.to_frame()), Verdict::Candidate, "{packet:?}");
    }
    for packet in knocks(capacity, 100) {
        assert_eq!(kernel.judge(&packet.to_frame()), Verdict::RingFull);
    }
    let unknown = Packet::to(OURS[0], PORT, &[0xff; 94]);
    assert_eq!(kernel.judge(&unknown.to_frame()), Verdict::UnknownKey, "as ever");

    // Room for one is room for one.
    assert_eq!(kernel.next_record().unwrap().source_port, 0);
    for (packet, expected) in knocks(20_000, 2).zip([Verdict::Candidate, Verdict::RingFull]) {
        assert_eq!(kernel.judge(&packet.to_frame()), expected);
    }
    assert_eq!(ports(kernel.drain()), (1..capacity).chain([20_000]).collect::<Vec<_>>());

    for packet in knocks(30_000, capacity) {
        assert_eq!(kernel.judge(&packet.to_frame()), Verdict::Candidate, "{packet:?}");
    }
    let expected: Vec<_> = (30_000..30_000 + capacity).collect();
    assert_eq!(ports(kernel.drain()), expected);
}
