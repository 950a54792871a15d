//! The parser and etherparse accept the same packets, and find the same in them.

use proptest::prelude::*;
use ruroco_common::headers::{self, Frame, Scope};

use crate::{
    anywhere,
    content::{self, Content},
    frames::{self, Packet},
    oracle::{self, Transport},
    properties::{agrees_with_etherparse, is_no_way_round, tcp_is_other_where_it_is_not_needed},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_honest_packet_is_accepted_with_the_content_it_was_made_from(
        packet in frames::honest(&anywhere())
    ) {
        let frame = packet.to_frame();
        let Packet { source, destination, source_port, destination_port, payload, .. } = packet;
        let transport = Transport::Udp(&payload);
        let expected = Content { source, destination, source_port, destination_port, transport };
        prop_assert_eq!(content::ours(&frame), Some(expected));
    }

    #[test]
    fn every_honest_tcp_packet_is_accepted_with_the_content_it_was_made_from(
        packet in frames::honest_tcp(&anywhere())
    ) {
        let frame = packet.to_frame();
        let Packet { source, destination, source_port, destination_port, tcp, .. } = packet;
        let transport = Transport::Tcp(tcp.unwrap().flags);
        let expected = Content { source, destination, source_port, destination_port, transport };
        prop_assert_eq!(content::ours(&frame), Some(expected));
    }

    #[test]
    fn what_is_accepted_is_what_etherparse_accepts_within_the_documented_limits(
        frame in frames::twisted(&anywhere())
    ) {
        agrees_with_etherparse(&frame);
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
        agrees_with_etherparse(&frame);
    }

    #[test]
    fn no_twist_makes_a_packet_pass_for_something_else(
        frame in frames::twisted(&anywhere())
    ) {
        is_no_way_round(&frame);
    }

    #[test]
    fn who_needs_no_tcp_finds_all_else(frame in frames::twisted(&anywhere())) {
        tcp_is_other_where_it_is_not_needed(&frame);
    }
}

/// The comparison above means something only if many frames are accepted and many are not.
#[test]
fn the_generator_makes_accepted_and_refused_frames_of_every_kind() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = frames::twisted(&anywhere());
    let (mut ok, mut faulty, mut incomplete, mut other, mut beyond) = (0, 0, 0, 0, 0);
    let (mut tcp, mut piece, mut without_flags, mut portless) = (0, 0, 0, 0);
    for _ in 0..8_000 {
        let frame = strategy.new_tree(&mut runner).unwrap().current();
        match headers::parse(frame.as_slice(), Scope::UdpAndTcp) {
            Frame::Udp(udp) if udp.payload.is_ok() => ok += 1,
            Frame::Udp(_) => faulty += 1,
            Frame::Incomplete { .. } => incomplete += 1,
            Frame::Portless { .. } => portless += 1,
            Frame::Tcp(found) if found.flags.is_none() => without_flags += 1,
            Frame::Tcp(found) if found.more_fragments => piece += 1,
            Frame::Tcp(_) => tcp += 1,
            Frame::Other | Frame::Hidden | Frame::Endless { .. } => other += 1,
        }
        if oracle::read(&frame).is_some_and(|packet| !packet.within_limits()) {
            beyond += 1;
        }
    }
    for (kind, count) in [
        ("ok", ok),
        ("faulty", faulty),
        ("incomplete", incomplete),
        ("other", other),
        ("beyond", beyond),
        ("TCP", tcp),
        ("a piece of TCP", piece),
        ("a piece without flags", without_flags),
        ("without ports", portless),
    ] {
        assert!(count > 15, "only {count} frames of 8,000 are {kind}");
    }
}
