//! What must become of which frame.

use std::net::IpAddr;

use ruroco_common::{datagram, datagram::KeyId, verdict::Verdict};

use crate::{
    KEY, OURS, PORT,
    frames::{
        self, DESTINATION_OPTIONS, ESP, Extension, HOP_BY_HOP, IPV4_MORE_FRAGMENTS,
        IPV6_MORE_FRAGMENTS, NO_NEXT_HEADER, Packet, ROUTING, TCP, UNKNOWN_TO_LINUX,
    },
    kernel::Kernel,
    key_with_id, knock,
};

/// Written out, so that the constants cannot change unnoticed.
const MAX_EXTENSION_HEADERS: usize = 200;
const MAX_VLAN_TAGS: usize = 400;
const NO_OPTIONS: Extension = Extension::Common(DESTINATION_OPTIONS, 0);

/// A good knock to the first of our addresses, which is IPv4.
fn v4() -> Packet {
    Packet::to(OURS[0], PORT, &knock(KEY))
}

/// A good knock to the second of our addresses, which is IPv6.
fn v6() -> Packet {
    Packet::to(OURS[1], PORT, &knock(KEY))
}

fn v6_with(extensions: &[Extension]) -> Packet {
    Packet { extensions: extensions.to_vec(), ..v6() }
}

/// Judges each packet and compares.
#[track_caller]
fn all_are(verdict: Verdict, packets: impl IntoIterator<Item = Packet>) {
    let mut kernel = Kernel::filled();
    let mut count = 0;
    for packet in packets {
        assert_eq!(kernel.judge(&packet.to_frame()), verdict, "{packet:?}");
        count += 1;
    }
    assert_ne!(count, 0);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_with_a_known_key_is_a_candidate() {
    all_are(Verdict::Candidate, [v4(), v6()]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_wrapping_that_leaves_a_packet_whole_gets_a_knock_past_the_gate() {
    let most = [0x8100; MAX_VLAN_TAGS];
    let tags = [&[0x8100][..], &[0x88a8, 0x8100], &[0x88a8, 0x8100, 0x8100], &most];
    let tagged = tags
        .into_iter()
        .flat_map(|tags| [v4(), v6()].map(|packet| Packet { vlan_tags: tags.to_vec(), ..packet }));
    let with_options = (1..=10).map(|ipv4_options| Packet { ipv4_options, ..v4() });
    let padded = (1..64).flat_map(|padding| [v4(), v6()].map(|p| Packet { padding, ..p }));
    let numbers = [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS];
    let extended = numbers.into_iter().flat_map(|number| {
        [0, 1, 100, 255].map(|length| v6_with(&[Extension::Common(number, length)]))
    });
    let counts = (0..20).chain([182, MAX_EXTENSION_HEADERS]);
    let chains = counts.map(|count| v6_with(&vec![NO_OPTIONS; count]));
    let packets = tagged.chain(with_options).chain(padded).chain(extended);
    all_are(Verdict::Candidate, packets.chain(chains));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn only_ninety_four_bytes_of_payload_are_looked_into() {
    let mut kernel = Kernel::filled();
    let endless: Vec<u8> = knock(KEY).into_iter().cycle().take(201).collect();
    for address in OURS {
        for length in 0..=200 {
            let packet = Packet::to(address, PORT, &endless[..length]).padded();
            let expected =
                if length == datagram::SIZE { Verdict::Candidate } else { Verdict::WrongLength };
            assert_eq!(kernel.judge(&packet.to_frame()), expected, "{length} bytes to {address}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_cut_off_anywhere_is_discarded_by_linux_and_passes() {
    let mut kernel = Kernel::filled();
    let tagged = Packet { vlan_tags: vec![0x88a8, 0x8100], ..v4() };
    let with_options = Packet { ipv4_options: 10, ..v4() };
    let extended = v6_with(&[Extension::Common(HOP_BY_HOP, 1), Extension::Common(ROUTING, 1)]);
    for packet in [v4(), v6(), tagged, with_options, extended] {
        let frame = packet.to_frame();
        for length in frames::ETHERNET_SIZE..frame.len() {
            let verdict = kernel.judge(&frame[..length]);
            assert_eq!(verdict, Verdict::NotOurs, "the first {length} bytes of {packet:?}");
        }
        assert_eq!(kernel.judge(&frame), Verdict::Candidate);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_is_known_while_it_is_in_the_map() {
    let mut kernel = Kernel::filled();
    let other = KeyId([8, 7, 6, 5, 4, 3, 2, 1]);
    for address in OURS {
        let frame = Packet::to(address, PORT, &knock(other)).to_frame();
        assert_eq!(kernel.judge(&frame), Verdict::UnknownKey);
        kernel.add_key(&key_with_id(other));
        assert_eq!(kernel.judge(&frame), Verdict::Candidate);
        kernel.remove_key(other);
        assert_eq!(kernel.judge(&frame), Verdict::UnknownKey);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_bit_of_a_key_id_counts() {
    let mut kernel = Kernel::filled();
    for bit in 0..64 {
        let KeyId(mut id) = KEY;
        id[bit / 8] ^= 1 << (bit % 8);
        let frame = Packet { payload: knock(KeyId(id)), ..v4() }.to_frame();
        assert_eq!(kernel.judge(&frame), Verdict::UnknownKey, "bit {bit}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn headers_that_lie_are_malformed() {
    let lengths = (-102..=-1).chain([1, 2, 94, 1000]).flat_map(|lie| {
        [v4(), v6()].into_iter().flat_map(move |packet| {
            let ip = Packet { ip_length_lie: lie, ..packet.clone() };
            [ip, Packet { udp_length_lie: lie, ..packet }]
        })
    });
    // The others leave Linux no UDP header, or no packet: see the next test.
    let lengths = lengths.filter(|packet| (-94..=0).contains(&packet.ip_length_lie));
    all_are(Verdict::Malformed, lengths);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn headers_that_lead_linux_to_no_port_pass() {
    let without_udp = (-102..-94)
        .chain([1, 2, 1000])
        .flat_map(|lie| [v4(), v6()].map(|packet| Packet { ip_length_lie: lie, ..packet }));
    let hop_by_hop_late = v6_with(&[NO_OPTIONS, Extension::Common(HOP_BY_HOP, 0)]);
    let unknown = UNKNOWN_TO_LINUX.map(|number| v6_with(&[Extension::Common(number, 0)]));
    let authentication = [0, 1, 4].into_iter().flat_map(|length| {
        let extensions = vec![Extension::Authentication(length)];
        [v4(), v6()].map(|packet| Packet { extensions: extensions.clone(), ..packet })
    });
    let fragment = Extension::Fragment(0);
    let odd = [hop_by_hop_late, v6_with(&[fragment, fragment])];
    let packets = without_udp.chain(odd).chain(unknown).chain(authentication);
    all_are(Verdict::NotOurs, packets);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn more_extension_headers_than_are_followed_are_malformed() {
    let chains = [1, 2, 50].map(|more| v6_with(&vec![NO_OPTIONS; MAX_EXTENSION_HEADERS + more]));
    let tcp = chains.clone().map(|packet| Packet { protocol: TCP, ..packet });
    all_are(Verdict::Malformed, chains.into_iter().chain(tcp));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_ipv4_header_of_a_wrong_version_or_below_its_least_size_passes() {
    let mut kernel = Kernel::filled();
    let good = v4().to_frame();
    for first in (0x40..0x45).chain([0x05, 0x55, 0x65, 0xf5]) {
        let mut frame = good.clone();
        frame[frames::ETHERNET_SIZE] = first;
        assert_eq!(kernel.judge(&frame), Verdict::NotOurs, "first byte {first:#04x}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_ipv6_header_with_an_ipv4_mapped_address_passes() {
    let ours: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    let other: IpAddr = "::ffff:198.51.100.9".parse().unwrap();
    let packets = [Packet { source: other, ..v6() }, Packet { destination: ours, ..v6() }];
    all_are(Verdict::NotOurs, packets);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_first_fragment_to_our_port_is_dropped() {
    let v4 = Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..v4() };
    let fragment = [0, IPV6_MORE_FRAGMENTS].map(Extension::Fragment);
    // As long as a fragment has to be that others follow.
    let v6_with = |extensions: &[Extension]| Packet { payload: vec![0; 96], ..v6_with(extensions) };
    let v6 = fragment.into_iter().flat_map(|fragment| {
        [v6_with(&[fragment]), v6_with(&[NO_OPTIONS, fragment]), v6_with(&[fragment, NO_OPTIONS])]
    });
    all_are(Verdict::Fragment, v6.chain([v4]));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_first_fragment_whose_chain_continues_in_a_later_one_is_dropped_only_if_it_is_to_us() {
    let mut kernel = Kernel::filled();
    let elsewhere = "2001:db8::2".parse().unwrap();
    for (destination, expected) in [(OURS[1], Verdict::Fragment), (elsewhere, Verdict::NotOurs)] {
        let chain = vec![Extension::Fragment(IPV6_MORE_FRAGMENTS), NO_OPTIONS, NO_OPTIONS];
        let mut frame = Packet { destination, extensions: chain, ..v6() }.to_frame();
        // Only the fragment header and the first of the others belong to the packet.
        frame[18..20].copy_from_slice(&[0, 16]);
        assert_eq!(kernel.judge(&frame), expected, "with the rest as padding");
        // Padding that looks like the end of a chain does not end this one.
        frame[14 + 40 + 16] = NO_NEXT_HEADER;
        assert_eq!(kernel.judge(&frame), expected, "with an end in the padding");
        frame.truncate(14 + 40 + 16);
        assert_eq!(kernel.judge(&frame), expected, "without the rest");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_is_to_another_port_or_address_passes_whatever_is_wrong_with_it() {
    let addresses = ["192.0.2.2", "192.0.3.1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:1:1"];
    let elsewhere = addresses.map(|a| Packet::to(a.parse().unwrap(), PORT, &knock(KEY)));
    let swapped = PORT.swap_bytes();
    let ports = [0, 53, PORT - 1, PORT + 1, swapped, u16::MAX];
    let other_ports =
        ports.into_iter().flat_map(|port| OURS.map(|a| Packet::to(a, port, &knock(KEY))));
    // From our port and address, like an answer to somebody.
    let from_us = Packet { source: OURS[0], source_port: PORT, ..Packet::to(OURS[0], 53, b"?") };
    let packets = elsewhere.into_iter().chain(other_ports).chain([from_us]);
    all_are(
        Verdict::NotOurs,
        packets.flat_map(|packet| {
            let fragment = Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..packet.clone() };
            let short = Packet { ip_length_lie: -1, ..packet.clone() };
            let tagged = Packet { vlan_tags: vec![0x8100], udp_length_lie: 7, ..packet.clone() };
            let empty = Packet { payload: Vec::new(), ..packet.clone() }.padded();
            [packet, fragment, short, tagged, empty]
        }),
    );
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_is_not_udp_passes() {
    let offsets = (0..13).flat_map(|bit| [1 << bit, IPV4_MORE_FRAGMENTS | 1 << bit]);
    let later = offsets.map(|ipv4_fragment| Packet { ipv4_fragment, ..v4() });
    let offsets = (3..16).flat_map(|bit| [1 << bit, IPV6_MORE_FRAGMENTS | 1 << bit]);
    let later_v6 = offsets.map(|field| v6_with(&[Extension::Fragment(field)]));
    let protocols = [1, 2, TCP, 41, 47, ESP, 58, NO_NEXT_HEADER, 132, 255];
    let others = protocols.into_iter().flat_map(|protocol| {
        let longest = v6_with(&[NO_OPTIONS; MAX_EXTENSION_HEADERS]);
        let typical = v6_with(&[NO_OPTIONS; 9]);
        [v4(), v6(), typical, longest].map(|packet| Packet { protocol, ..packet })
    });
    all_are(Verdict::NotOurs, later.chain(later_v6).chain(others));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn more_vlan_tags_than_are_followed_hide_nothing_from_the_gate() {
    // Linux removes any number of tags for VLAN 0.
    let counts = [MAX_VLAN_TAGS + 1, MAX_VLAN_TAGS + 2, 800];
    let stacks = [0x8100, 0x88a8].into_iter().flat_map(|tag| counts.map(|n| vec![tag; n]));
    all_are(
        Verdict::Malformed,
        stacks.flat_map(|vlan_tags| {
            [v4(), v6()].map(|packet| Packet { vlan_tags: vlan_tags.clone(), ..packet })
        }),
    );
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_is_not_ip_passes() {
    let mut kernel = Kernel::filled();
    for ethertype in [0x0806_u16, 0x8847, 0x88cc, 0x888e, 0x88e5, 0x0026] {
        let mut frame = v4().to_frame();
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        assert_eq!(kernel.judge(&frame), Verdict::NotOurs, "type {ethertype:#06x}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn before_the_gate_has_filled_the_maps_everything_passes() {
    let mut kernel = Kernel::unfilled();
    for address in OURS {
        for port in [PORT, 0] {
            let good = Packet::to(address, port, &knock(KEY));
            let fragment = Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..good.clone() };
            let long = Packet { payload: vec![0; 95], ..good.clone() };
            for packet in [good, fragment, long] {
                let frame = packet.to_frame();
                assert_eq!(kernel.judge(&frame), Verdict::NotOurs, "{packet:?}");
                assert_eq!(kernel.judge(&frame[..40]), Verdict::NotOurs, "cut: {packet:?}");
            }
        }
    }
}
