//! The parser stays inside the frame, comes to an end, and says nothing that it has not read.
//!
//! That a slice cannot be read beyond its end is Rust's doing. What is shown here is what the
//! kernel's cursor relies on as well: the contract of [`Cursor`](ruroco_common::headers::Cursor) is kept, a cursor that
//! came up short is not asked again, and the answer depends on the bytes of the packet alone.

use proptest::prelude::*;

use crate::{
    anywhere, frames,
    properties::{
        depends_on_what_it_read, is_no_better_cut_short, parse, parse_watched, payload, shape,
        stays_within,
    },
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn what_lies_behind_the_frame_is_never_read(
        frame in frames::twisted(&anywhere()), behind: [u8; 64]
    ) {
        stays_within(&frame, &behind);
    }

    #[test]
    fn random_bytes_come_to_an_end_within_the_frame(
        bytes in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        stays_within(&bytes, &[]);
    }

    #[test]
    fn bytes_that_were_not_read_change_nothing(
        frame in frames::twisted(&anywhere()), flip: u8
    ) {
        depends_on_what_it_read(&frame, flip);
    }

    #[test]
    fn padding_changes_nothing_about_a_packet(
        packet in prop_oneof![frames::honest(&anywhere()), frames::honest_tcp(&anywhere())],
        ip_length_lie in -80..1_i16,
        udp_length_lie in -9..9_i16,
        fragment in prop_oneof![Just(None), prop_oneof![Just(0_u16), Just(1)].prop_map(Some)],
        padding in proptest::collection::vec(any::<u8>(), 0..64)
    ) {
        let mut packet = frames::Packet { padding: 0, ip_length_lie, udp_length_lie, ..packet };
        if let Some(field) = fragment.filter(|_| packet.destination.is_ipv6()) {
            packet.extensions.insert(0, frames::Extension::Fragment(field));
        }
        let bare = packet.to_frame();
        // An IPv6 payload length of 0 before hop-by-hop options means all that the frame has.
        let length = i16::try_from(bare.len() - 14 - 4 * packet.vlan_tags.len()).unwrap();
        prop_assume!(packet.destination.is_ipv4() || length - 40 + ip_length_lie != 0);
        let padded: Vec<u8> = bare.iter().chain(&padding).copied().collect();
        let (bare, padded) = (parse(&bare), parse(&padded));
        prop_assert_eq!(shape(padded), shape(bare));
    }
}

proptest! {
    // Each case is one frame at all its lengths.
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_frame_cut_short_has_no_payload_and_one_cut_behind_its_payload_has_the_same(
        packet in frames::honest(&anywhere())
    ) {
        let (frame, end) = (packet.to_frame(), packet.end());
        for length in 0..=frame.len() {
            let (watched, _) = parse_watched(&frame, length);
            prop_assert_eq!(watched, parse(&frame[..length]));
            let expected = (length >= end).then_some(packet.payload.as_slice());
            prop_assert_eq!(payload(&watched), expected, "cut to {} of {} bytes", length, end);
        }
    }

    #[test]
    fn cutting_a_frame_short_never_makes_it_acceptable(frame in frames::twisted(&anywhere())) {
        is_no_better_cut_short(&frame);
    }
}
