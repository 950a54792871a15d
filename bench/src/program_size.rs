//! What the program takes of the kernel: instructions, memory, and time to load.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
    time::Instant,
};

use anyhow::{Context, Result};
use aya::{maps::MapInfo, programs::Xdp};
use serde::Serialize;

use crate::{kernel, packets, scale::Scale, statistics::Summary};

/// Size and load time of the gate's program with one key.
#[derive(Debug, Serialize)]
pub(crate) struct ProgramSize {
    /// Instructions that the verifier went through, those of every path counted.
    pub(crate) verified_instructions: u32,
    pub(crate) translated_bytes: u32,
    pub(crate) jited_bytes: u32,
    /// Milliseconds for maps, keys, verification and compilation.
    pub(crate) load_ms: Summary,
    /// Bytes of each map, as the kernel accounts them.
    pub(crate) maps: Vec<(String, u64)>,
    pub(crate) maps_bytes: u64,
}

/// Loads it a few times and asks the kernel.
pub(crate) fn measure(scale: &Scale) -> Result<ProgramSize> {
    let keys = [packets::key()?];
    let mut times = Vec::new();
    for _ in 0..scale.loads {
        let begun = Instant::now();
        let program = kernel::load(&keys)?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        drop(program);
    }
    let mut program = kernel::load(&keys)?;
    let program = program.xdp()?;
    let info = program.info()?;
    let (maps, maps_bytes) = maps(program)?;
    Ok(ProgramSize {
        verified_instructions: info.verified_instruction_count().unwrap_or_default(),
        translated_bytes: info.size_translated().unwrap_or_default(),
        jited_bytes: info.size_jitted(),
        load_ms: Summary::of(times).unwrap_or_default(),
        maps_bytes,
        maps,
    })
}

/// Bytes of each map of a program, and of all of them.
pub(crate) fn maps(program: &Xdp) -> Result<(Vec<(String, u64)>, u64)> {
    let mut maps = Vec::new();
    for id in program.info()?.map_ids()?.unwrap_or_default() {
        let map = MapInfo::from_id(id)?;
        let bytes = locked_memory(map.fd()?.as_fd().as_raw_fd())?;
        maps.push((map.name_as_str().unwrap_or("?").to_owned(), bytes));
    }
    let all = maps.iter().map(|(_, bytes)| bytes).sum();
    Ok((maps, all))
}

/// Bytes of a BPF object of ours.
fn locked_memory(descriptor: i32) -> Result<u64> {
    let path = format!("/proc/thread-self/fdinfo/{descriptor}");
    let info = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    memlock(&info).with_context(|| format!("{path} tells no memory"))
}

/// The bytes that a descriptor's information tells of, if it is that of a BPF object.
pub(crate) fn memlock(info: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix("memlock:"))?.trim().parse().ok()
}
