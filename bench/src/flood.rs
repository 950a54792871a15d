//! Knocks while others flood: who gets through, how soon, and what it costs.

use std::{process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    attacker::{self, ATTACKED_INTERFACE, Attacker},
    namespace::Namespace,
    network::{self, CLIENT_INTERFACE, CLIENT_MAC, SERVER_INTERFACE, SERVER_MAC},
    send_times::SendTimes,
};
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_setaffinity},
};
use serde::Serialize;

use crate::{
    cpu::{self, Times},
    frame,
    generator::{self, Generator, RECEIVER_CPU, Rate, Recipe, Sent, Target},
    knocks::{self, Knocks},
    peer::Peer,
};

/// One row: one kind of flood at one rate.
#[derive(Debug, Serialize)]
pub(crate) struct Flood {
    pub(crate) peer: &'static str,
    pub(crate) kind: &'static str,
    /// Whether it came in by the client's link.
    pub(crate) shared_link: bool,
    /// What the generator was told; none for "as fast as it can".
    pub(crate) wanted: Option<u32>,
    /// Packets a second that the generator made.
    pub(crate) offered: f64,
    /// Packets a second that the gate judged; without a gate, that came to the network stack.
    pub(crate) achieved: f64,
    pub(crate) knocks: Knocks,
    /// Seconds on a CPU for each second.
    pub(crate) cpu: Times,
    /// Of the server's time, for each knock, in microseconds.
    pub(crate) server_us_per_knock: f64,
    /// KiB, after the flood and at the peak.
    pub(crate) server_resident: (u64, u64),
    /// Records in the ring, and knocks sent: authentic packets.
    pub(crate) candidates: Option<u64>,
    /// What the gate's counters say.
    pub(crate) verdicts: Vec<(&'static str, u64)>,
}

impl Flood {
    /// Whether there was none.
    pub(crate) fn is_idle(&self) -> bool {
        self.kind == IDLE
    }

    /// Which part of the packets that were judged met this verdict; knocks are left out.
    pub(crate) fn share(&self, verdict: &str) -> f64 {
        let flood = self.verdicts.iter().filter(|(name, _)| *name != Verdict::Candidate.name());
        let all: u64 = flood.clone().map(|(_, count)| count).sum();
        let met: u64 = flood.filter(|(name, _)| *name == verdict).map(|(_, count)| count).sum();
        if all > 0 { met as f64 / all as f64 } else { 0.0 }
    }

    /// Nanoseconds of the receiving thread for each packet that was judged: with all that is around
    /// the program.
    pub(crate) fn receiver_ns(&self) -> f64 {
        let busy = self.cpu.processes.get(RECEIVER).copied().unwrap_or_default();
        busy / self.achieved * 1e9
    }

    /// What it was, in a few words.
    pub(crate) fn title(&self) -> String {
        let rate = match self.wanted {
            _ if self.is_idle() => return self.kind.to_owned(),
            Some(wanted) => crate::numbers::rate(f64::from(wanted)),
            None => "maximum".to_owned(),
        };
        let link = if self.shared_link { ", by the client's link" } else { "" };
        format!("{}, {rate}{link}", self.kind)
    }
}

/// The kind of the row without a flood.
const IDLE: &str = "none";

/// What a flood consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) code: u32,
}

/// The kind that costs most.
pub(crate) const FORGED: Kind = Kind { name: "forged", code: frame::FORGED };

/// All kinds.
pub(crate) const KINDS: [Kind; 6] = [
    Kind { name: "wrong length", code: frame::WRONG_LENGTH },
    Kind { name: "random 94 bytes", code: frame::RANDOM },
    FORGED,
    Kind { name: "exact replay", code: frame::REPLAY },
    Kind { name: "fragments", code: frame::FRAGMENT },
    Kind { name: "mix", code: frame::MIX },
];

/// Name of the threads that receive a flood, among the processes.
pub(crate) const RECEIVER: &str = "receiving thread";

/// The real-time priority (`SCHED_RR`) of the programs that are knocked at, as in ruroco's units.
const PRIORITY: &str = "1";

/// Sources are random in so many bits of their address.
pub(crate) const SOURCE_BITS: u32 = 24;

/// A peer under attack.
pub(crate) struct Siege<'a> {
    pub(crate) peer: &'a mut dyn Peer,
    pub(crate) attacker: &'a Attacker,
    /// The threads that receive the flood.
    receivers: Vec<u32>,
    accepted: Vec<u8>,
    /// Open all the time: the kernel only begins to note times a while after it was asked to.
    wire: SendTimes,
    /// The number of the next knock.
    next: u32,
}

impl<'a> Siege<'a> {
    /// Has the attacked interface received on a CPU of its own.
    pub(crate) fn lay(peer: &'a mut dyn Peer, attacker: &'a Attacker) -> Result<Self> {
        let receivers = receive_on_own_cpu(&peer.network().server, ATTACKED_INTERFACE)?;
        for (name, pid) in peer.processes() {
            run_in_real_time(pid).with_context(|| format!("could not give {name} priority"))?;
        }
        let wire = SendTimes::of(&peer.network().client, peer.port());
        let accepted = peer.accepted()?;
        Ok(Self { peer, attacker, receivers, accepted, wire, next: 1 })
    }

    /// Knocks without a flood.
    pub(crate) fn idle(&mut self, knocks: usize) -> Result<Flood> {
        self.measure(IDLE, Some(0), knocks, |knock| Ok((knock()?, Sent::default())))
    }

    /// Knocks during a flood from kernel-made frames.
    pub(crate) fn flood(
        &mut self,
        generator: &mut Generator,
        kind: Kind,
        rate: Rate,
        knocks: usize,
    ) -> Result<Flood> {
        let recipe = self.recipe(kind, SOURCE_BITS);
        let target = Target::own_link(&self.attacker.namespace, self.peer.port());
        self.measure(kind.name, rate.limit(), knocks, |knock| {
            generator.flood(&target, &recipe, rate, knock)
        })
    }

    /// Knocks during the heaviest flood of what is [forged](FORGED).
    pub(crate) fn flood_forged(
        &mut self,
        generator: &mut Generator,
        recipe: &Recipe,
        knocks: usize,
    ) -> Result<Flood> {
        let target = Target::own_link(&self.attacker.namespace, self.peer.port());
        self.measure(FORGED.name, None, knocks, |knock| {
            generator.flood(&target, recipe, Rate::Maximum, knock)
        })
    }

    /// What a flood of a kind is made of, with so many random bits in the sources' addresses.
    pub(crate) fn recipe(&self, kind: Kind, source_bits: u32) -> Recipe {
        Recipe::new(kind.code, source_bits, &self.accepted)
    }

    /// The same, but in the very queue that the knocks are in. The last thing to be measured: that
    /// link is received by a thread from then on.
    pub(crate) fn flood_client_link(
        &mut self,
        generator: &mut Generator,
        kind: Kind,
        rate: Rate,
        knocks: usize,
    ) -> Result<Flood> {
        self.receivers.extend(receive_on_own_cpu(&self.peer.network().server, SERVER_INTERFACE)?);
        let recipe = self.recipe(kind, SOURCE_BITS);
        let clients = self.peer.network().client.handle();
        let target = Target {
            from: &clients,
            interface: CLIENT_INTERFACE,
            macs: [CLIENT_MAC, SERVER_MAC],
            port: self.peer.port(),
        };
        let flood = self.measure(kind.name, rate.limit(), knocks, |knock| {
            generator.flood(&target, &recipe, rate, knock)
        })?;
        Ok(Flood { shared_link: true, ..flood })
    }

    /// Knocks during a flood with forged packets from an ordinary socket.
    pub(crate) fn flood_from_socket(&mut self, knocks: usize) -> Result<Flood> {
        let target = Target::own_link(&self.attacker.namespace, self.peer.port());
        let mut forged = self.accepted.clone();
        if let Some(last) = forged.last_mut() {
            *last ^= 1;
        }
        self.measure("forged, from a socket", None, knocks, |knock| {
            generator::flood_from_socket(&target, &forged, knock)
        })
    }

    fn measure(
        &mut self,
        kind: &'static str,
        wanted: Option<u32>,
        knocks: usize,
        flood: impl FnOnce(&mut dyn FnMut() -> Result<Inside>) -> Result<(Inside, Sent)>,
    ) -> Result<Flood> {
        let first = self.next;
        self.next += u32::try_from(knocks)?;
        let processes = self.processes();
        let before = self.peer.verdicts();
        let stack_before = network::udp_packets(&self.peer.network().server);
        let (peer, wire): (&dyn Peer, _) = (self.peer, &self.wire);
        let mut knock = || {
            let then = Times::now(&processes)?;
            let begun = std::time::Instant::now();
            let knocks = knocks::knock(peer, wire, knocks, first)?;
            let times = Times::now(&processes)?.since(&then);
            Ok(Inside { knocks, times, seconds: begun.elapsed().as_secs_f64() })
        };
        let (inside, sent) = flood(&mut knock)?;
        // What still is in queues.
        thread::sleep(Duration::from_millis(100));
        let after = self.peer.verdicts();
        let risen = before.zip(after).map(|(before, after)| after.since(&before));
        let (_, server) = self.peer.processes().into_iter().next().context("no process")?;
        let Inside { knocks, mut times, seconds } = inside;
        let server_time = times.processes.get("server").copied().unwrap_or_default();
        times.divide_by(seconds);
        let in_stack = network::udp_packets(&self.peer.network().server) - stack_before;
        let judged = risen.as_ref().map_or(in_stack, |risen| risen.values().sum());
        let own = knocks.sent as f64;
        Ok(Flood {
            peer: self.peer.name(),
            kind,
            shared_link: false,
            wanted,
            offered: per_second(sent.packets as f64, sent.seconds),
            achieved: per_second(judged as f64 - own, sent.seconds),
            server_us_per_knock: server_time / own * 1e6,
            server_resident: cpu::resident(server)?,
            candidates: risen
                .as_ref()
                .map(|risen| risen.get(Verdict::Candidate.name()).copied().unwrap_or_default()),
            verdicts: risen.map(|risen| risen.into_iter().collect()).unwrap_or_default(),
            cpu: times,
            knocks,
        })
    }

    fn processes(&mut self) -> Vec<(String, Vec<u32>)> {
        let own = self.peer.processes().into_iter().map(|(name, pid)| (name.to_owned(), vec![pid]));
        own.chain([(RECEIVER.to_owned(), self.receivers.clone())]).collect()
    }
}

/// What is measured while the flood lasts.
pub(crate) struct Inside {
    knocks: Knocks,
    times: Times,
    seconds: f64,
}

fn per_second(count: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { count / seconds } else { 0.0 }
}

/// All threads that a process has by now; what it starts is up to it.
pub(crate) fn run_in_real_time(pid: u32) -> Result<()> {
    let mut chrt = Command::new("chrt");
    chrt.args(["--all-tasks", "--rr", "--pid", PRIORITY, &pid.to_string()]);
    let said = chrt.output().context("could not start chrt (Debian: util-linux)")?;
    ensure!(said.status.success(), "chrt: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(())
}

/// Has an interface received by threads on [`RECEIVER_CPU`]; their ids.
pub(crate) fn receive_on_own_cpu(host: &Namespace, interface: &str) -> Result<Vec<u32>> {
    let threads = attacker::receive_on_threads(host, interface);
    let mut cpus = CpuSet::new();
    cpus.set(RECEIVER_CPU);
    for thread in &threads {
        let pid = Pid::from_raw(i32::try_from(*thread)?);
        sched_setaffinity(pid, &cpus).context("could not pin the receiving thread")?;
    }
    Ok(threads)
}
