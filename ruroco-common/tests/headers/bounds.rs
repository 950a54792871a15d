//! The parser stays inside the frame, comes to an end, and says nothing that it has not read.
//!
//! That a slice cannot be read beyond its end is Rust's doing. What is shown here is what the
//! kernel's cursor relies on as well: the contract of [`Cursor`] is kept, a cursor that came up
//! short is not asked again, and the answer depends on the bytes of the packet alone.

use std::cell::Cell;

use proptest::prelude::*;
use ruroco_common::headers::{
    self, Cursor, Frame, MAX_EXTENSION_HEADERS, MAX_SKIP, MAX_VLAN_TAGS, Payload, Udp,
};

use crate::{anywhere, frames};

/// Ethernet, VLAN tags, three pieces of an IPv6 header, two moves for each extension header, UDP.
const MOST_MOVES: usize = 1 + MAX_VLAN_TAGS + 3 + 2 * MAX_EXTENSION_HEADERS + 1;

/// What a parse did to its cursor.
#[derive(Default)]
struct Watch {
    moves: Cell<usize>,
    furthest: Cell<usize>,
    came_up_short: Cell<bool>,
}

/// A cursor over a frame that stands in other memory, as in the kernel: it knows where the frame
/// ends and that more lies behind.
#[derive(Clone, Copy)]
struct Watched<'a> {
    memory: &'a [u8],
    at: usize,
    end: usize,
    watch: &'a Watch,
}

impl Watched<'_> {
    fn advance(&mut self, count: usize) -> Option<usize> {
        assert!(!self.watch.came_up_short.get(), "read on after the frame had ended");
        self.watch.moves.set(self.watch.moves.get() + 1);
        if count > self.remaining() {
            self.watch.came_up_short.set(true);
            return None;
        }
        let from = self.at;
        self.at += count;
        self.watch.furthest.set(self.watch.furthest.get().max(self.at));
        Some(from)
    }
}

impl Cursor for Watched<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let from = self.advance(N)?;
        self.memory[from..].first_chunk().copied()
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        assert!(count <= MAX_SKIP, "skips {count} bytes");
        self.advance(count).map(|_| ())
    }

    fn remaining(&self) -> usize {
        self.end - self.at
    }
}

/// Parses the first `end` bytes of `memory`; the result as if from a slice, and how far it read.
fn parse_watched(memory: &[u8], end: usize) -> (Frame<&[u8]>, usize) {
    let watch = Watch::default();
    let parsed = headers::parse(Watched { memory, at: 0, end, watch: &watch });
    assert!(watch.moves.get() <= MOST_MOVES, "{} moves", watch.moves.get());
    assert!(watch.furthest.get() <= end);
    let result = match parsed {
        Frame::Other => Frame::Other,
        Frame::Hidden => Frame::Hidden,
        Frame::Portless { destination, fault } => Frame::Portless { destination, fault },
        Frame::Udp(Udp { source, destination, source_port, destination_port, payload }) => {
            let payload = payload.map(|Payload { length, start }| {
                assert!(start.at + usize::from(length) <= end, "a payload beyond the frame");
                Payload { length, start: &memory[start.at..end] }
            });
            Frame::Udp(Udp { source, destination, source_port, destination_port, payload })
        }
    };
    (result, watch.furthest.get())
}

/// The payload's bytes, if there is one.
fn payload<'a>(frame: &Frame<&'a [u8]>) -> Option<&'a [u8]> {
    let Frame::Udp(udp) = frame else { return None };
    udp.payload.ok().map(|payload| &payload.start[..usize::from(payload.length)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn what_lies_behind_the_frame_is_never_read(
        frame in frames::twisted(&anywhere()), behind: [u8; 64]
    ) {
        let memory: Vec<u8> = frame.iter().chain(&behind).copied().collect();
        let (watched, _) = parse_watched(&memory, frame.len());
        prop_assert_eq!(watched, headers::parse(frame.as_slice()));
    }

    #[test]
    fn random_bytes_come_to_an_end_within_the_frame(
        bytes in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        let (watched, _) = parse_watched(&bytes, bytes.len());
        prop_assert_eq!(watched, headers::parse(bytes.as_slice()));
    }

    #[test]
    fn bytes_that_were_not_read_change_nothing(
        frame in frames::twisted(&anywhere()), flip: u8
    ) {
        let (before, read) = parse_watched(&frame, frame.len());
        let mut changed = frame.clone();
        changed[read..].iter_mut().for_each(|byte| *byte ^= flip);
        let (after, read_again) = parse_watched(&changed, changed.len());
        prop_assert_eq!(read, read_again);
        prop_assert_eq!(shape(before), shape(after));
    }

    #[test]
    fn padding_changes_nothing_about_a_udp_packet(
        packet in frames::honest(&anywhere()),
        ip_length_lie in -80..1_i16,
        udp_length_lie in -9..9_i16,
        padding in proptest::collection::vec(any::<u8>(), 0..64)
    ) {
        let packet = frames::Packet { padding: 0, ip_length_lie, udp_length_lie, ..packet };
        let bare = packet.to_frame();
        let Frame::Udp(udp) = headers::parse(bare.as_slice()) else { return Ok(()) };
        let padded: Vec<u8> = bare.iter().chain(&padding).copied().collect();
        prop_assert_eq!(shape(headers::parse(padded.as_slice())), shape(Frame::Udp(udp)));
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
            prop_assert_eq!(watched, headers::parse(&frame[..length]));
            let expected = (length >= end).then_some(packet.payload.as_slice());
            prop_assert_eq!(payload(&watched), expected, "cut to {} of {} bytes", length, end);
        }
    }

    #[test]
    fn cutting_a_frame_short_never_makes_it_acceptable(frame in frames::twisted(&anywhere())) {
        let whole = headers::parse(frame.as_slice());
        for length in 0..frame.len() {
            let cut = headers::parse(&frame[..length]);
            if let Some(content) = payload(&cut) {
                prop_assert_eq!(Some(content), payload(&whole), "cut to {} bytes", length);
            }
        }
    }
}

/// The result without the bytes behind the headers.
fn shape(frame: Frame<&[u8]>) -> Frame<()> {
    match frame {
        Frame::Other => Frame::Other,
        Frame::Hidden => Frame::Hidden,
        Frame::Portless { destination, fault } => Frame::Portless { destination, fault },
        Frame::Udp(Udp { source, destination, source_port, destination_port, payload }) => {
            let payload = payload.map(|Payload { length, .. }| Payload { length, start: () });
            Frame::Udp(Udp { source, destination, source_port, destination_port, payload })
        }
    }
}
