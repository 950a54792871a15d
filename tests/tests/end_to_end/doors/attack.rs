//! Random packets from an attacker without a lease, against a model and against the live stack: what the model does not
//! let through, the stack of the host never sees.
//!
//! The port has a listener, and sockets of others in each state that lasts. Their addresses and ports are among those
//! that the attacker uses, and so is an address with a lease for another door. The same packets must all arrive
//! where there is no gate, and many of them must get to a socket there: otherwise this would show nothing.
//!
//! `RUROCO_FRAMES=200000` makes a longer run.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
};

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    lab::Lab,
    network::{Addresses, CLIENT, Family, SERVER, THIRD},
    packet_socket::Receiver,
    random::Random,
    raw::{
        Ip, authentication, chain, fragment,
        number::{AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, TCP, UDP},
        options as header, tcp_between, udp_between,
    },
    tcp::{
        counter, state,
        state::{ESTABLISHED, SYN_RECV, TIME_WAIT},
    },
    wait,
};

use super::site::{self, LONG, PORT, Site, behind, listen};

/// Of another door.
const OTHER: u16 = PORT + 1;
/// Without a door.
const OPEN: u16 = PORT + 2;
/// For packets that show that all before them have arrived.
const MARKER: u16 = PORT + 3;

/// Frames of a run that is not asked to be longer, and most between two new hosts: sockets do not last for ever.
const FRAMES: usize = 4_000;
/// Frames between two questions: there is room for 256 between two interfaces.
const BATCH: usize = 60;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Who sends, with an address of its own.
const ATTACKER: Addresses = Addresses {
    v4: Ipv4Addr::new(192, 0, 2, 66),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x66),
};
/// Of a connection that was never completed.
const SILENT: Addresses = Addresses {
    v4: Ipv4Addr::new(192, 0, 2, 77),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x77),
};
const SILENT_PORT: u16 = 6000;
/// Another address of the server's.
const SECOND: Addresses = Addresses {
    v4: Ipv4Addr::new(198, 51, 100, 1),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1),
};

/// Two doors for both protocols.
fn options(mode: &'static str) -> Options {
    let mut options = Options { mode, ..site::options(LONG, "") };
    let ports = |port: u16| format!("[\"tcp/{port}\", \"udp/{port}\"]");
    options.config = options.config.replace(&format!("\"tcp/{PORT}\""), &ports(PORT));
    options.config += &format!("[doors.other]\nport = {}\nfor = \"{LONG}\"\n", ports(OTHER));
    options.commands += "[commands.open_other]\nopen = \"other\"\n";
    options
}

/// What is at the port that is attacked.
struct Target {
    site: Site,
    is_guarded: bool,
    listeners: [TcpListener; 2],
    datagrams: UdpSocket,
    /// The remote ends of sockets, and their states.
    sockets: Vec<(SocketAddr, &'static str)>,
    established: Vec<(TcpStream, TcpStream)>,
}

impl Target {
    fn guarded(mode: &'static str) -> Self {
        Self::prepare(Lab::running(&options(mode)), true)
    }

    fn unguarded() -> Self {
        Self::prepare(Lab::new(&options("auto")), false)
    }

    fn prepare(lab: Lab, is_guarded: bool) -> Self {
        let server = &lab.network.server;
        for host in [ATTACKER, SILENT] {
            server.ip(&format!(
                "neigh replace {} lladdr 02:00:00:00:01:66 dev server0 nud permanent\n\
                 neigh replace {} lladdr 02:00:00:00:01:66 dev server0 nud permanent\n",
                host.v4, host.v6
            ));
        }
        let listeners = Family::BOTH.map(|family| listen(&lab, family));
        let datagrams = server.enter(|| UdpSocket::bind(("::", PORT)).unwrap());
        datagrams.set_nonblocking(true).unwrap();
        let mut target = Self {
            site: Site::without_listeners(lab),
            is_guarded,
            listeners,
            datagrams,
            sockets: Vec::new(),
            established: Vec::new(),
        };
        for family in Family::BOTH {
            target.connect(family);
        }
        for listener in &target.listeners {
            listener.set_nonblocking(true).unwrap();
        }
        // What the server answers to an address of the third host gets no answer there.
        target.lab().network.third.ip("link set third0 down\n");
        target
    }

    fn lab(&self) -> &Lab {
        &self.site.lab
    }

    /// Makes a socket in each state. If there is a gate, other hosts have a lease for this, and in the end only for the
    /// other door.
    fn connect(&mut self, family: Family) {
        if self.is_guarded {
            self.site.open_for(THIRD.of(family));
            self.site.open_for(SILENT.of(family));
        }
        let listener = &self.listeners[usize::from(family == Family::V6)];
        let connect = || {
            let third = &self.site.lab.network.third;
            let near = third.enter(|| TcpStream::connect(behind(family)).unwrap());
            (near, listener.accept().unwrap().0)
        };
        let (established, (near, far)) = (connect(), connect());
        let silent = SocketAddr::from((SILENT.of(family), SILENT_PORT));
        self.sockets.push((established.0.local_addr().unwrap(), ESTABLISHED));
        self.sockets.push((near.local_addr().unwrap(), TIME_WAIT));
        self.sockets.push((silent, SYN_RECV));
        self.established.push(established);
        far.shutdown(Shutdown::Write).unwrap();
        drop(near);
        drop(far);
        let syn = tcp_between(silent, behind(family), 1 << 30, SYN, &[]);
        self.lab().send_frame(&Ip { source: silent.ip(), ..Ip::new(family, TCP, syn) }.frame());
        wait::until("sockets in each state", || self.are_there().then_some(()));
        if self.is_guarded {
            self.site.close();
            self.site.request("open_other", THIRD.of(family));
        }
    }

    /// Whether the sockets are in their states.
    fn are_there(&self) -> bool {
        self.sockets.iter().all(|(remote, expected)| {
            let local = behind(Family::of(remote.ip()));
            let state = state(&self.lab().network.server, local, remote.port());
            state.as_deref() == Some(expected)
        })
    }

    fn has_socket(&self, from: SocketAddr, to: SocketAddr) -> bool {
        to == behind(Family::of(to.ip())) && self.sockets.iter().any(|(remote, _)| *remote == from)
    }

    /// How many datagrams and connections have got to a socket.
    fn received(&self) -> usize {
        let mut buffer = [0; 2048];
        let datagrams = std::iter::from_fn(|| self.datagrams.recv(&mut buffer).ok()).count();
        let mut accepted = self.listeners.iter().map(TcpListener::accept);
        let blocked =
            |done: io::Result<_>| done.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        assert!(accepted.all(blocked), "a connection was accepted");
        datagrams
    }
}

/// A packet that the attacker sends.
struct Shot {
    from: SocketAddr,
    to: SocketAddr,
    /// Flags of TCP, or else it is UDP.
    flags: Option<u8>,
    content: Vec<u8>,
}

/// What becomes of a frame: nothing that a gate has to do with, or this.
type Fate = Option<Verdict>;

impl Shot {
    fn random(random: &mut Random, target: &Target, number: usize) -> Self {
        let family = random.pick(&Family::BOTH);
        let mut from = random.pick(&[ATTACKER, THIRD, SILENT, CLIENT]).of(family);
        let to = random.pick(&[SERVER, SERVER, SERVER, SERVER, SECOND, THIRD]).of(family);
        let port = random.pick(&[PORT, PORT, PORT, PORT, OTHER, OPEN]);
        if port == OTHER && from == THIRD.of(family) {
            from = ATTACKER.of(family); // the other has a lease there
        }
        let ports = target.sockets.iter().map(|(remote, _)| remote.port()).chain([40_000]);
        let ports: Vec<_> = ports.collect();
        let from = SocketAddr::from((from, random.pick(&ports)));
        let to = SocketAddr::from((to, port));
        let flags = (!random.one_in(4)).then(|| random.number().to_le_bytes()[0]);
        let mut payload = u32::try_from(number).unwrap().to_be_bytes().to_vec();
        let more = 8 * random.below(6);
        payload.extend(random.bytes(more));
        let content = match flags {
            Some(flags) => tcp_between(from, to, 7, flags, &payload),
            None => udp_between(from, to, &payload),
        };
        Self { from, to, flags, content }
    }

    /// Its protocol.
    fn next(&self) -> u8 {
        if self.flags.is_some() { TCP } else { UDP }
    }

    fn is_here(&self) -> bool {
        let family = Family::of(self.to.ip());
        [SERVER.of(family), SECOND.of(family)].contains(&self.to.ip())
    }

    /// The rules, once more, for a packet of which the first `readable` bytes of the transport layer are in the frame.
    fn fate(&self, target: &Target, readable: usize) -> Fate {
        if !self.is_here() {
            return None;
        }
        if readable < 4 {
            return Some(Verdict::DoorFragment);
        }
        if ![PORT, OTHER].contains(&self.to.port()) {
            return None;
        }
        Some(match self.flags {
            Some(_) if readable < 14 => Verdict::DoorFragment,
            Some(flags) if flags & (SYN | ACK) != SYN && target.has_socket(self.from, self.to) => {
                Verdict::DoorSession
            }
            _ => Verdict::DoorClosed,
        })
    }

    /// The frames of it, and what becomes of each.
    fn frames(&self, random: &mut Random, target: &Target, number: usize) -> Vec<(Vec<u8>, Fate)> {
        let mut frames = if self.to.is_ipv4() {
            self.frames_v4(random, target, number)
        } else {
            self.frames_v6(random, target, number)
        };
        if random.one_in(5) {
            frames.reverse();
        }
        frames
    }

    fn ip(&self, next: u8, body: Vec<u8>) -> Ip {
        let (source, destination) = (self.from.ip(), self.to.ip());
        Ip { source, destination, ..Ip::new(Family::of(source), next, body) }
    }

    fn frames_v4(
        &self,
        random: &mut Random,
        target: &Target,
        number: usize,
    ) -> Vec<(Vec<u8>, Fate)> {
        let identification = u16::try_from(number % 65_536).unwrap();
        let mut ip = Ip { identification, ..self.ip(self.next(), self.content.clone()) };
        if random.one_in(3) {
            let cases: [&[u8]; 4] = [&[1; 4], &[1; 40], &[148, 4, 0, 0], &[7, 7, 4, 0, 0, 0, 0, 0]];
            ip.options = random.pick(&cases).to_vec();
        }
        if !random.one_in(3) {
            return vec![(ip.frame(), self.fate(target, usize::MAX))];
        }
        let cut = 8 * (1 + random.below((ip.body.len() - 1) / 8));
        let rest = ip.body.split_off(cut);
        let fragment = u16::try_from(cut / 8).unwrap();
        let later = Ip { body: rest, fragment, ..ip.clone() };
        let first = Ip { fragment: 0x2000, ..ip };
        vec![(first.frame(), self.fate(target, cut)), (later.frame(), None)]
    }

    fn frames_v6(
        &self,
        random: &mut Random,
        target: &Target,
        number: usize,
    ) -> Vec<(Vec<u8>, Fate)> {
        let identification = u32::try_from(number).unwrap();
        let (next, inner) = headers(random, self.next());
        // A host without IPsec has no use for it.
        let is_readable = next != AUTHENTICATION;
        let fate = |readable| if is_readable { self.fate(target, readable) } else { None };
        let cut_fate = |cut: usize| match cut.checked_sub(inner.len()) {
            // It ends before the transport layer's protocol is known.
            None if is_readable && self.is_here() => Some(Verdict::Fragment),
            None => None,
            Some(readable) => fate(readable),
        };
        let mut body = [inner.clone(), self.content.clone()].concat();
        let packets = match random.below(4) {
            0 => {
                let cut = 8 * (1 + random.below((body.len() - 1) / 8));
                let rest = body.split_off(cut);
                let offset = u16::try_from(cut).unwrap();
                let first = [fragment(next, 1, identification), body].concat();
                let later = [fragment(next, offset, identification), rest].concat();
                vec![(FRAGMENT, first, cut_fate(cut)), (FRAGMENT, later, None)]
            }
            1 => {
                let whole = [fragment(next, 0, identification), body].concat();
                vec![(FRAGMENT, whole, fate(usize::MAX))]
            }
            _ => vec![(next, body, fate(usize::MAX))],
        };
        let hops = random.one_in(4);
        let frame = |(next, body, fate): (u8, Vec<u8>, Fate)| {
            let (next, body) =
                if hops { (HOP_BY_HOP, [header(next, &[]), body].concat()) } else { (next, body) };
            (self.ip(next, body).frame(), fate)
        };
        packets.into_iter().map(frame).collect()
    }
}

/// Extension headers before the transport layer; the number of the first.
fn headers(random: &mut Random, last: u8) -> (u8, Vec<u8>) {
    match random.below(6) {
        0 => (DESTINATION_OPTIONS, chain(1, last)),
        1 => (DESTINATION_OPTIONS, chain(3, last)),
        2 => (AUTHENTICATION, authentication(last, 4)),
        _ => (last, Vec::new()),
    }
}

/// What came of a run.
#[derive(Debug, Default)]
struct Outcome {
    frames: usize,
    verdicts: BTreeMap<&'static str, u64>,
    /// Datagrams that a socket received.
    received: usize,
}

/// Sends frames until there were so many. Those that the model lets through must arrive in the host's stack, and no
/// others; all of them if there is no gate.
fn attack(target: &Target, frames: usize) -> Outcome {
    let (lab, is_guarded) = (target.lab(), target.is_guarded);
    let mut random = Random::seeded();
    let mut arrivals = lab.network.server.enter(Receiver::new);
    let sender = lab.sender();
    let mut outcome = Outcome::default();
    let mut number = 0;
    while outcome.frames < frames {
        let (mut sent, mut expected) = (HashSet::new(), Vec::new());
        while sent.len() < BATCH {
            number += 1;
            let shot = Shot::random(&mut random, target, number);
            for (frame, fate) in shot.frames(&mut random, target, number) {
                sender.send(&frame);
                sent.insert(frame.clone());
                outcome.frames += 1;
                if let Some(verdict) = fate {
                    *outcome.verdicts.entry(verdict.name()).or_default() += 1;
                }
                if !is_guarded || matches!(fate, None | Some(Verdict::DoorSession)) {
                    expected.push(frame);
                }
            }
        }
        let [from, to] = [CLIENT, SERVER].map(|host| SocketAddr::from((host.v4, MARKER)));
        let marker = udp_between(from, to, &number.to_be_bytes());
        let marker = Ip::new(Family::V4, UDP, marker).frame();
        sender.send(&marker);
        let mut arrived = Vec::new();
        wait::until("the marker", || {
            arrived.extend(arrivals.received());
            arrived.contains(&marker).then_some(())
        });
        arrived.retain(|frame| sent.contains(frame));
        arrived.sort();
        expected.sort();
        let is_in = |frames: &[Vec<u8>], frame| frames.binary_search(frame).is_ok();
        let wrong = sent.iter().find(|frame| is_in(&arrived, frame) != is_in(&expected, frame));
        assert!(wrong.is_none(), "not as in the model: {:02x?}", wrong.unwrap());
        assert_eq!(arrived.len(), expected.len());
        outcome.received += target.received();
    }
    outcome
}

fn frames_to_send() -> usize {
    std::env::var("RUROCO_FRAMES")
        .map_or(FRAMES, |count| count.parse().expect("a number of frames"))
}

/// Connections that the host's stack has begun, also by a cookie, or would have begun if there had been room.
fn begun(target: &Target) -> u64 {
    let names = ["TcpPassiveOpens", "TcpExtSyncookiesSent", "TcpExtListenDrops"];
    names.iter().map(|name| counter(&target.lab().network.server, name)).sum()
}

fn half_open(target: &Target) -> usize {
    let list = |file| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
    let lists = target.lab().network.server.enter(|| ["tcp", "tcp6"].map(list).concat());
    lists.lines().filter(|line| line.split_whitespace().nth(3) == Some(SYN_RECV)).count()
}

fn expect_model_to_be_right(mode: &'static str) {
    let frames = frames_to_send();
    for _ in 0..frames.div_ceil(FRAMES) {
        let target = Target::guarded(mode);
        let (verdicts, opens) = (target.lab().verdicts(), begun(&target));
        let outcome = attack(&target, frames.min(FRAMES));
        eprintln!("{mode}: {outcome:?}");
        assert_eq!(target.lab().verdicts().since(&verdicts), outcome.verdicts);
        assert_eq!(outcome.verdicts.len(), 4, "closed, session and two kinds of fragments");
        assert_eq!((outcome.received, begun(&target), half_open(&target)), (0, opens, 2));
        assert!(target.are_there(), "a socket has changed its state");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_a_gate_all_packets_arrive_and_many_reach_a_socket() {
    let target = Target::unguarded();
    let outcome = attack(&target, FRAMES);
    let half_open = half_open(&target);
    eprintln!("without a gate: {outcome:?}, {half_open} half-open connections");
    assert!(outcome.received > FRAMES / 20 && half_open > 10);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_packet_without_a_lease_reaches_a_socket_past_a_native_gate() {
    expect_model_to_be_right("native");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_packet_without_a_lease_reaches_a_socket_past_a_generic_gate() {
    expect_model_to_be_right("generic");
}
