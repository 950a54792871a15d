//! A self-test for silence: it runs the program that this gate would load, on a separate wire.
//!
//! It creates two network namespaces and joins them by a veth pair. Both disappear with the thread that
//! created them, however it ends. The program gets a key made for this test. The test then sends it packets
//! of each kind that the gate rejects, and a knock, and listens for replies.
//!
//! The test concludes nothing from waiting. Before and after, it sends a packet to the port next to the
//! gate's, to which the stack replies that it is closed. The first reply shows that the test would receive
//! one; the second arrives after any reply to the packets in between. The counters of the verdicts show that
//! the program processed each packet.

mod wire;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use aya::programs::XdpMode;
use ruroco_common::{
    address::Address,
    command::CommandHash,
    datagram::{self, NONCE_SIZE},
    guarded::Guarded,
    plaintext::Plaintext,
    rate::Rate,
    verdict::Verdict,
};
use ruroco_gate::{door_maps::Plan, program::Program};
use ruroco_keys::{key::Key, named_key::NamedKey};
use ruroco_seal::{Aead, generate_key};
use rustix::process::geteuid;
use zerocopy::IntoBytes;

use self::wire::{GATE_INTERFACE, Listener, Namespace, Peer};
use super::Finding;

/// The gate's port in the test. It is in a namespace of its own, so any will do.
const PORT: u16 = 34_020;
/// A port that nothing listens on, before the packets and behind them.
const BESIDE: [u16; 2] = [34_021, 34_022];

/// How long the kernel may take to hand a packet over. What it takes is microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was heard.
#[derive(Debug)]
pub struct Heard {
    /// Frames that came back and answered one of the gate's packets.
    pub answers: usize,
    /// How often each verdict but `not_ours` was given.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// How often each should have been.
    pub expected: BTreeMap<&'static str, u64>,
    /// With which Internet protocols.
    pub addresses: Vec<IpAddr>,
}

impl Heard {
    /// Whether the gate was silent and saw everything.
    pub fn is_silence(&self) -> bool {
        self.answers == 0 && self.verdicts == self.expected
    }
}

/// The test as a finding.
pub(super) fn finding() -> Finding {
    const NAME: &str = "silence";
    if !geteuid().is_root() {
        return Finding::unknown(NAME, "the self-test must run as root");
    }
    match listen(Rate::NEVER) {
        Err(error) => Finding::unknown(NAME, format!("{error:#}")),
        Ok(heard) if heard.is_silence() => Finding::ok(
            NAME,
            format!(
                "junk, wrong lengths, truncated, forged and replayed packets and a knock: {} packets got a verdict, \
                and none got a reply ({}; appearance \"filtered\")",
                heard.verdicts.values().sum::<u64>(),
                match heard.addresses.len() {
                    2 => "IPv4 and IPv6",
                    _ => "IPv4; this host has no IPv6",
                },
            ),
        ),
        Ok(heard) => Finding::problem(
            NAME,
            format!(
                "{} packets got a reply; verdicts: {:?}, expected: {:?}",
                heard.answers, heard.verdicts, heard.expected
            ),
            "do not run this gate on this kernel. Report the problem with the output of: ruroco doctor --json; uname \
            -a",
        ),
    }
}

/// Does the test with a program that passes so much of what it refuses on to the stack:
/// [`Rate::NEVER`] as a gate that looks filtered does, anything else to hear what a gate that is not
/// silent sounds like.
///
/// # Errors
/// If the test cannot be done here; that says nothing of the gate.
pub fn listen(pass_refused: Rate) -> anyhow::Result<Heard> {
    thread::scope(|scope| {
        // A network namespace is a thread's.
        let test = scope.spawn(|| test(pass_refused));
        test.join().unwrap_or_else(|_| Err(anyhow!("the self-test ended early")))
    })
}

fn test(pass_refused: Rate) -> anyhow::Result<Heard> {
    let client = Namespace::make()?;
    wire::leave_for_a_new_namespace()?;
    let (gate, peers) = wire::connect(&client)?;
    let named = NamedKey {
        name: "doctor".to_owned(),
        key: generate_key().context("could not make a key")?,
    };
    let addresses: Vec<Address> = peers.iter().map(|peer| Address::from(peer.gate)).collect();
    let guarded = Guarded::new(PORT, &addresses, pass_refused).context("too many addresses")?;
    let mut program = Program::load(guarded, std::slice::from_ref(&named), &Plan::default())?;
    let xdp = program.xdp()?;
    // Dropped with the program.
    if xdp.attach_to_if_index(gate, XdpMode::Driver).is_err() {
        xdp.attach_to_if_index(gate, XdpMode::Skb)
            .with_context(|| format!("could not attach the program to {GATE_INTERFACE}"))?;
    }
    let mut listener = client.enter(Listener::new)?;
    client.enter(|| {
        for peer in &peers {
            listener.answer_from(peer, BESIDE[0])?;
            throw(peer, &named.key, &listener)?;
        }
        Ok(())
    })?;
    let expected = expected(&peers);
    let verdicts = counted(&program, expected.values().sum())?;
    client.enter(|| peers.iter().try_for_each(|peer| listener.answer_from(peer, BESIDE[1])))?;
    program.wipe_keys()?;
    let addresses = peers.iter().map(|peer| peer.gate).collect();
    Ok(Heard { answers: listener.answers(), verdicts, expected, addresses })
}

/// Everything that a gate refuses, and a knock.
fn throw(peer: &Peer, key: &Key, listener: &Listener) -> anyhow::Result<()> {
    let mut random = [0; datagram::SIZE];
    getrandom::fill(&mut random).context("could not get random numbers")?;
    let knock = knock(peer, key)?;
    let mut forged = knock.clone();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let one_less = random.get(1..).unwrap_or_default();
    let one_more = [&random[..], &[0]].concat();
    let packets = [b"junk".as_slice(), one_less, &one_more, &random, &forged, &knock, &knock];
    for packet in packets {
        peer.send(PORT, packet)?;
    }
    listener.send_truncated(peer, PORT)
}

fn knock(peer: &Peer, key: &Key) -> anyhow::Result<Vec<u8>> {
    let mut nonce = [0; NONCE_SIZE];
    getrandom::fill(&mut nonce).context("could not get random numbers")?;
    let content = Plaintext {
        command: CommandHash::of("doctor"),
        counter: 1,
        strict: true,
        claimed_source: None,
        destination: peer.gate.into(),
    };
    let sealed = Aead::new(key).seal(nonce, content.encode());
    let sealed = sealed.map_err(|_| anyhow!("could not seal a knock"))?;
    Ok(sealed.as_bytes().to_vec())
}

/// The verdicts on what is thrown.
fn expected(peers: &[Peer]) -> BTreeMap<&'static str, u64> {
    let mut expected: BTreeMap<_, _> = judged().map(|verdict| (verdict.name(), 0)).collect();
    for _ in peers {
        for (verdict, count) in [
            (Verdict::WrongLength, 3),
            (Verdict::UnknownKey, 1),
            (Verdict::Forged, 1),
            (Verdict::Candidate, 1),
            (Verdict::Replayed, 1),
            (Verdict::Malformed, 1),
        ] {
            let sum = expected.entry(verdict.name()).or_insert(0_u64);
            *sum = sum.saturating_add(count);
        }
    }
    expected
}

/// All verdicts except that on packets for other ports, which the kernel sends itself, too.
fn judged() -> impl Iterator<Item = Verdict> {
    Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::NotOurs)
}

/// The counters, once so many packets have been judged.
fn counted(program: &Program, wanted: u64) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let until = Instant::now().checked_add(PATIENCE);
    loop {
        let counts = program.verdicts()?.into_iter();
        let counts: BTreeMap<_, _> = counts
            .filter(|(verdict, _)| *verdict != Verdict::NotOurs)
            .map(|(verdict, count)| (verdict.name(), count))
            .collect();
        let is_late = until.is_none_or(|until| Instant::now() >= until);
        if is_late || counts.values().sum::<u64>() >= wanted {
            return Ok(counts);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// An address of the test (RFC 5737, RFC 3849), which exists in its namespaces only.
const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
];
