//! One sentence for every way a frame can be odd, where only UDP is needed.

use std::net::IpAddr;

use ruroco_common::headers::{
    self, Addresses,
    Fault::{self, Fragment, Malformed},
    Frame, Ports, Scope, UDP_HEADER_SIZE, Udp,
};

use crate::frames::{
    self, AUTHENTICATION, DESTINATION_OPTIONS, ESP, Extension, FRAGMENT, HOP_BY_HOP,
    IPV4_MORE_FRAGMENTS, IPV6_MORE_FRAGMENTS, NO_NEXT_HEADER, Packet, ROUTING, TCP,
    UNKNOWN_TO_LINUX,
};

const PORT: u16 = 8080;
const PAYLOAD: &[u8] = b"ninety-four bytes, or any multiple of 8.";
/// Written out, so that the constants cannot change unnoticed.
const MAX_EXTENSION_HEADERS: usize = 200;
const MAX_VLAN_TAGS: usize = 400;
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
    Endless,
    Incomplete,
    Refused(Fault),
    Payload(Vec<u8>),
}
use Outcome::{Endless, Hidden, Incomplete, Other, Refused};

fn outcome_of(packet: &Packet, frame: &[u8]) -> Outcome {
    let own = |address| IpAddr::from(address) == packet.destination;
    match headers::parse(frame, Scope::Udp) {
        Frame::Other => Other,
        Frame::Hidden => Hidden,
        found @ (Frame::Tcp(_) | Frame::Portless { .. }) => panic!("not needed: {found:?}"),
        Frame::Endless { destination } => {
            assert!(own(destination), "to {destination}");
            Endless
        }
        Frame::Incomplete { destination } => {
            assert!(own(destination), "to {destination}");
            Incomplete
        }
        Frame::Udp(Udp {
            addresses: Addresses { source, destination },
            ports,
            length,
            payload,
        }) => {
            assert!(own(destination), "to {destination}");
            assert_eq!(IpAddr::from(source), packet.source);
            assert_eq!(ports, Ports { source: packet.source_port, destination: PORT });
            match payload {
                Err(fault) => Refused(fault),
                Ok(start) => {
                    let length = usize::from(length - UDP_HEADER_SIZE);
                    Outcome::Payload(start[..length].to_vec())
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
fn vlan_tags_of_any_kind_are_followed_up_to_the_limit() {
    let most = [0x8100; MAX_VLAN_TAGS];
    for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x88a8; 4], &most] {
        for packet in [v4(), v6()] {
            assert_eq!(outcome(&Packet { vlan_tags: tags.to_vec(), ..packet }), found());
        }
    }
}

#[test]
fn what_is_behind_more_vlan_tags_than_the_limit_is_hidden() {
    for packet in [v4(), v6()] {
        let vlan_tags = vec![0x8100; MAX_VLAN_TAGS + 1];
        assert_eq!(outcome(&Packet { vlan_tags, ..packet }), Hidden);
    }
}

#[test]
fn a_tag_that_linux_does_not_remove_is_nobodys() {
    for packet in [v4(), v6()] {
        for vlan_tags in [vec![0x9100], vec![0x8100, 0x9100]] {
            assert_eq!(outcome(&Packet { vlan_tags, ..packet.clone() }), Other);
        }
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
        for count in (0..20).chain([MAX_EXTENSION_HEADERS]) {
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
fn an_ipv4_header_that_claims_less_than_its_fixed_fields_has_no_port() {
    for words in 0..5 {
        let shrink = |frame: &mut Vec<u8>| frame[14] = 0x40 | words;
        assert_eq!(outcome_after(&v4(), shrink), Other);
    }
}

#[test]
fn ipv4_options_cut_off_lead_to_no_port() {
    let packet = Packet { ipv4_options: 10, ..v4() };
    let cut = |frame: &mut Vec<u8>| frame.truncate(14 + 59);
    assert_eq!(outcome_after(&packet, cut), Other);
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
fn a_packet_of_another_version_than_the_ethernet_type_is_discarded_by_linux_and_has_no_port() {
    assert_eq!(outcome_after(&v4(), |frame| frame[14] = 0x65), Other);
    assert_eq!(outcome_after(&v6(), |frame| frame[14] = 0x40), Other);
}

#[test]
fn a_packet_longer_than_its_frame_is_discarded_by_linux_and_has_no_port() {
    for packet in [v4(), v6()] {
        let packet = Packet { ip_length_lie: 1, ..packet };
        assert_eq!(outcome(&packet), Other);
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
            assert_eq!(outcome(&packet), Other, "{ip_length_lie}");
        }
        let packet = Packet { ip_length_lie: -payload, ..packet };
        assert_eq!(outcome(&packet), Refused(Malformed));
    }
}

#[test]
fn an_ip_length_that_excludes_its_own_headers_leads_to_no_port() {
    for length in 0..20 {
        let shrink = |frame: &mut Vec<u8>| frame[16..18].copy_from_slice(&[0, length]);
        assert_eq!(outcome_after(&v4(), shrink), Other);
    }
    for length in 0..8 {
        let shrink = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, length]);
        assert_eq!(outcome_after(&v6_with(&[NO_OPTIONS]), shrink), Other);
    }
}

#[test]
fn a_packet_cut_off_has_no_port() {
    for packet in [v4(), v6()] {
        for length in packet.end() - PAYLOAD.len() - 8..packet.end() {
            let cut = |frame: &mut Vec<u8>| frame.truncate(length);
            assert_eq!(outcome_after(&packet, cut), Other);
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
fn the_first_ipv4_fragment_without_its_udp_header_is_discarded_by_linux_and_has_no_port() {
    let packet = Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..v4() };
    let cut = |frame: &mut Vec<u8>| {
        frame.truncate(14 + 20 + 4);
        frame[16..18].copy_from_slice(&[0, 24]);
    };
    assert_eq!(outcome_after(&packet, cut), Other);
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
fn a_first_ipv6_fragment_whose_chain_continues_in_a_later_one_is_incomplete() {
    let chain = [Extension::Fragment(IPV6_MORE_FRAGMENTS), NO_OPTIONS, NO_OPTIONS];
    // It ends between two headers, or within the one before another.
    let long = [chain[0], Extension::Common(ROUTING, 1), Extension::Common(ROUTING, 0)];
    for packet in [v6_with(&chain), v6_with(&long)] {
        let cut = |frame: &mut Vec<u8>| {
            frame.truncate(14 + 40 + 16);
            frame[18..20].copy_from_slice(&[0, 16]);
        };
        assert_eq!(outcome_after(&packet, cut), Incomplete);
        // Padding in the place of the rest does not stand in for it.
        let shorten = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, 16]);
        assert_eq!(outcome_after(&packet, shorten), Incomplete);
    }
}

#[test]
fn a_first_ipv6_fragment_that_linux_reports_or_discards_has_no_port() {
    let first = Extension::Fragment(IPV6_MORE_FRAGMENTS);
    // Its chain ends with UDP, of which nothing or only a half is there (RFC 7112).
    for length in [16, 20] {
        let cut = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, length]);
        assert_eq!(outcome_after(&v6_with(&[first, NO_OPTIONS]), cut), Other, "{length} bytes");
    }
    // No other can follow where it ends (RFC 8200, section 4.5).
    for length in 1..8 {
        let packet = v6_with(&[first, Extension::Common(DESTINATION_OPTIONS, 2), NO_OPTIONS]);
        let cut = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, 16 + length]);
        assert_eq!(outcome_after(&packet, cut), Other, "{length} bytes too many");
        let whole = Packet { payload: vec![0; usize::from(length)], ..v6_with(&[first]) };
        assert_eq!(outcome(&whole), Other, "{length} bytes too many");
    }
    // There is nothing in it.
    let empty = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, 8]);
    assert_eq!(outcome_after(&v6_with(&[first, NO_OPTIONS]), empty), Other);
    // What follows is no header that leads to UDP.
    for protocol in [HOP_BY_HOP, FRAGMENT, AUTHENTICATION, NO_NEXT_HEADER, TCP] {
        let packet = Packet { protocol, ..v6_with(&[first, NO_OPTIONS]) };
        let cut = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, 16]);
        assert_eq!(outcome_after(&packet, cut), Other, "before {protocol}");
    }
}

#[test]
fn a_second_fragment_header_leads_to_no_port() {
    let fragments = [0, IPV6_MORE_FRAGMENTS].map(Extension::Fragment);
    for first in fragments {
        for second in fragments {
            assert_eq!(outcome(&v6_with(&[first, second])), Other);
            assert_eq!(outcome(&v6_with(&[first, NO_OPTIONS, second])), Other);
        }
    }
}

#[test]
fn a_payload_length_of_zero_before_hop_by_hop_options_means_the_rest_of_the_frame() {
    let no_length = |frame: &mut Vec<u8>| frame[18..20].copy_from_slice(&[0, 0]);
    let hop_by_hop = Extension::Common(HOP_BY_HOP, 0);
    assert_eq!(outcome_after(&v6_with(&[hop_by_hop]), no_length), found());
    assert_eq!(outcome_after(&v6_with(&[hop_by_hop, NO_OPTIONS]), no_length), found());
    let padded = Packet { padding: 18, ..v6_with(&[hop_by_hop]) };
    assert_eq!(outcome_after(&padded, no_length), Refused(Malformed));
    let fragment = Extension::Fragment(0);
    assert_eq!(outcome_after(&v6_with(&[hop_by_hop, fragment]), no_length), Other);
    for packet in [v6(), v6_with(&[NO_OPTIONS])] {
        assert_eq!(outcome_after(&packet, no_length), Other);
    }
}

#[test]
fn every_extension_header_that_linux_steps_over_is_stepped_over() {
    for number in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS] {
        for length in [0, 1, 7, 255] {
            assert_eq!(outcome(&v6_with(&[Extension::Common(number, length)])), found());
        }
    }
}

#[test]
fn an_authentication_header_leads_to_no_port() {
    for length in [0, 1, 4, 255] {
        let extensions = vec![Extension::Authentication(length)];
        assert_eq!(outcome(&v6_with(&extensions)), Other);
        assert_eq!(outcome(&Packet { extensions, ..v4() }), Other);
    }
}

#[test]
fn extension_headers_that_linux_does_not_step_over_lead_to_no_port() {
    for number in UNKNOWN_TO_LINUX {
        assert_eq!(outcome(&v6_with(&[Extension::Common(number, 0)])), Other);
        assert_eq!(outcome(&v6_with(&[NO_OPTIONS, Extension::Common(number, 0)])), Other);
    }
    let hop_by_hop = Extension::Common(HOP_BY_HOP, 0);
    assert_eq!(outcome(&v6_with(&[hop_by_hop, NO_OPTIONS])), found());
    assert_eq!(outcome(&v6_with(&[NO_OPTIONS, hop_by_hop])), Other);
    assert_eq!(outcome(&v6_with(&[hop_by_hop, hop_by_hop])), Other);
}

#[test]
fn extension_headers_are_followed_up_to_the_limits() {
    assert_eq!(outcome(&v6_with(&[NO_OPTIONS; MAX_EXTENSION_HEADERS])), found());
    let longest = [Extension::Common(DESTINATION_OPTIONS, 255); 5];
    assert_eq!(outcome(&v6_with(&longest)), found());
}

#[test]
fn more_extension_headers_than_the_limits_are_endless() {
    for more in 1..=3 {
        let chain = vec![NO_OPTIONS; MAX_EXTENSION_HEADERS + more];
        assert_eq!(outcome(&v6_with(&chain)), Endless);
        assert_eq!(outcome(&Packet { protocol: TCP, ..v6_with(&chain) }), Endless);
    }
    let mut fragment = vec![NO_OPTIONS; MAX_EXTENSION_HEADERS + 1];
    fragment.insert(0, Extension::Fragment(IPV6_MORE_FRAGMENTS));
    let whole = Packet { payload: vec![0; 8], ..v6_with(&fragment) };
    assert_eq!(outcome(&whole), Endless);
    assert_eq!(outcome(&v6_with(&[Extension::Common(DESTINATION_OPTIONS, 255); 6])), Endless);
}

#[test]
fn an_extension_header_cut_off_leads_to_no_port() {
    let packet = v6_with(&[Extension::Common(DESTINATION_OPTIONS, 1)]);
    for length in 14 + 40..14 + 40 + 16 {
        let cut = |frame: &mut Vec<u8>| frame.truncate(length);
        assert_eq!(outcome_after(&packet, cut), Other);
    }
}

#[test]
fn an_ipv6_header_with_ipv4_mapped_addresses_leads_to_no_port() {
    let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]);
    for (source, destination) in [(mapped, v6().destination), (v6().source, mapped)] {
        assert_eq!(outcome(&Packet { source, destination, ..v6() }), Other);
    }
}

#[test]
fn a_frame_without_its_ethernet_header_is_nobodys() {
    for length in 0..frames::ETHERNET_SIZE {
        assert_eq!(outcome_after(&v4(), |frame| frame.truncate(length)), Other);
    }
}
