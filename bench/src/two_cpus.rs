//! Whether CPUs that judge packets at the same time get in each other's way.

use std::{sync::Barrier, thread};

use anyhow::{Context, Result};
use ruroco_common::maps::RING_SIZE;
use serde::Serialize;

use crate::{
    cpu::on,
    kernel::{self, Kernel, verdict},
    packets,
    scale::Scale,
    statistics::Summary,
};

/// Nanoseconds per packet on one CPU, while another does the same and while it does not.
#[derive(Debug, Serialize)]
pub(crate) struct TwoCpus {
    pub(crate) packet: &'static str,
    pub(crate) alone: Summary,
    pub(crate) together: Summary,
    /// Together as a multiple of alone, by the medians: 1 where nothing is shared, 2 where all is.
    pub(crate) factor: f64,
}

/// Measures what takes locks or writes to shared memory, and what does neither.
pub(crate) fn measure(scale: &Scale) -> Result<Vec<TwoCpus>> {
    if thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        return Ok(Vec::new());
    }
    let key = packets::key()?;
    let mut kernel = Kernel::new(std::slice::from_ref(&key))?;
    let known = packets::frame(&packets::authentic(&key));
    for _ in 0..=RING_SIZE / kernel::RECORD {
        kernel::time(kernel.xdp()?, &packets::frame(&packets::authentic(&key)), 1)?;
    }
    kernel.drain();
    kernel::time(kernel.xdp()?, &known, 1)?;
    let mut measured = Vec::new();
    for (packet, frame) in [
        ("wrong_length", packets::frame(&packets::forged(&key)[..93])),
        ("forged", packets::frame(&packets::forged(&key))),
        ("replayed", known),
    ] {
        measured.extend(compare(packet, &mut kernel, [&frame, &frame], scale)?);
    }
    // Every packet takes the ring's lock and finds no room.
    for _ in 0..=RING_SIZE / kernel::RECORD {
        kernel::time(kernel.xdp()?, &packets::frame(&packets::authentic(&key)), 1)?;
    }
    let unseen = [(); 2].map(|()| packets::frame(&packets::authentic(&key)));
    let unseen = unseen.each_ref().map(Vec::as_slice);
    measured.extend(compare("ring_full", &mut kernel, unseen, scale)?);
    Ok(measured)
}

/// None if these packets do not get this verdict.
fn compare(
    packet: &'static str,
    kernel: &mut Kernel,
    frames: [&[u8]; 2],
    scale: &Scale,
) -> Result<Option<TwoCpus>> {
    let Some(verdict) = verdict(packet) else { return Ok(None) };
    let before = kernel.count(verdict)?;
    let program = kernel.xdp()?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    // Long enough for both to run at the same time for nearly all of it.
    let repeat = scale.repeat.saturating_mul(5);
    for _ in 0..scale.rounds.div_ceil(5) {
        for (cpu, frame) in frames.into_iter().enumerate() {
            alone.push(on(cpu, || kernel::time(program, frame, repeat))?);
        }
        let start = Barrier::new(frames.len());
        let times = thread::scope(|scope| {
            let threads: Vec<_> = frames
                .into_iter()
                .enumerate()
                .map(|(cpu, frame)| {
                    let start = &start;
                    scope.spawn(move || {
                        on(cpu, || {
                            start.wait();
                            kernel::time(program, frame, repeat)
                        })
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().ok());
            joined.map(|time| time.context("a thread has ended")?).collect::<Result<Vec<f64>>>()
        })?;
        together.extend(times);
    }
    let none = Summary::default();
    let alone = Summary::of(alone).unwrap_or(none);
    let together = Summary::of(together).unwrap_or(none);
    let runs = u64::from(scale.rounds.div_ceil(5)) * u64::from(repeat) * 4;
    let all = kernel.count(verdict)? - before == runs;
    let factor = together.median / alone.median;
    Ok(all.then_some(TwoCpus { packet, alone, together, factor }))
}
