//! A gate that looks closed, probed with packets that no honest sender makes: they tell its port
//! from the one next to it no more than others do.

use etherparse::IpHeaders;
use ruroco_common::datagram;
use ruroco_lab::{
    files::Options,
    knock::forge,
    lab::Lab,
    network::{Family, PORT},
    packet::{Packet, VLAN_TYPES, tag},
    probe::{Frames, NEIGHBOUR, Prober, to_port},
};

use crate::{
    appearance::{CLOSED, expect_no_difference, forged, lab},
    detours::wrapped,
};

/// Where the IP header begins in a frame without VLAN tags.
const IP: usize = 14;

/// Length of what IP carries for a knock.
const WHOLE: usize = 8 + datagram::SIZE;

/// The frame with another value in one byte, and the checksum of its IPv4 header right (RFC 1071).
fn change(frame: &[u8], at: usize, value: u8) -> (String, Frames) {
    let mut changed = frame.to_vec();
    changed[at] = value;
    if frame[IP] >> 4 == 4 {
        let size = 4 * usize::from(frame[IP] & 0x0f);
        changed[IP + 10..IP + 12].fill(0);
        let words = changed[IP..IP + size].chunks(2);
        let words = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum = u16::try_from(words.sum::<u32>() % 0xffff).unwrap();
        changed[IP + 10..IP + 12].copy_from_slice(&(!sum).to_be_bytes());
    }
    (format!("byte {at} is {value}"), vec![changed])
}

/// The bytes of plain headers without addresses and ports, which decide whose a packet is, and
/// without what makes an IPv4 packet a fragment.
fn plain_header_bytes(family: Family) -> impl Iterator<Item = usize> {
    let (ip, udp) = match family {
        Family::V4 => ([IP..IP + 6, IP + 8..IP + 10], IP + 20),
        Family::V6 => ([IP..IP + 8, 0..0], IP + 40),
    };
    (12..IP).chain(ip.into_iter().flatten()).chain(udp + 4..udp + 8)
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_byte_of_a_header_tells_the_gates_port_from_its_neighbour() {
    for mode in ["native", "generic"] {
        let mut lab = Lab::running(&Options { mode, gate: CLOSED, ..Options::default() });
        for family in Family::BOTH {
            let packet = forged(&lab, family);
            let mut without_checksum = packet.clone();
            without_checksum.udp.checksum = 0;
            // The stack believes lengths that lie only if there is no checksum.
            let mut probes = Vec::new();
            for frame in [packet.to_frame(), without_checksum.to_frame()] {
                for at in plain_header_bytes(family) {
                    probes.extend((0..=255).map(|value| change(&frame, at, value)));
                }
                let cut = |end: usize| (format!("{end} bytes"), vec![frame[..end].to_vec()]);
                probes.extend((IP..frame.len()).map(cut));
            }
            // Ports taken for a fragment's place are another place at another port.
            probes.retain(|(_, frames)| family == Family::V4 || frames[0].get(20) != Some(&44));
            let answers = expect_no_difference(&lab, family, &probes);
            for count in [0, 1] {
                assert!(answers.iter().filter(|answers| **answers == count).count() > 500);
            }
            lab.expect_next_knock_to_run(family);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_byte_of_an_option_tells_the_gates_port_from_its_neighbour() {
    let mut lab = lab(CLOSED);
    for (family, ip_header) in [(Family::V4, 20), (Family::V6, 40)] {
        let mut probes = Vec::new();
        let frames = wrapped(family, &forged(&lab, family).payload).into_iter();
        let untagged = |frame: &Vec<u8>| matches!(frame[12..IP], [0x08, 0x00] | [0x86, 0xdd]);
        for (what, frame) in frames.filter(|(_, frame)| untagged(frame)) {
            for at in IP + ip_header..frame.len() - WHOLE {
                let values = [0, 1, 255, frame[at] ^ 1, frame[at] ^ 0x80];
                probes.extend(values.map(|value| {
                    let (change, frames) = change(&frame, at, value);
                    (format!("{what}, {change}"), frames)
                }));
            }
        }
        let answers = expect_no_difference(&lab, family, &probes);
        assert!(answers.contains(&0) && answers.contains(&1), "{answers:?}");
        lab.expect_next_knock_to_run(family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_odd_packet_tells_the_gates_port_from_its_neighbour() {
    let mut lab = lab(CLOSED);
    for family in Family::BOTH {
        let knock = lab.seal(&lab.good_knock(family));
        let mut probes = Vec::new();
        for payload in [&forge(knock)[..], &knock[1..]] {
            let ways = wrapped(family, payload).into_iter();
            probes.extend(ways.map(|(what, frame)| (what, vec![frame])));
        }
        let plain = forged(&lab, family);
        let frame = plain.to_frame();
        for kind in VLAN_TYPES {
            for tags in [4, 20] {
                let tagged = tag(&frame, &vec![(kind, 0); tags]);
                probes.push((format!("{tags} tags {kind:#x}"), vec![tagged]));
            }
        }
        let changed = |change: &dyn Fn(&mut Packet)| {
            let mut packet = plain.clone();
            change(&mut packet);
            vec![packet.to_frame()]
        };
        let behind = changed(&|packet| {
            packet.payload.extend([0xee; 46]);
            match &mut packet.ip {
                IpHeaders::Ipv4(header, _) => header.total_len += 46,
                IpHeaders::Ipv6(header, _) => header.payload_length += 46,
            }
        });
        probes.extend([
            ("with more behind the datagram".to_owned(), behind),
            ("no checksum".to_owned(), changed(&|packet| packet.udp.checksum = 0)),
            ("to all".to_owned(), changed(&|packet| packet.ethernet.destination = [0xff; 6])),
            ("to another".to_owned(), changed(&|packet| packet.ethernet.destination[5] ^= 1)),
            ("twice".to_owned(), vec![frame.clone(); 2]),
            ("with padding".to_owned(), vec![[&frame[..], &[0xee; 46]].concat()]),
        ]);
        // A good knock is none in pieces, and the pieces are put together.
        let good = Packet::to_gate(family, &knock);
        let whole = [good.fragment(0..48, true), good.fragment(48..WHOLE, false)];
        let reversed = whole.iter().rev().cloned().collect();
        let large = Packet::to_gate(family, &[0x5a; 4000]);
        let pieces = [(0..1440, true), (1440..2880, true), (2880..4008, false)]
            .map(|(bytes, more)| large.fragment(bytes, more));
        probes.extend([
            ("a knock in two pieces".to_owned(), whole.to_vec()),
            ("a knock in two pieces, the last first".to_owned(), reversed),
            ("a long datagram in pieces".to_owned(), pieces.to_vec()),
            ("an atomic fragment".to_owned(), vec![plain.fragment(0..WHOLE, false)]),
        ]);
        let answers = expect_no_difference(&lab, family, &probes);
        assert!(answers.contains(&0) && answers.contains(&1), "{answers:?}");
        assert!(answers.ends_with(&[1; 3]), "{answers:?}");
        lab.expect_next_knock_to_run(family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_lone_fragment_tells_the_gates_port_from_its_neighbour() {
    let mut lab = lab(CLOSED);
    lab.network.server.sysctl(&[("ipv4/ipfrag_time", "1"), ("ipv6/ip6frag_time", "1")]);
    let firsts = Family::BOTH.map(|family| forged(&lab, family).fragment(0..48, true));
    let mut prober = Prober::new(&lab.network.client);
    // The stack gives up waiting for the rest and says so.
    let [gate, neighbour] = [PORT, NEIGHBOUR]
        .map(|port| prober.await_answers(2, &firsts.each_ref().map(|frame| to_port(port, frame))));
    assert_eq!(gate, neighbour);
    lab.expect_next_knock_to_run(Family::V4);
}
