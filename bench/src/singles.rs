//! Packets that are measured one by one, because no packet gets the same verdict twice or because
//! no two of them shall be alike.
//!
//! Each is a `BPF_PROG_TEST_RUN` of its own. Between two of them lie a system call and other code,
//! so that caches and branch predictors are cold: these numbers are higher than those of
//! [`crate::cost`], nearer to what a rare packet meets, and only to be compared with each other.

use anyhow::{Result, ensure};
use ruroco_common::verdict::Verdict;
use ruroco_keys::key::Key;
use serde::Serialize;

use crate::{
    kernel::{self, Kernel, Own, verdict},
    packets,
    paths::Paths,
    scale::Scale,
    statistics::Summary,
};

/// Nanoseconds per packet of one kind, no two of them alike.
#[derive(Debug, Serialize)]
pub(crate) struct Single {
    pub(crate) packets: String,
    /// Of the empty program, on the same packets.
    pub(crate) floor: Summary,
    pub(crate) cost: Summary,
    /// The difference of the medians.
    pub(crate) above: f64,
}

/// How many packets go by before the ring is drained: less than it holds.
const BATCH: usize = 1_000;

/// Measures these frames, each with the empty program and then with the gate's. Each is made just
/// before: a card writes frames into the same few buffers again and again, too.
pub(crate) fn measure(
    what: &str,
    kernel: &mut Kernel,
    floor: &Own,
    frames: impl Iterator<Item = Vec<u8>>,
    verdict: Verdict,
) -> Result<Single> {
    let before = kernel.count(verdict)?;
    let (mut floors, mut costs) = (Vec::new(), Vec::new());
    for frame in frames {
        floors.push(kernel::time(floor.xdp()?, &frame, 1)?);
        costs.push(kernel::time(kernel.xdp()?, &frame, 1)?);
        if costs.len() % BATCH == 0 {
            kernel.drain();
        }
    }
    kernel.drain();
    let (counted, packets) = (kernel.count(verdict)? - before, costs.len());
    ensure!(
        counted == packets as u64,
        "only {counted} of {packets} packets were {}",
        verdict.name()
    );
    let none = Summary::default();
    let floor = Summary::of(floors).unwrap_or(none);
    let cost = Summary::of(costs).unwrap_or(none);
    Ok(Single { packets: what.to_owned(), floor, cost, above: cost.median - floor.median })
}

/// Makes a frame that is unlike all others.
type Make = fn(&Key) -> Vec<u8>;

/// The kinds for which it matters.
pub(crate) fn all(paths: &Paths, scale: &Scale) -> Result<Vec<Single>> {
    let floor = Own::load(&paths.flood_object(), crate::frame::DROP)?;
    let key = packets::key()?;
    let mut kernel = Kernel::new(std::slice::from_ref(&key))?;
    let kinds: [(_, Make); 3] = [
        ("wrong_length", |key| packets::frame(&packets::forged(key)[..93])),
        ("forged", |key| packets::frame(&packets::forged(key))),
        ("candidate", |key| packets::frame(&packets::authentic(key))),
    ];
    let mut all = Vec::new();
    for (name, make) in kinds {
        let Some(verdict) = verdict(name) else { continue };
        let frames = (0..scale.singles).map(|_| make(&key));
        all.push(measure(name, &mut kernel, &floor, frames, verdict)?);
    }
    Ok(all)
}
