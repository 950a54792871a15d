//! What grows with the number of keys, and what must not grow with the number of sources.

use anyhow::{Context, Result};
use ruroco::key::Key;
use ruroco_common::verdict::Verdict;
use serde::Serialize;

use crate::{
    cpu,
    flood::{Flood, KINDS, SOURCE_BITS, Siege},
    generator::{Generator, Rate},
    kernel::{Kernel, Own, verdict},
    packets,
    paths::Paths,
    peer::Ruroco,
    scale::Scale,
    singles::{self, Single},
};

/// Everything this measures.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    /// Forged packets, each for any of the keys.
    pub(crate) keys: Vec<Keys>,
    pub(crate) sources: Vec<Sources>,
    /// Knocks at a server with [`MANY`] keys while it is flooded.
    pub(crate) many_keys: Flood,
}

/// What a number of keys costs.
#[derive(Debug, Serialize)]
pub(crate) struct Keys {
    pub(crate) keys: usize,
    pub(crate) single: Single,
    /// Bytes of all maps of the program.
    pub(crate) maps_bytes: u64,
}

/// What a number of sources costs.
#[derive(Debug, Serialize)]
pub(crate) struct Sources {
    /// How many there can be; 0 before anything was sent.
    pub(crate) sources: u64,
    pub(crate) packets: f64,
    /// Of the receiving thread, for each packet that was judged: with all that is around the
    /// program.
    pub(crate) receiver_ns: f64,
    /// Bytes of all BPF objects that the gate holds, after the flood.
    pub(crate) gate_bpf_bytes: u64,
    pub(crate) server_resident_kib: u64,
}

/// As many keys as anybody will have.
pub(crate) const MANY: usize = 10_000;

/// In how many turns the programs with different numbers of keys are measured.
const TURNS: usize = 5;

/// Measures the program with few and many keys, in turns.
pub(crate) fn of_keys(paths: &Paths, scale: &Scale) -> Result<Vec<Keys>> {
    let floor = Own::load(&paths.flood_object(), crate::frame::DROP)?;
    // A program from before authentication calls it a candidate.
    let refused = verdict("forged").unwrap_or(Verdict::Candidate);
    let mut programs = Vec::new();
    for count in [1, 100, MANY] {
        let keys = (0..count).map(|_| packets::key()).collect::<Result<Vec<Key>>>()?;
        let rotated = keys.iter().cycle().step_by(count.div_ceil(scale.singles).max(1));
        let frames = rotated.take(scale.singles).map(|key| packets::frame(&packets::forged(key)));
        programs.push((count, Kernel::new(&keys)?, frames.collect::<Vec<_>>()));
    }
    let mut turns: Vec<Vec<Single>> = programs.iter().map(|_| Vec::new()).collect();
    for _ in 0..TURNS {
        for ((_, kernel, frames), turns) in programs.iter_mut().zip(&mut turns) {
            // Who is flooded meets the same keys all the time: once, and then for the record.
            singles::measure("forged", kernel, &floor, frames, refused)?;
            turns.push(singles::measure("forged", kernel, &floor, frames, refused)?);
        }
    }
    let mut all = Vec::new();
    for ((keys, kernel, _), turns) in programs.iter_mut().zip(turns) {
        let (_, maps_bytes) = crate::program_size::maps(kernel.xdp()?)?;
        all.push(Keys { keys: *keys, single: middle(turns).context("no turns")?, maps_bytes });
    }
    Ok(all)
}

/// The turn with the median cost above the floor.
fn middle(mut turns: Vec<Single>) -> Option<Single> {
    turns.sort_by(|one, other| one.above.total_cmp(&other.above));
    let middle = turns.len() / 2;
    turns.into_iter().nth(middle)
}

/// What there is before anything was sent.
pub(crate) fn before_sources(gate: u32, server: u32) -> Result<Sources> {
    let (server_resident_kib, _) = cpu::resident(server)?;
    let gate_bpf_bytes = bpf_memory(gate)?;
    Ok(Sources { sources: 0, packets: 0.0, receiver_ns: 0.0, gate_bpf_bytes, server_resident_kib })
}

/// Floods with forged packets from one source, then from random ones, twice.
pub(crate) fn of_sources(
    siege: &mut Siege<'_>,
    generator: &mut Generator,
    gate: u32,
    knocks: usize,
) -> Result<Vec<Sources>> {
    let mut all = Vec::new();
    for bits in [0, SOURCE_BITS, 0, SOURCE_BITS] {
        let flood = siege.flood_with_sources(generator, KINDS[2], Rate::Maximum, knocks, bits)?;
        let busy = flood.cpu.processes.get(crate::flood::RECEIVER).copied().unwrap_or_default();
        let rate = flood.achieved;
        all.push(Sources {
            sources: 1 << bits,
            packets: flood.verdicts.iter().map(|(_, count)| *count as f64).sum(),
            receiver_ns: busy / rate * 1e9,
            gate_bpf_bytes: bpf_memory(gate)?,
            server_resident_kib: flood.server_resident.0,
        });
    }
    Ok(all)
}

/// Knocks while a server with many keys is flooded.
pub(crate) fn many_keys(paths: &Paths, knocks: usize) -> Result<Flood> {
    let (mut peer, attacker) = Ruroco::start(paths, "xdp", MANY)?;
    let mut generator = Generator::load(paths, &attacker)?;
    let mut siege = Siege::lay(&mut peer, &attacker)?;
    siege.flood(&mut generator, KINDS[2], Rate::Maximum, knocks)
}

/// Bytes of all BPF objects that a process holds.
fn bpf_memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/fdinfo");
    let files = std::fs::read_dir(&path).with_context(|| format!("could not list {path}"))?;
    let infos = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
    Ok(infos.filter_map(|info| crate::program_size::memlock(&info)).sum())
}
