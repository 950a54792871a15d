//! Random packets for the gate's port, against the real network stack: whatever Linux would deliver to a
//! socket at that port, a gate keeps from it.
//!
//! The parser is written after Linux's behaviour, so Linux is what it is compared with here. The same
//! generator must have a good part of its packets delivered where there is no gate: otherwise it
//! would show nothing.
//!
//! A run of some seconds is part of `cargo xtask test`; `RUROCO_FRAMES=200000` makes a longer one.

use std::{net::UdpSocket, time::Instant};

use ruroco_lab::{
    files::Options,
    lab::{Lab, udp_socket},
    network::{Family, PORT},
    packet::tag,
    packet_socket::Sender,
    random::Random,
    raw::{self, Ip, chain, fragment, number::*, options, routing, udp},
    wait,
};

/// Frames of a run that is not asked to be longer.
const FRAMES: usize = 4_000;
/// A port for packets that show that all before them have arrived.
const MARKER: u16 = PORT + 7;
/// Frames between two of these: there is room for 256 between two interfaces.
const BATCH: usize = 60;

/// The frames of one datagram for the gate's port, made odd in several ways or in none.
fn datagram(random: &mut Random, identification: u16) -> Vec<Vec<u8>> {
    let family = random.pick(&Family::BOTH);
    let units = 1 + random.below(12);
    let payload = random.bytes(8 * units);
    let mut content = udp(family, 40_000, PORT, &payload);
    if random.one_in(12) {
        let length = u16::from_be_bytes([content[4], content[5]]);
        let lie = length.wrapping_add_signed(random.pick(&[-8, -1, 1, 8, 200]));
        content[4..6].copy_from_slice(&lie.to_be_bytes());
    }
    if family == Family::V4 && random.one_in(3) {
        content[6..8].fill(0); // no checksum
    }
    let mut packets = match family {
        Family::V4 => ipv4(random, content, identification),
        Family::V6 => ipv6(random, content, identification),
    };
    if random.one_in(5) {
        packets.reverse();
    }
    packets.into_iter().map(|packet| frame(random, packet)).collect()
}

fn ipv4(random: &mut Random, content: Vec<u8>, identification: u16) -> Vec<Ip> {
    let mut ip = Ip { identification, ..Ip::new(Family::V4, UDP, content) };
    if random.one_in(3) {
        let cases: [&[u8]; 6] = [
            &[1; 4],
            &[1; 40],
            &[148, 4, 0, 0],
            &[7, 7, 4, 0, 0, 0, 0, 0],
            &[131, 7, 4, 203, 0, 113, 1, 0],
            &[200, 4, 0, 0],
        ];
        ip.options = random.pick(&cases).to_vec();
    }
    if random.one_in(20) {
        ip.next = AUTHENTICATION;
        ip.body =
            [raw::authentication(UDP, random.number().to_le_bytes()[0] % 4), ip.body].concat();
    }
    if !random.one_in(3) {
        return vec![ip];
    }
    let cut = (8 * (1 + random.below(ip.body.len() / 8))).min(ip.body.len());
    let rest = ip.body.split_off(cut);
    let offset = u16::try_from(cut / 8).unwrap();
    let later = Ip { body: rest, fragment: offset, ..ip.clone() };
    vec![Ip { fragment: 0x2000, ..ip }, later]
}

fn ipv6(random: &mut Random, content: Vec<u8>, identification: u16) -> Vec<Ip> {
    // What can be fragmented, from the end to the beginning.
    let (next, mut body) = headers(random, UDP, content);
    let mut packets = if random.one_in(3) {
        let identification = u32::from(identification);
        if random.one_in(5) {
            vec![(FRAGMENT, [fragment(next, 0, identification), body].concat())]
        } else {
            let cut = (8 * random.below(1 + body.len() / 8)).min(body.len());
            let rest = body.split_off(cut);
            let offset = u16::try_from(cut).unwrap();
            let reserved = random.pick(&[0, 0, 2, 6]);
            vec![
                (FRAGMENT, [fragment(next, 1 | reserved, identification), body].concat()),
                (FRAGMENT, [fragment(next, offset, identification), rest].concat()),
            ]
        }
    } else {
        vec![(next, body)]
    };
    if random.one_in(3) {
        for packet in &mut packets {
            *packet = headers(random, packet.0, std::mem::take(&mut packet.1));
        }
    }
    if random.one_in(6) {
        let kind: &[u8] = random.pick(&[&[][..], &[5, 2, 0, 0], &[0xc2, 4, 0, 0, 0, 9]]);
        for packet in &mut packets {
            *packet =
                (HOP_BY_HOP, [options(packet.0, kind), std::mem::take(&mut packet.1)].concat());
        }
    }
    packets
        .into_iter()
        .map(|(next, body)| {
            let mut ip = Ip::new(Family::V6, next, body);
            if next == HOP_BY_HOP && random.one_in(3) {
                ip.length_lie = -i32::try_from(ip.body.len()).unwrap();
            }
            ip
        })
        .collect()
}

/// Extension headers before a content; the number of the first.
fn headers(random: &mut Random, mut next: u8, mut content: Vec<u8>) -> (u8, Vec<u8>) {
    let count = random.pick(&[0, 1, 1, 2, 3, 5, 8, 9, 10, 30]);
    for _ in 0..count {
        let kind = random.below(40);
        let (number, header) = match kind {
            0 => (AUTHENTICATION, raw::authentication(next, 2)),
            1 => (MOBILITY, options(next, &[])),
            2 => (HOP_BY_HOP, options(next, &[])),
            3 => (FRAGMENT, fragment(next, 0, 9)),
            4..12 => (ROUTING, routing(next, random.pick(&[0, 1, 253]), 0)),
            12..20 => (DESTINATION_OPTIONS, chain(1, next)),
            20..30 => (
                DESTINATION_OPTIONS,
                options(next, &[0x1e, 12, 0, 0, 0, 0, 0, 0, UDP, 0, 0, 0, 0, 0]),
            ),
            _ => (DESTINATION_OPTIONS, options(next, &[0x1e, 2, 59, 0])),
        };
        content = [header, content].concat();
        next = number;
    }
    (next, content)
}

/// The frame of a packet: VLAN tags, a trailer that may look like headers, a length that may lie.
fn frame(random: &mut Random, mut ip: Ip) -> Vec<u8> {
    if random.one_in(12) {
        let lie = random.pick(&[-16, -8, -1, 1, 8, 16]);
        let truth = i32::try_from(ip.body.len()).unwrap();
        ip.length_lie =
            if truth + ip.length_lie + lie < 0 { ip.length_lie } else { ip.length_lie + lie };
    }
    let mut frame = ip.frame();
    if random.one_in(3) {
        let header = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
        let trailer = match random.below(4) {
            0 => random.bytes(8),
            1 => [header(NO_NEXT_HEADER), header(UDP)].concat(),
            2 => [&header(UDP)[..], &udp(Family::V6, 40_000, PORT + 1, &[0; 8])].concat(),
            _ => udp(Family::V6, 40_000, PORT + 1, &[0; 24]),
        };
        frame.extend(trailer);
    }
    if random.one_in(4) {
        let count = random.pick(&[1, 2, 3, 4, 5, 20]);
        let vlan = random.pick(&[0, 0, 0, 0, 7]);
        let tags: Vec<_> =
            (0..count).map(|_| (random.pick(&[0x8100, 0x88a8, 0x88a8, 0x8100]), vlan)).collect();
        frame = tag(&frame, &tags);
    }
    frame.truncate(1514);
    frame
}

/// What came of a run.
#[derive(Debug, Default)]
struct Outcome {
    datagrams: usize,
    frames: usize,
    delivered: usize,
}

/// Sends frames until there were so many; how many datagrams a socket at the gate's port received.
fn run(lab: &Lab, frames: usize, mut received: impl FnMut(usize, &[Vec<u8>])) -> Outcome {
    let mut random = Random::seeded();
    let server = &lab.network.server;
    let sockets = [PORT, MARKER].map(|port| {
        let socket = server.enter(|| UdpSocket::bind(("::", port)).unwrap());
        socket.set_nonblocking(true).unwrap();
        socket
    });
    let [gate, marker] = &sockets;
    let client = udp_socket(&lab.network.client, Family::V6.unspecified());
    let to_marker = (ruroco_lab::network::SERVER.of(Family::V6), MARKER);
    let sender: Sender = lab.sender();
    let mut outcome = Outcome::default();
    let mut buffer = [0; 2048];
    while outcome.frames < frames {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            // Identifications return after so many that nothing is left of the packet before.
            let identification = u16::try_from(outcome.datagrams % 65_536).unwrap();
            batch.extend(datagram(&mut random, identification));
            outcome.datagrams += 1;
        }
        batch.iter().for_each(|frame| sender.send(frame));
        client.send_to(b"marker", to_marker).unwrap();
        wait::until("the marker", || marker.recv(&mut buffer).ok());
        let mut delivered = 0;
        while gate.recv(&mut buffer).is_ok() {
            delivered += 1;
        }
        received(delivered, &batch);
        outcome.frames += batch.len();
        outcome.delivered += delivered;
    }
    outcome
}

fn frames_to_send() -> usize {
    std::env::var("RUROCO_FRAMES")
        .map_or(FRAMES, |count| count.parse().expect("a number of frames"))
}

fn nothing_is_delivered(mode: &'static str) {
    let options = Options { mode, ..Options::default() };
    let mut lab = Lab::running(&options);
    short_memory(&lab);
    let started = Instant::now();
    let outcome = run(&lab, frames_to_send(), |delivered, batch| {
        assert_eq!(delivered, 0, "{mode}: the gate let something through, out of {batch:02x?}");
    });
    eprintln!("{mode}: {outcome:?} in {:?}", started.elapsed());
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_next_knock_to_run(Family::V6);
}

/// What is incomplete is not kept for long: a long run has more of it than there is memory for.
fn short_memory(lab: &Lab) {
    let settings = [("ipv4/ipfrag_time", "2"), ("ipv6/ip6frag_time", "2")];
    lab.network.server.sysctl(&settings);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_a_gate_many_random_packets_are_delivered() {
    let lab = Lab::new(&Options::default());
    short_memory(&lab);
    let outcome = run(&lab, FRAMES, |_, _| {});
    eprintln!("without a gate: {outcome:?}");
    assert!(outcome.delivered > outcome.datagrams / 4, "{outcome:?}");
    assert!(outcome.delivered < outcome.datagrams, "some are too odd: {outcome:?}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_random_packet_is_delivered_past_a_native_gate() {
    nothing_is_delivered("native");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_random_packet_is_delivered_past_a_generic_gate() {
    nothing_is_delivered("generic");
}
