//! One sentence for every way a frame can be odd.

use std::net::IpAddr;

use ruroco_common::headers::{
    self,
    Fault::{self, Fragment, Malformed},
    Frame, Payload, Udp,
};

use crate::frames::{
    self, AUTHENTICATION, DESTINATION_OPTIONS, ESP, Extension, HOP_BY_HOP, IPV4_MORE_FRAGMENTS,
    IPV6_MORE_FRAGMENTS, NO_NEXT_HEADER, Packet, ROUTING, TCP,
};

const PORT: u16 = 8080;
const PAYLOAD: &[u8] = b"ninety-four bytes, or any other number";
/// What is documented; written out, so that the constant cannot change unnoticed.
const MAX_EXTENSION_HEADERS: usize = 8;
const NO_OPTIONS: Extension = Extension::Common(DESTINATION_OPTIONS, 0);

fn v4() -> Packet {
    Packet::to([192, 0, 2, 1].into(), PORT, PAYLOAD)
}

fn v6() -> Packet {
    Packet::to([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), PORT, PAYLOAD)
}

fn v6_with(extensions: &[Extension]) -> Packet {
    Packet { extensions: extensions.to_vec(), ..v6() }
}

/// What is checked of a result; its addresses and ports are checked against the packet.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Other,
    Hidden,
    Portless(Fault),
    Refused(Fault),
    Payload(Vec<u8>),
}
use Outcome::{Hidden, Other, Portless, Refused};

fn outcome_of(packet: &Packet, frame: &[u8]) -> Outcome {
    let own = |address| IpAddr::from(address) == packet.destination;
    match headers::parse(frame) {
        Frame::Other => Other,
        Frame::Hidden => Hidden,
        Frame::Portless { destination, fault } => {
            assert!(own(destination), "to {destination}");
            Portless(fault)
        }
        Frame::Udp(Udp { source, destination, source_port, destination_port, payload }) => {
            assert!(own(destination), "to {destination}");
            assert_eq!(IpAddr::from(source), packet.source);
            assert_eq!((source_port, destination_port), (packet.source_port, PORT));
            match payload {
                Err(fault) => Refused(fault),
                Ok(Payload { length, start }) => {
                    Outcome::Payload(start[..usize::from(length)].to_vec())
                }
            }
        }
    }
}

fn outcome(packet: &Packet) -> Outcome {
    outcome_of(packet, &packet.to_frame())
}

/// The outcome after `change` has been made to the frame.
fn outcome_after(packet: &Packet, change: impl FnOnce(&mut Vec<u8>)) -> Outcome {
    let mut frame = packet.to_frame();
    change(&mut frame);
    outcome_of(packet, &frame)
}

fn found() -> Outcome {
    Outcome::Payload(PAYLOAD.to_vec())
}

#[test]
fn a_plain_packet_yields_its_payload() {
    assert_eq!(outcome(&v4()), found());
    assert_eq!(outcome(&v6()), found());
}

#[test]
fn ethernet_padding_is_not_payload() {
    for packet in [v4(), v6()] {
        assert_eq!(outcome(&Packet { padding: 18, ..packet }), found());
    }
    let short = Packet { payload: Vec::new(), ..v4() }.padded();
    assert_eq!(short.to_frame().len(), frames::ETHERNET_MINIMUM);
    assert_eq!(outcome(&short), Outcome::Payload(Vec::new()));
}

#[test]
fn up_to_three_vlan_tags_of_any_kind_are_looked_through() {
    for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x9100, 0x8100], &[0x88a8, 0x8100, 0x8100]] {
        for packet in [v4(), v6()] {
            assert_eq!(outcome(&Packet { vlan_tags: tags.to_vec(), ..packet }), found());
        }
    }
}

#[test]
fn what_is_behind_a_fourth_vlan_tag_is_hidden() {
    for packet in [v4(), v6()] {
        assert_eq!(outcome(&Packet { vlan_tags: vec![0x8100; 4], ..packet }), Hidden);
    }
}

#[test]
fn a_frame_cut_off_within_a_vlan_tag_is_nobodys() {
    let packet = Packet { vlan_tags: vec![0x8100], ..v4() };
    assert_eq!(outcome_after(&packet, |frame| frame.truncate(17)), Other);
}

#[test]
fn arp_is_nobodys() {
    let to_arp = |frame: &mut Vec<u8>| frame[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(outcome_after(&v4(), to_arp), Other);
}

#[test]
fn other_protocols_are_nobodys_whatever_stands_before_them() {
    for protocol in [1, TCP, ESP, 58, NO_NEXT_HEADER, 132] {
        assert_eq!(outcome(&Packet { protocol, ..v4() }), Other, "{protocol}");
        let after_authentication = vec![Extension::Authentication(1)];
        let packet = Packet { protocol, extensions: after_authentication, ..v4() };
        assert_eq!(outcome(&packet), Other, "{protocol}");
        for count in 0..=MAX_EXTENSION_HEADERS {
            let packet = Packet { protocol, ..v6_with(&vec![NO_OPTIONS; count]) };
            assert_eq!(outcome(&packet), Other, "{protocol} behind {count} headers");
        }
    }
}

#[test]
fn every_size_of_ipv4_options_is_stepped_over() {
    for ipv4_options in 1..=10 {
        assert_eq!(outcome(&Packet { ipv4_options, ..v4() }), found());
    }
}

#[test]
fn an_ipv4_header_that_claims_less_than_its_fixed_fields_hides_the_port() {
    for words in 0..5 {
        let shrink = |frame: &mut Vec<u8>| frame[14] = 0x40 | words;
        assert_eq!(outcome_after(&v4(), shrink), Portless(Malformed));
    }
}

#[test]
fn ipv4_options_cut_off_hide_the_port() {
    let packet = Packet { ipv4_options: 10, ..v4() };
    let cut = |frame: &mut Vec<u8>| frame.truncate(14 + 59);
    assert_eq!(outcome_after(&packet, cut), Portless(Malformed));
}

#[test]
fn an_ipv4_header_cut_off_is_nobodys() {
    assert_eq!(outcome_after(&v4(), |frame| frame.truncate(14 + 19)), Other);
}

#[test]
fn an_ipv6_header_cut_off_is_nobodys() {
    for length in 14..14 + 40 {
        assert_eq!(outcome_after(&v6(), |frame| frame.truncate(length)), Other);
    }
}

#[test]
fn a_version_that_contradicts_the_ethernet_type_is_malformed() {
    assert_eq!(outcome_after(&v4(), |frame| frame[14] = 0x65), Refused(Malformed));
    assert_eq!(outcome_after(&v6(), |frame| frame[14] = 0x40), Refused(Malformed));
}

#[test]
fn an_ip_length_beyond_the_frame_is_malformed() {
    for packet in [v4(), v6()] {
        let packet = Packet { ip_length_lie: 1, ..packet };
        assert_eq!(outcome(&packet), Refused(Malformed));
    }
}

#[test]
fn an_ip_length_that_cuts_into_the_payload_is_malformed() {
    for packet in [v4(), v6()] {
        assert_eq!(outcome(&Packet { ip_length_lie: -1, ..packet }), Refused(Malformed));
    }
}

#[test]
fn a_udp_header_that_the_ip_length_excludes_is_padding_and_has_no_port() {
    let payload = i16::try_from(PAYLOAD.len()).unwrap();
    for packet in [v4(), v6(), v6_with(&[NO_OPTIONS]), Packet { ipv4_options: 3, ..v4() }] {
        for ip_length_lie in -payload - 8..-payload {
            let packet = Packet { ip_length_lie, ..packet.clone() };
            assert_eq!(outcome(&packet), Portless(Malformed), "{ip_length_lie}");
        }
        let packet = Packet { ip_length_lie: -payload, ..packet };
        assert_eq!(outcome(&packet), Refused(Malformed));
    }
}

#[test]
fn an_ip_length_that_excludes_its_own_headers_hides_the_port() {
    for length in 0..20 {
        let shrink = |frame: &mut Vec<u8>| frame[16..18].copy_from_slice(&[0, length]);
        assert_eq!(outcome_after(&v4(), shrink), Portless(Malformed));
    }
    for length in 0..8 {
        let shrink = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, length]);
        assert_eq!(outcome_after(&v6_with(&[NO_OPTIONS]), shrink), Portless(Malformed));
    }
}

#[test]
fn a_udp_header_cut_off_hides_the_port() {
    for packet in [v4(), v6()] {
        let header_ends = packet.end() - PAYLOAD.len();
        for length in header_ends - 8..header_ends {
            let cut = |frame: &mut Vec<u8>| frame.truncate(length);
            assert_eq!(outcome_after(&packet, cut), Portless(Malformed));
        }
    }
}

#[test]
fn a_payload_cut_off_is_malformed() {
    for packet in [v4(), v6()] {
        for length in packet.end() - PAYLOAD.len()..packet.end() {
            let cut = |frame: &mut Vec<u8>| frame.truncate(length);
            assert_eq!(outcome_after(&packet, cut), Refused(Malformed));
        }
    }
}

#[test]
fn a_udp_length_other_than_that_of_the_ip_payload_is_malformed() {
    let truth = i16::try_from(8 + PAYLOAD.len()).unwrap();
    for packet in [v4(), v6()] {
        for length in (0..truth).chain([truth + 1, truth + 18, 1500, i16::MAX]) {
            let udp_length_lie = length - truth;
            // With padding, so that bytes for a longer payload are there.
            let packet = Packet { udp_length_lie, padding: 18, ..packet.clone() };
            assert_eq!(outcome(&packet), Refused(Malformed), "UDP length {length}");
        }
    }
}

#[test]
fn the_first_of_several_ipv4_fragments_is_a_fragment() {
    let packet = Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..v4() };
    assert_eq!(outcome(&packet), Refused(Fragment));
}

#[test]
fn a_later_ipv4_fragment_is_nobodys() {
    for bit in 0..13 {
        for ipv4_fragment in [1 << bit, IPV4_MORE_FRAGMENTS | 1 << bit] {
            assert_eq!(outcome(&Packet { ipv4_fragment, ..v4() }), Other, "bit {bit}");
        }
    }
}

#[test]
fn the_flags_of_ipv4_that_mean_no_fragment_change_nothing() {
    for ipv4_fragment in [0x4000, 0x8000] {
        assert_eq!(outcome(&Packet { ipv4_fragment, ..v4() }), found());
    }
}

#[test]
fn the_first_ipv4_fragment_without_its_udp_header_is_a_fragment_that_hides_its_port() {
    let packet = Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..v4() };
    let cut = |frame: &mut Vec<u8>| {
        frame.truncate(14 + 20 + 4);
        frame[16..18].copy_from_slice(&[0, 24]);
    };
    assert_eq!(outcome_after(&packet, cut), Portless(Fragment));
}

#[test]
fn an_ipv6_fragment_is_a_fragment_even_if_it_is_the_only_one() {
    for field in [0, IPV6_MORE_FRAGMENTS, 6] {
        assert_eq!(outcome(&v6_with(&[Extension::Fragment(field)])), Refused(Fragment));
        let behind_options = v6_with(&[NO_OPTIONS, Extension::Fragment(field)]);
        assert_eq!(outcome(&behind_options), Refused(Fragment));
    }
}

#[test]
fn a_later_ipv6_fragment_is_nobodys() {
    for bit in 3..16 {
        for field in [1 << bit, IPV6_MORE_FRAGMENTS | 1 << bit] {
            assert_eq!(outcome(&v6_with(&[Extension::Fragment(field)])), Other, "bit {bit}");
        }
    }
}

#[test]
fn a_first_ipv6_fragment_with_half_a_chain_is_a_fragment_that_hides_its_port() {
    let packet = v6_with(&[Extension::Fragment(IPV6_MORE_FRAGMENTS), NO_OPTIONS]);
    for chain in 8..16_u8 {
        let cut = |frame: &mut Vec<u8>| {
            frame.truncate(14 + 40 + usize::from(chain));
            frame[18..20].copy_from_slice(&[0, chain]);
        };
        assert_eq!(outcome_after(&packet, cut), Portless(Fragment));
    }
    // Padding in the place of the chain's other half does not stand in for it.
    let shorten = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, 16]);
    assert_eq!(outcome_after(&packet, shorten), Portless(Fragment));
}

#[test]
fn a_fragment_that_is_also_malformed_is_malformed() {
    let packet = Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ip_length_lie: 1, ..v4() };
    assert_eq!(outcome(&packet), Refused(Malformed));
}

#[test]
fn every_kind_of_extension_header_is_stepped_over() {
    for number in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, 135, 139, 140] {
        for length in [0, 1, 7, 255] {
            assert_eq!(outcome(&v6_with(&[Extension::Common(number, length)])), found());
        }
    }
    for length in [1, 4, 255] {
        let authentication = vec![Extension::Authentication(length)];
        assert_eq!(outcome(&v6_with(&authentication)), found());
        assert_eq!(outcome(&Packet { extensions: authentication, ..v4() }), found());
    }
}

#[test]
fn extension_headers_are_followed_up_to_the_limit() {
    let most = [NO_OPTIONS; MAX_EXTENSION_HEADERS];
    assert_eq!(outcome(&v6_with(&most)), found());
    let longest = [Extension::Common(DESTINATION_OPTIONS, 255); MAX_EXTENSION_HEADERS];
    assert_eq!(outcome(&v6_with(&longest)), found());
}

#[test]
fn more_extension_headers_than_the_limit_hide_the_port() {
    for more in 1..=3 {
        let chain = vec![NO_OPTIONS; MAX_EXTENSION_HEADERS + more];
        assert_eq!(outcome(&v6_with(&chain)), Portless(Malformed));
    }
    let mut fragment = vec![NO_OPTIONS; MAX_EXTENSION_HEADERS];
    fragment.insert(0, Extension::Fragment(IPV6_MORE_FRAGMENTS));
    assert_eq!(outcome(&v6_with(&fragment)), Portless(Fragment));
}

#[test]
fn hop_by_hop_options_anywhere_but_first_are_malformed() {
    let hop_by_hop = Extension::Common(HOP_BY_HOP, 0);
    assert_eq!(outcome(&v6_with(&[hop_by_hop, NO_OPTIONS])), found());
    assert_eq!(outcome(&v6_with(&[NO_OPTIONS, hop_by_hop])), Refused(Malformed));
    assert_eq!(outcome(&v6_with(&[hop_by_hop, hop_by_hop])), Refused(Malformed));
}

#[test]
fn an_extension_header_cut_off_hides_the_port() {
    let packet = v6_with(&[Extension::Common(DESTINATION_OPTIONS, 1)]);
    for length in 14 + 40..14 + 40 + 16 {
        let cut = |frame: &mut Vec<u8>| frame.truncate(length);
        assert_eq!(outcome_after(&packet, cut), Portless(Malformed));
    }
}

#[test]
fn an_authentication_header_shorter_than_its_fixed_fields_hides_the_port() {
    let extensions = vec![Extension::Authentication(0)];
    assert_eq!(outcome(&v6_with(&extensions)), Portless(Malformed));
    assert_eq!(outcome(&Packet { extensions, ..v4() }), Portless(Malformed));
}

#[test]
fn an_authentication_header_cut_off_hides_the_port() {
    let packet = Packet { extensions: vec![Extension::Authentication(2)], ..v4() };
    for length in 34..34 + 16 {
        let cut = |frame: &mut Vec<u8>| frame.truncate(length);
        assert_eq!(outcome_after(&packet, cut), Portless(Malformed));
    }
}

#[test]
fn a_second_authentication_header_in_ipv4_is_nobodys() {
    let packet = Packet { protocol: AUTHENTICATION, ..v4() };
    let packet = Packet { extensions: vec![Extension::Authentication(1)], ..packet };
    assert_eq!(outcome(&packet), Other);
}

#[test]
fn an_ipv6_header_with_ipv4_mapped_addresses_is_malformed() {
    let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]);
    // The parser reports the address in its one form, which is IPv4.
    for (source, destination) in [(mapped, v6().destination), (v6().source, mapped)] {
        let frame = Packet { source, destination, ..v6() }.to_frame();
        let Frame::Udp(udp) = headers::parse(frame.as_slice()) else { panic!("not UDP") };
        assert_eq!(udp.payload, Err(Malformed));
    }
}

#[test]
fn a_frame_without_its_ethernet_header_is_nobodys() {
    for length in 0..frames::ETHERNET_SIZE {
        assert_eq!(outcome_after(&v4(), |frame| frame.truncate(length)), Other);
    }
}
