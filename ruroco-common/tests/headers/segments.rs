//! One sentence for every way a TCP segment can be odd, where TCP is needed.

use std::net::IpAddr;

use ruroco_common::headers::{Addresses, Frame, Ports, Protocol, Tcp};

use crate::{
    frames::{
        DESTINATION_OPTIONS, Extension, FRAGMENT, HOP_BY_HOP, IPV4_MORE_FRAGMENTS,
        IPV6_MORE_FRAGMENTS, NO_NEXT_HEADER, Packet, ROUTING, TcpHeader, UDP,
    },
    properties::{parse, shape},
};

const PORT: u16 = 22;
const PAYLOAD: &[u8] = b"forty bytes, which is a multiple of 8.//";
const NO_OPTIONS: Extension = Extension::Common(DESTINATION_OPTIONS, 0);
const FLAGS: u8 = 0x5a;

fn v4() -> Packet {
    Packet::to([192, 0, 2, 1].into(), PORT, PAYLOAD).with_tcp(FLAGS)
}

fn v6() -> Packet {
    Packet::to([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), PORT, PAYLOAD).with_tcp(FLAGS)
}

fn v6_with(extensions: &[Extension]) -> Packet {
    Packet { extensions: extensions.to_vec(), ..v6() }
}

/// The first of several fragments, with so many bytes behind the IP header.
fn piece(packet: Packet, length: i16) -> Packet {
    let whole = packet.end() - if packet.destination.is_ipv4() { 34 } else { 54 };
    let ip_length_lie = length - i16::try_from(whole).unwrap();
    let packet = Packet { ip_length_lie, ..packet };
    if packet.destination.is_ipv4() {
        Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..packet }
    } else {
        packet
    }
}

/// The TCP ports of a packet, with these flags.
fn segment(packet: &Packet, flags: Option<u8>, more_fragments: bool) -> Frame<()> {
    Frame::Tcp(Tcp {
        addresses: Addresses {
            source: packet.source.into(),
            destination: packet.destination.into(),
        },
        ports: Ports { source: packet.source_port, destination: PORT },
        flags,
        more_fragments,
        is_plain: packet.ipv4_options == 0 && packet.extensions.is_empty(),
        header: (),
    })
}

/// What is found in a packet. The TCP header is where its ports are.
#[track_caller]
fn found(packet: &Packet) -> Frame<()> {
    let frame = packet.to_frame();
    let found = parse(&frame);
    if let Frame::Tcp(tcp) = &found {
        let ports = [tcp.ports.source, tcp.ports.destination].map(u16::to_be_bytes);
        assert_eq!(tcp.header[..4], *ports.as_flattened());
        assert!(tcp.header.len() >= if tcp.flags.is_some() { 16 } else { 8 });
    }
    shape(found)
}

#[track_caller]
fn is_whole(packet: &Packet) {
    assert_eq!(found(packet), segment(packet, Some(FLAGS), false), "{packet:?}");
}

#[track_caller]
fn is_other(packet: &Packet) {
    assert_eq!(found(packet), Frame::Other, "{packet:?}");
}

#[test]
fn a_segment_is_found_behind_all_that_linux_steps_over() {
    for packet in [v4(), v6()] {
        is_whole(&packet);
        is_whole(&Packet { payload: Vec::new(), ..packet.clone() }.padded());
        is_whole(&Packet { vlan_tags: vec![0x88a8, 0x8100], ..packet });
    }
    (1..=10).for_each(|ipv4_options| is_whole(&Packet { ipv4_options, ..v4() }));
    for number in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS] {
        is_whole(&v6_with(&[Extension::Common(number, 3)]));
    }
}

#[test]
fn every_combination_of_flags_is_read() {
    for packet in [v4(), v6()] {
        for flags in 0..=u8::MAX {
            let packet = packet.clone().with_tcp(flags);
            assert_eq!(found(&packet), segment(&packet, Some(flags), false));
        }
    }
}

#[test]
fn linux_discards_a_segment_that_is_shorter_than_its_header() {
    for packet in [v4(), v6()] {
        for options in 0..=10_u8 {
            let tcp = Some(TcpHeader { flags: FLAGS, options, offset_lie: 0 });
            let packet = Packet { tcp, payload: Vec::new(), ..packet.clone() };
            is_whole(&packet);
            for missing in 1..=20 + 4 * i16::from(options) {
                is_other(&Packet { ip_length_lie: -missing, ..packet.clone() });
            }
        }
    }
}

#[test]
fn linux_discards_a_segment_with_a_wrong_data_offset() {
    for packet in [v4(), v6()] {
        // The payload of 40 bytes may be options, too.
        for offset_lie in -5..=10_i8 {
            let tcp = Some(TcpHeader { flags: FLAGS, options: 0, offset_lie });
            let packet = Packet { tcp, ..packet.clone() };
            if offset_lie < 0 { is_other(&packet) } else { is_whole(&packet) }
        }
        let tcp = Some(TcpHeader { flags: FLAGS, options: 0, offset_lie: 10 });
        is_other(&Packet { tcp, payload: PAYLOAD[1..].to_vec(), ..packet });
    }
}

#[test]
fn linux_cuts_a_first_ipv4_fragment_off_behind_a_multiple_of_8_bytes() {
    for length in 0..=60 {
        let packet = piece(v4(), length);
        let expected = match length {
            ..8 => Frame::Other,
            8..16 => segment(&packet, None, true),
            16.. => segment(&packet, Some(FLAGS), true),
        };
        assert_eq!(found(&packet), expected, "{length} bytes");
    }
}

#[test]
fn linux_discards_a_first_ipv6_fragment_that_is_no_multiple_of_8_bytes() {
    let first = Extension::Fragment(IPV6_MORE_FRAGMENTS);
    for length in 0..=60 {
        let packet = piece(v6_with(&[first]), 8 + length);
        let expected = match length {
            0 => Frame::Other,
            length if length % 8 != 0 => Frame::Other,
            8 => segment(&packet, None, true),
            _ => segment(&packet, Some(FLAGS), true),
        };
        assert_eq!(found(&packet), expected, "{length} bytes");
    }
}

#[test]
fn a_first_ipv6_fragment_may_end_before_the_ports() {
    let first = Extension::Fragment(IPV6_MORE_FRAGMENTS);
    let long = Extension::Common(ROUTING, 2);
    for (protocol, expected) in [(6, Protocol::Tcp), (UDP, Protocol::Udp)] {
        for (chain, length) in
            [(&[first, NO_OPTIONS][..], 16), (&[first, long], 16), (&[first, long], 24)]
        {
            let packet = Packet { protocol, ..v6_with(chain) };
            let expected =
                Frame::Portless { destination: packet.destination.into(), protocol: expected };
            assert_eq!(found(&piece(packet, length)), expected, "{chain:?} {length}");
        }
    }
    for protocol in [HOP_BY_HOP, FRAGMENT, NO_NEXT_HEADER, 58] {
        let packet = Packet { protocol, ..v6_with(&[first, NO_OPTIONS]) };
        is_other(&piece(packet, 16));
    }
}

#[test]
fn the_only_fragment_is_a_whole_packet() {
    is_whole(&v6_with(&[Extension::Fragment(0)]));
    for length in 8..28 {
        is_other(&piece(v6_with(&[Extension::Fragment(0)]), length));
    }
}

#[test]
fn a_later_fragment_is_nobodys() {
    for bit in 0..13 {
        is_other(&Packet { ipv4_fragment: 1 << bit, ..v4() });
        is_other(&v6_with(&[Extension::Fragment(8 << bit)]));
    }
}

#[test]
fn an_ipv4_mapped_address_leads_to_no_port() {
    let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]);
    is_other(&Packet { source: mapped, ..v6() });
    is_other(&Packet { destination: mapped, ..v6() });
}
