//! A door that looks closed: nothing tells it from the port next to it that has no listener.

use std::{io::ErrorKind, net::TcpStream, process::Stdio};

use nix::sys::signal::Signal;
use ruroco_lab::{
    files::Options,
    namespace::Namespace,
    network::{Family, SERVER},
    packet::SOURCE_PORT,
    probe::{self, Frames, Prober},
    raw::{self, Ip, number},
    wait,
};

use super::{LONG, PORT, SHORT, Site, behind, options, run_tool};
use crate::appearance::CLOSED;

/// A port without a door and without a listener.
const NEIGHBOUR: u16 = PORT + 1;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;

fn site(lease: &str) -> Site {
    Site::new(&Options { gate: CLOSED, ..options(lease, "") })
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A TCP segment, all of which but its ports, its length and its checksum can be anything.
#[derive(Clone, Debug)]
struct Segment {
    flags: u8,
    sequence: u32,
    window: u16,
    acknowledged: u32,
    options: Vec<u8>,
    payload: Vec<u8>,
    is_right: bool,
}

impl Segment {
    fn random(flags: u8) -> Self {
        let [choice, length]: [u8; 2] = random();
        let options = match choice % 4 {
            0 => Vec::new(),
            // Of 1460 bytes; SACK, timestamps.
            1 => vec![2, 4, 5, 0xb4],
            2 => vec![4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0],
            // A cookie of TCP Fast Open, and no operation.
            _ => vec![34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1],
        };
        let payload: [u8; 256] = random();
        Self {
            flags,
            sequence: u32::from_ne_bytes(random()),
            window: u16::from_ne_bytes(random()),
            acknowledged: u32::from_ne_bytes(random()),
            options,
            payload: payload[..usize::from(length)].to_vec(),
            is_right: true,
        }
    }

    fn to_bytes(&self, family: Family, port: u16) -> Vec<u8> {
        let ports = [SOURCE_PORT, port].map(u16::to_be_bytes);
        let numbers = [self.sequence, self.acknowledged].map(u32::to_be_bytes);
        let words = u8::try_from(5 + self.options.len() / 4).unwrap();
        let [w0, w1] = self.window.to_be_bytes();
        let rest = [words << 4, self.flags, w0, w1, 0, 0, 0, 0];
        let head = [ports.as_flattened(), numbers.as_flattened(), &rest].concat();
        let segment = [head, self.options.clone(), self.payload.clone()].concat();
        let mut segment = raw::with_checksum(family, number::TCP, 16, segment);
        segment[17] ^= u8::from(!self.is_right);
        segment
    }
}

/// A probe for both ports: what it is, and its frames.
type Pair = (String, [Frames; 2]);

fn pair(what: String, frames: impl Fn(u16) -> Frames) -> Pair {
    (what, [PORT, NEIGHBOUR].map(frames))
}

fn plain(family: Family, segment: &Segment) -> Pair {
    pair(format!("{segment:02x?}"), |port| {
        vec![Ip::new(family, number::TCP, segment.to_bytes(family, port)).frame()]
    })
}

/// Behind options of IPv4, or behind an extension header of IPv6.
fn behind_options(family: Family, segment: &Segment) -> Vec<Pair> {
    let body = |port| segment.to_bytes(family, port);
    let with = |frame: &dyn Fn(u16) -> Ip, what: &str| {
        pair(format!("{what} {segment:02x?}"), |port| vec![frame(port).frame()])
    };
    match family {
        // No operation, a route to be recorded, and a route that has no room for its first address.
        Family::V4 => [vec![1; 4], vec![7, 7, 4, 0, 0, 0, 0, 0], vec![7, 2, 4, 0]]
            .map(|options| {
                let ip = |port| Ip { options: options.clone(), ..Ip::new(family, 6, body(port)) };
                with(&ip, "options")
            })
            .to_vec(),
        // Padding, and an option that the stack must answer with an error if it does not know it.
        Family::V6 => [
            (number::HOP_BY_HOP, 1),
            (number::DESTINATION_OPTIONS, 1),
            (number::DESTINATION_OPTIONS, 0x9e),
        ]
        .map(|(next, option)| {
            let chain = [number::TCP, 0, option, 4, 0, 0, 0, 0];
            with(&|port| Ip::new(family, next, [&chain[..], &body(port)].concat()), "header")
        })
        .to_vec(),
    }
}

/// In two fragments, the first of which has so many bytes of the segment.
fn in_fragments(family: Family, segment: &Segment, cut: usize) -> Pair {
    let units = u16::try_from(cut / 8).unwrap();
    let [_, identification @ ..]: [u8; 5] = random();
    pair(format!("in fragments of {cut} bytes and the rest {segment:02x?}"), |port| {
        let whole = segment.to_bytes(family, port);
        let (first, rest) = whole.split_at(cut);
        // Not the same packet as that to the other port.
        let identification = u32::from_ne_bytes(identification) ^ u32::from(port);
        let ip = |piece: &[u8], offset: u16, more: bool| match family {
            Family::V4 => Ip {
                fragment: offset | u16::from(more) << 13,
                identification: u16::try_from(identification & 0xffff).unwrap(),
                ..Ip::new(family, number::TCP, piece.to_vec())
            },
            Family::V6 => {
                let field = (offset << 3 | u16::from(more)).to_be_bytes();
                let id = identification.to_be_bytes();
                let header = [&[number::TCP, 0][..], &field, &id].concat();
                Ip::new(family, number::FRAGMENT, [&header[..], piece].concat())
            }
        };
        vec![ip(first, 0, true).frame(), ip(rest, units, false).frame()]
    })
}

fn probes(family: Family) -> Vec<Pair> {
    let mut probes = Vec::new();
    for flags in 0..=u8::MAX {
        probes.push(plain(family, &Segment::random(flags)));
        let wrong = Segment { is_right: false, ..Segment::random(flags) };
        probes.push(plain(family, &wrong));
    }
    for flags in [SYN, SYN | FIN, SYN | 0xe8, FIN, 0x10, 0] {
        for sequence in [0, 0xffff, 0x1_ffff, u32::MAX - 1, u32::MAX] {
            for window in [0, 1, u16::MAX - 2, u16::MAX - 1, u16::MAX] {
                let segment = Segment { sequence, window, ..Segment::random(flags) };
                probes.push(plain(family, &segment));
            }
        }
        probes.extend(behind_options(family, &Segment::random(flags)));
        for cut in [8, 16, 24, 32] {
            let segment = Segment { payload: vec![7; 40], ..Segment::random(flags) };
            probes.push(in_fragments(family, &segment, cut));
        }
    }
    probes
}

/// An answer without what differs between answers from different ports: the ports and the checksum, and what the stack
/// chooses at random.
fn comparable(mut answer: Vec<u8>) -> Vec<u8> {
    let Some(content) = probe::content_of_comparable(&mut answer) else { return answer };
    if answer[12..14] == [0x86, 0xdd] {
        answer[15..18].fill(0); // flow label
    }
    let ports = [PORT, NEIGHBOUR].map(u16::to_be_bytes);
    if ports.iter().any(|port| answer.get(content..content + 2) == Some(port)) {
        answer[content..content + 2].fill(0);
        answer[content + 16..content + 18].fill(0);
    }
    // What an ICMP error quotes.
    let quoted = ports.map(|port| [SOURCE_PORT.to_be_bytes(), port].concat());
    let start = answer.windows(4).position(|window| quoted.iter().any(|ports| ports == window));
    if let Some(at) = start {
        answer[content + 2..content + 4].fill(0);
        // The identification of an IPv6 fragment, and the port.
        answer[at - 4..at].fill(0);
        answer[at + 2..at + 4].fill(0);
        if let Some(checksum) = answer.get_mut(at + 16..at + 18) {
            checksum.fill(0);
        }
    }
    answer
}

/// Sends all probes to both ports, from the client, and compares what comes back.
#[track_caller]
fn expect_no_difference(site: &Site, family: Family) {
    let probes = probes(family);
    let frames: Vec<Frames> = probes.iter().flat_map(|(_, pair)| pair.clone()).collect();
    let mut prober = Prober::comparing(&site.lab.network.client, comparable);
    let answers = prober.ask(family, &frames);
    for ((what, _), pair) in probes.iter().zip(answers.chunks(2)) {
        assert_eq!(pair[0], pair[1], "{family:?}: the door's answer and its neighbour's to {what}");
    }
    let answered = answers.chunks(2).filter(|pair| !pair[0].is_empty()).count();
    // Half of the flags have RST.
    assert!(answered >= 180, "only {answered} of {} are answered", probes.len());
}

/// Connecting is rejected, as at a port without a listener.
#[track_caller]
fn expect_rejected(host: &Namespace, family: Family) {
    for port in [PORT, NEIGHBOUR] {
        let address = (SERVER.of(family), port).into();
        let connected = host.enter(|| TcpStream::connect_timeout(&address, wait::DEADLINE));
        assert_eq!(connected.unwrap_err().kind(), ErrorKind::ConnectionRefused, "port {port}");
    }
}

/// What nmap shows of the door and of its neighbour.
fn scan(site: &Site, family: Family, kind: &str) -> [String; 2] {
    let ports = format!("{PORT},{NEIGHBOUR}");
    let address = SERVER.of(family).to_string();
    let mut nmap = site.lab.network.client.command();
    nmap.args(["nmap", "-n", "-Pn", "-T5", "-oX", "-", kind, "-p", &ports, &address]);
    if family == Family::V6 {
        nmap.arg("-6");
    }
    let output =
        nmap.stderr(Stdio::inherit()).output().expect("nmap, which `cargo xtask setup` lists");
    let shown = String::from_utf8(output.stdout).unwrap();
    [PORT, NEIGHBOUR].map(|port| {
        let (_, of_port) = shown.split_once(&format!("portid=\"{port}\">")).expect(&shown);
        let (_, state) = of_port.split_once("<state ").expect(&shown);
        state.split_once("/>").expect(&shown).0.to_owned()
    })
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_segment_tells_a_closed_door_from_a_port_without_a_listener() {
    let mut site = site(LONG);
    for family in Family::BOTH {
        expect_no_difference(&site, family);
        // The same after a lease that was ended.
        site.open(family);
        site.connect(family).expect_alive();
        run_tool(&site.lab, &["doors", "close", "test"]);
        expect_no_difference(&site, family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nmap_reports_a_closed_door_as_it_does_a_port_without_a_listener() {
    let site = site(LONG);
    for family in Family::BOTH {
        for (kind, state) in [
            ("-sS", "closed"),
            ("-sT", "closed"),
            ("-sF", "closed"),
            ("-sX", "closed"),
            ("-sN", "closed"),
            ("-sA", "unfiltered"),
            ("-sU", "closed"),
        ] {
            let [door, neighbour] = scan(&site, family, kind);
            assert_eq!(door, neighbour, "{family:?} {kind}");
            assert!(door.starts_with(&format!("state=\"{state}\" ")), "{family:?} {kind}: {door}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_that_looks_closed_opens_for_the_address_that_knocked() {
    let mut site = site(SHORT);
    for family in Family::BOTH {
        expect_rejected(&site.lab.network.client, family);
        site.open(family);
        let mut session = site.connect(family);
        expect_rejected(&site.lab.network.third, family);
        site.lab.reload_gate();
        session.expect_alive();
        expect_rejected(&site.lab.network.third, family);
        site.wait_for_end_of_lease(family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_looks_closed_without_a_gate_and_after_the_next_has_started() {
    let mut site = site(LONG);
    for family in Family::BOTH {
        site.open(family);
        let mut session = site.connect(family);
        site.lab.gate().crash();
        expect_rejected(&site.lab.network.third, family);
        run_tool(&site.lab, &["disarm"]);
        let third = &site.lab.network.third;
        third.enter(|| TcpStream::connect_timeout(&behind(family), wait::DEADLINE)).unwrap();
        run_tool(&site.lab, &["arm"]);
        expect_rejected(&site.lab.network.third, family);
        site.lab.start_gate();
        expect_rejected(&site.lab.network.third, family);
        session.expect_alive();
        run_tool(&site.lab, &["doors", "close", "test"]);
        expect_no_difference(&site, family);
    }
    site.lab.gate().signal(Signal::SIGTERM);
    assert!(site.lab.gate().wait_for_end().success());
    for family in Family::BOTH {
        expect_no_difference(&site, family);
    }
}
