//! What grows with the number of keys, and what must not grow with the number of sources.

use anyhow::{Context, Result};
use ruroco_common::verdict::Verdict;
use ruroco_keys::key::Key;
use ruroco_lab::knock::Bytes;
use serde::Serialize;
use zerocopy::{FromBytes, IntoBytes, transmute};

use crate::{
    cpu,
    flood::{FORGED, Flood, SOURCE_BITS, Siege},
    frame::{self, Frame, Random},
    generator::{Generator, Recipe},
    kernel::{Kernel, Own, verdict},
    packets,
    paths::Paths,
    peer::Ruroco,
    singles::{self, Single},
};

/// Everything this measures.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    /// Forged packets, each for any of the keys.
    pub(crate) keys: Vec<Keys>,
    pub(crate) sources: Vec<Sources>,
    /// Knocks at a server with [`MANY`] keys.
    pub(crate) many_keys: Vec<ManyKeys>,
}

impl Growth {
    /// All floods at the server with many keys.
    pub(crate) fn many_keys(&self) -> impl Iterator<Item = &Flood> {
        self.many_keys.iter().map(|of| &of.flood)
    }
}

/// What a number of keys costs.
#[derive(Debug, Serialize)]
pub(crate) struct Keys {
    pub(crate) keys: usize,
    pub(crate) single: Single,
    /// Bytes of all maps of the program.
    pub(crate) maps_bytes: u64,
}

/// Knocks during a flood that is forged under so many keys of a server that has [`MANY`].
#[derive(Debug, Serialize)]
pub(crate) struct ManyKeys {
    pub(crate) forged: usize,
    pub(crate) flood: Flood,
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
pub(crate) const TURNS: usize = 11;

/// Measures the program with few and many keys, in turns: every packet a new forgery, under the
/// next key.
pub(crate) fn of_keys(paths: &Paths) -> Result<Vec<Keys>> {
    let floor = Own::load(&paths.flood_object(), frame::DROP)?;
    // A program from before authentication calls it a candidate.
    let refused = verdict("forged").unwrap_or(Verdict::Candidate);
    let first = packets::frame(&[0; size_of::<Bytes>()]);
    let mut frame = Frame::read_from_bytes(&first).ok().context("not a frame")?;
    let (plan, mut random) = (Recipe::new(FORGED.code, SOURCE_BITS, &[]).plan, Random::new(0));
    let keys = (0..MANY).map(|_| packets::key()).collect::<Result<Vec<Key>>>()?;
    // Nothing but the ids: what this program looks at takes room in the same caches.
    let key_ids: Vec<frame::KeyId> = keys.iter().map(|key| transmute!(key.id.0)).collect();
    let mut all = [1, 100, MANY].map(|keys| (keys, 0, Vec::new()));
    for _ in 0..TURNS {
        for (count, maps_bytes, turns) in &mut all {
            // Each time in other pages of memory.
            let mut kernel = Kernel::new(&keys[..*count])?;
            let mut under_each = || {
                let frames = key_ids[..*count].iter().cycle().take(MANY).map(|key_id| {
                    frame.write(&plan, key_id, &mut random);
                    frame.as_bytes().to_vec()
                });
                singles::measure("forged", &mut kernel, &floor, frames, refused)
            };
            // Who is flooded meets the same keys all the time: all of them once, and then for the
            // record.
            under_each()?;
            turns.push(under_each()?);
            (_, *maps_bytes) = crate::program_size::maps(kernel.xdp()?)?;
        }
    }
    let all = all.into_iter().map(|(keys, maps_bytes, turns)| {
        Ok(Keys { keys, single: middle(turns).context("no turns")?, maps_bytes })
    });
    all.collect()
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
        let recipe = siege.recipe(FORGED, bits);
        let flood = siege.flood_forged(generator, &recipe, knocks)?;
        all.push(Sources {
            sources: 1 << bits,
            packets: flood.verdicts.iter().map(|(_, count)| *count as f64).sum(),
            receiver_ns: flood.receiver_ns(),
            gate_bpf_bytes: bpf_memory(gate)?,
            server_resident_kib: flood.server_resident.0,
        });
    }
    Ok(all)
}

/// Floods with packets forged under one of many keys, then under all of them, twice.
pub(crate) fn many_keys(paths: &Paths, knocks: usize) -> Result<Vec<ManyKeys>> {
    let (mut peer, attacker) = Ruroco::start(paths, "xdp", MANY)?;
    let key_ids = peer.key_ids.clone();
    let mut generator = Generator::load(paths, &attacker)?;
    let mut siege = Siege::lay(&mut peer, &attacker)?;
    let mut all = Vec::new();
    for key_ids in [&key_ids[..1], &key_ids, &key_ids[..1], &key_ids] {
        let recipe = siege.recipe(FORGED, SOURCE_BITS).under(key_ids)?;
        let flood = siege.flood_forged(&mut generator, &recipe, knocks)?;
        all.push(ManyKeys { forged: key_ids.len(), flood });
    }
    Ok(all)
}

/// Bytes of all BPF objects that a process holds.
fn bpf_memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/fdinfo");
    let files = std::fs::read_dir(&path).with_context(|| format!("could not list {path}"))?;
    let infos = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
    Ok(infos.filter_map(|info| crate::program_size::memlock(&info)).sum())
}
