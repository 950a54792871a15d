//! The parser and etherparse accept the same packets, and find the same in them.

use std::net::IpAddr;

use proptest::prelude::*;
use ruroco_common::headers::{self, Frame};

use crate::{
    anywhere,
    frames::{self, Packet},
    oracle,
};

/// What both sides must find in a packet they accept: addresses, ports, payload.
type Content = (IpAddr, IpAddr, u16, u16, Vec<u8>);

fn accepted(frame: &[u8]) -> Option<Content> {
    let Frame::Udp(udp) = headers::parse(frame) else { return None };
    let payload = udp.payload.ok()?;
    Some((
        udp.source.into(),
        udp.destination.into(),
        udp.source_port,
        udp.destination_port,
        payload.start[..usize::from(payload.length)].to_vec(),
    ))
}

fn content(packet: oracle::Packet) -> Content {
    let oracle::Packet { source, destination, source_port, destination_port, payload, .. } = packet;
    (source, destination, source_port, destination_port, payload)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_honest_packet_is_accepted_with_the_content_it_was_made_from(
        packet in frames::honest(&anywhere())
    ) {
        let frame = packet.to_frame();
        let Packet { source, destination, source_port, destination_port, payload, .. } = packet;
        let expected = (source, destination, source_port, destination_port, payload);
        prop_assert_eq!(accepted(&frame), Some(expected));
    }

    #[test]
    fn what_is_accepted_is_what_etherparse_accepts_within_the_documented_limits(
        frame in frames::twisted(&anywhere())
    ) {
        let theirs = oracle::read(&frame).filter(oracle::Packet::within_limits).map(content);
        prop_assert_eq!(accepted(&frame), theirs);
    }

    #[test]
    fn frames_of_random_bytes_are_read_as_etherparse_reads_them(
        ipv6: bool, bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        // Random types would end the matter at the Ethernet header; the next layer is likely.
        let mut frame = bytes;
        if let Some(next) = frame.get_mut(12..15) {
            next.copy_from_slice(if ipv6 { &[0x86, 0xdd, 0x60] } else { &[0x08, 0x00, 0x45] });
        }
        let theirs = oracle::read(&frame).filter(oracle::Packet::within_limits).map(content);
        prop_assert_eq!(accepted(&frame), theirs);
    }
}

/// The comparison above means something only if many frames are accepted and many are not.
#[test]
fn the_generator_makes_accepted_and_refused_frames_of_every_kind() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = frames::twisted(&anywhere());
    let (mut ok, mut faulty, mut portless, mut other, mut beyond) = (0, 0, 0, 0, 0);
    for _ in 0..2_000 {
        let frame = strategy.new_tree(&mut runner).unwrap().current();
        match headers::parse(frame.as_slice()) {
            Frame::Udp(udp) if udp.payload.is_ok() => ok += 1,
            Frame::Udp(_) => faulty += 1,
            Frame::Portless { .. } => portless += 1,
            Frame::Other | Frame::Hidden => other += 1,
        }
        if oracle::read(&frame).is_some_and(|packet| !packet.within_limits()) {
            beyond += 1;
        }
    }
    for (kind, count) in [
        ("ok", ok),
        ("faulty", faulty),
        ("portless", portless),
        ("other", other),
        ("beyond", beyond),
    ] {
        assert!(count > 50, "only {count} frames of 2,000 are {kind}");
    }
}
