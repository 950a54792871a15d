//! What the generator writes, read by a parser that is not ours.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ruroco_lab::network::{PORT, SERVER};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    frame::{self, Frame, KeyId, Plan, Random, neutral},
    generator::Recipe,
    packets,
};

const DATAGRAM: [u8; 94] = [0x5a; 94];
const DOOR: u16 = 2222;
const KEY_ID: KeyId = [0x6b6b; 4];

/// A thousand frames that are made of each other.
fn written(kind: u32, source_bits: u32) -> Vec<Vec<u8>> {
    written_over(&packets::frame(&[0; 94]), kind, source_bits)
}

fn written_over(first: &[u8], kind: u32, source_bits: u32) -> Vec<Vec<u8>> {
    let mut frame = Frame::read_from_bytes(first).unwrap();
    let recipe = Recipe::new(kind, source_bits, &DATAGRAM).at_door(SERVER.v4, DOOR).unwrap();
    let plan = Plan { port: PORT.to_be(), ..recipe.plan };
    let frames = (0..1000).map(|seed| {
        frame.write(&plan, &KEY_ID, &mut Random::new(seed));
        frame.as_bytes().to_vec()
    });
    frames.collect()
}

fn sources(frames: &[Vec<u8>]) -> Vec<[u8; 4]> {
    let mut sources: Vec<[u8; 4]> =
        frames.iter().map(|frame| frame[26..30].try_into().unwrap()).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

#[test]
fn whatever_is_written_the_checksum_stays_right() {
    for kind in 0..=frame::SYN_AND_FORGED {
        for frame in written(kind, 24) {
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("not IPv4") };
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "kind {kind}");
            assert_eq!(header.source[0], 10, "a private address");
        }
    }
}

#[test]
fn each_kind_is_what_its_name_says() {
    let payloads = |kind| -> Vec<Vec<u8>> {
        let frames = written(kind, 24);
        let payload = |frame: &Vec<u8>| {
            let packet = SlicedPacket::from_ethernet(frame).unwrap();
            match packet.transport {
                Some(TransportSlice::Udp(udp)) => udp.payload().to_vec(),
                _ => panic!("not UDP: {frame:02x?}"),
            }
        };
        frames.iter().map(payload).collect()
    };
    assert!(payloads(frame::WRONG_LENGTH).iter().all(|payload| payload.len() == 93));
    assert!(payloads(frame::REPLAY).iter().all(|payload| *payload == DATAGRAM));
    let mut forged = payloads(frame::FORGED);
    assert!(forged.iter().all(|payload| payload.len() == 94 && payload[..8] == [0x6b; 8]));
    forged.dedup();
    assert_eq!(forged.len(), 1000, "no two are alike");
    let random = payloads(frame::RANDOM);
    assert!(random.iter().all(|payload| payload.len() == 94 && payload[..8] != [0x6b; 8]));
    let letters = payloads(frame::LETTERS);
    assert!(letters.iter().all(|payload| payload[..16].iter().all(u8::is_ascii_uppercase)));
}

#[test]
fn a_syn_goes_to_the_door_with_a_right_checksum_whatever_the_frame_was_before() {
    let mut syns = 0;
    for kind in [frame::SYN, frame::SYN_AND_FORGED] {
        for frame in written(kind, 20) {
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("not IPv4") };
            let ip = ip.header().to_header();
            match &packet.transport {
                Some(TransportSlice::Tcp(tcp)) => {
                    let header = tcp.to_header();
                    let flags = [header.ack, header.rst, header.fin, header.psh, header.urg];
                    assert!(header.syn && flags == [false; 5] && tcp.payload().is_empty());
                    assert_eq!(
                        (ip.destination, header.destination_port),
                        (SERVER.v4.octets(), DOOR)
                    );
                    let right = header.calc_checksum_ipv4(&ip, &[]).unwrap();
                    assert_eq!(header.checksum % 0xffff, right % 0xffff);
                    syns += 1;
                }
                Some(TransportSlice::Udp(udp)) => {
                    assert_eq!(udp.destination_port(), PORT);
                    assert_eq!((udp.payload().len(), udp.checksum()), (94, 0));
                    assert_eq!(kind, frame::SYN_AND_FORGED);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!((1400..1600).contains(&syns), "all of the first, half of the second: {syns}");
}

#[test]
fn a_whole_frame_stays_as_it_is() {
    let first = packets::frame(&DATAGRAM);
    assert_eq!(written_over(&first, frame::WHOLE, 24), vec![first; 1000]);
}

#[test]
fn fragments_claim_that_more_is_to_come_and_nothing_else_does() {
    let more = |kind| written(kind, 24).iter().filter(|frame| frame[20] == 0x20).count();
    assert_eq!(more(frame::FRAGMENT), 1000);
    assert_eq!(more(frame::FORGED), 0);
    assert!((100..300).contains(&more(frame::MIX)), "a fifth of the mix");
}

#[test]
fn there_are_as_many_sources_as_were_asked_for() {
    assert_eq!(sources(&written(frame::FORGED, 0)), [[10, 0, 0, 0]]);
    assert_eq!(sources(&written(frame::FORGED, 2)).len(), 4);
    assert!(sources(&written(frame::FORGED, 24)).len() > 990);
}

#[test]
fn a_word_makes_up_for_what_the_others_lost() {
    // RFC 1071, section 3: these words have the sum 0xddf2.
    let words = [0x0001_u16, 0xf203, 0xf4f5, 0xf6f7];
    let sum = |words: &[u16]| {
        words.iter().fold(0_u16, |sum, word| {
            let (sum, carry) = sum.overflowing_add(*word);
            sum + u16::from(carry)
        })
    };
    assert_eq!(sum(&words), 0xddf2);
    for changed in [[0, 0], [0xffff, 0xffff], [0x1234, 0xfedc]] {
        let last = neutral(words[3], [words[0], words[1]], changed);
        let after = [changed[0], changed[1], words[2], last];
        assert_eq!(sum(&after) % 0xffff, sum(&words) % 0xffff);
    }
}
