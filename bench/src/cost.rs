//! What a packet costs by verdict, beside programs that do nothing and crates that do the same in
//! user space.
//!
//! Many short rounds, each of which measures everything once: what disturbs the machine disturbs
//! all of it, and what is compared was measured within milliseconds of each other.

use anyhow::{Context, Result};
use ruroco_common::{maps::RING_SIZE, verdict::Verdict};
use serde::Serialize;

use crate::{
    crates::{Crates, REFUSALS},
    kernel::{self, Kernel, Own, verdict},
    packets::{self, Keys},
    paths::Paths,
    scale::Scale,
    statistics::Summary,
};

/// Everything this measures.
#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) verdicts: Vec<VerdictCost>,
    pub(crate) crates: Vec<CrateCost>,
    /// Verdicts that the program under measurement does not give to the packets meant for them.
    pub(crate) missing: Vec<&'static str>,
}

/// Nanoseconds per packet of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct VerdictCost {
    pub(crate) verdict: &'static str,
    pub(crate) packet: &'static str,
    /// Of the empty program.
    pub(crate) floor: Summary,
    pub(crate) cost: Summary,
    /// The differences within each round.
    pub(crate) above: Summary,
}

/// Nanoseconds per refusal in user space.
#[derive(Debug, Serialize)]
pub(crate) struct CrateCost {
    pub(crate) build: &'static str,
    pub(crate) refusal: &'static str,
    pub(crate) cost: Summary,
    /// The kernel's cost for the forged packet, as a share of this, within each round.
    pub(crate) kernel_ratio: Option<Summary>,
}

/// One packet, the program it is for, and what has been measured.
struct Case {
    verdict: Verdict,
    packet: &'static str,
    frame: Vec<u8>,
    /// Whether it is for the program whose ring is full.
    full: bool,
    floors: Vec<f64>,
    costs: Vec<f64>,
}

/// The builds of the crates.
const BUILDS: [&str; 2] =
    ["generic x86-64, backend by autodetection", "generic x86-64, portable backend"];

/// Takes every measurement.
pub(crate) fn measure(paths: &Paths, scale: &Scale) -> Result<Cost> {
    let keys = Keys::generate()?;
    let forged = packets::forged(&keys.chacha);
    let (pass, drop) = (
        Own::load(&paths.flood_object(), crate::frame::PASS)?,
        Own::load(&paths.flood_object(), crate::frame::DROP)?,
    );
    let mut crates = [
        Crates::start(&paths.program("ruroco-bench-refusals")?)?,
        Crates::start(&paths.portable_refusals())?,
    ];
    let mut kernel = Kernel::new(&keys.all())?;
    let mut full = Kernel::new(&keys.all())?;
    let (mut cases, missing) = cases(&keys, &mut kernel, &mut full)?;
    let mut refusals = vec![vec![Vec::new(); REFUSALS.len()]; crates.len()];

    let any = packets::frame(&forged);
    for _ in 0..scale.rounds {
        let pass = kernel::time(pass.xdp()?, &any, scale.repeat)?;
        let drop = kernel::time(drop.xdp()?, &any, scale.repeat)?;
        for case in &mut cases {
            case.floors.push(if case.verdict == Verdict::NotOurs { pass } else { drop });
            let kernel = if case.full { &mut full } else { &mut kernel };
            let cost = kernel.time(&case.frame, scale.repeat, case.verdict);
            let cost = cost.with_context(|| format!("could not measure {}", case.packet))?;
            case.costs.push(cost);
        }
        // An unchecked key lets some through.
        kernel.drain();
        for (times, crates) in refusals.iter_mut().zip(&mut crates) {
            let round = crates.time(&keys.chacha, &forged, scale.refusals)?;
            times.iter_mut().zip(round).for_each(|(times, time)| times.push(time));
        }
    }
    let in_kernel = cases.iter().find(|case| case.verdict.name() == "forged");
    let in_kernel = in_kernel.map(|case| case.costs.clone()).unwrap_or_default();
    let crates = BUILDS.iter().zip(&refusals).flat_map(|(build, times)| {
        REFUSALS.iter().zip(times).filter_map(|(refusal, times)| {
            let ratios = in_kernel.iter().zip(times).map(|(kernel, time)| kernel / time);
            let cost = Summary::of(times.iter().copied())?;
            Some(CrateCost { build, refusal, cost, kernel_ratio: Summary::of(ratios) })
        })
    });
    Ok(Cost {
        crates: crates.collect(),
        verdicts: cases.iter().filter_map(Case::result).collect(),
        missing,
    })
}

/// All cases in the order of the program's steps, but [`Verdict::Candidate`], which no packet gets
/// twice; and what there is no verdict for. Brings the programs into the state that each needs.
fn cases(
    keys: &Keys,
    kernel: &mut Kernel,
    full_kernel: &mut Kernel,
) -> Result<(Vec<Case>, Vec<&'static str>)> {
    let forged = packets::forged(&keys.chacha);
    let known = packets::frame(&packets::authentic(&keys.chacha));
    kernel::time(kernel.xdp()?, &known, 1)?;
    let throttled = packets::frame(&packets::forged(&keys.aes));
    // More than any bucket holds, less than the ring.
    kernel::time(kernel.xdp()?, &throttled, 5_000)?;
    kernel.drain();
    for _ in 0..=RING_SIZE / kernel::RECORD {
        let frame = packets::frame(&packets::authentic(&keys.chacha));
        kernel::time(full_kernel.xdp()?, &frame, 1)?;
    }
    let unseen = packets::frame(&packets::authentic(&keys.chacha));

    let plain = packets::plain(&forged).into_iter();
    let plain = plain.map(|plain| (plain.verdict, plain.what, plain.frame, false));
    let checked = [
        ("replayed", "an authentic packet once more", known, false),
        ("throttled", "AES-256-GCM-SIV, bucket empty", throttled, false),
        ("forged", "known key id, wrong tag", packets::frame(&forged), false),
        ("ring_full", "an authentic packet, no room", unseen, true),
    ];
    let mut cases = Vec::new();
    let mut missing = Vec::new();
    for (name, packet, frame, full) in plain.chain(checked) {
        let program = if full { &mut *full_kernel } else { &mut *kernel };
        match verdict(name) {
            Some(verdict) if program.time(&frame, PROBE, verdict).is_ok() => {
                let (floors, costs) = (Vec::new(), Vec::new());
                cases.push(Case { verdict, packet, frame, full, floors, costs });
            }
            _ => missing.push(name),
        }
    }
    Ok((cases, missing))
}

/// So many packets have to get the verdict that they are for, before that is measured.
const PROBE: u32 = 100;

impl Case {
    fn result(&self) -> Option<VerdictCost> {
        let above = self.costs.iter().zip(&self.floors).map(|(cost, floor)| cost - floor);
        Some(VerdictCost {
            verdict: self.verdict.name(),
            packet: self.packet,
            floor: Summary::of(self.floors.iter().copied())?,
            cost: Summary::of(self.costs.iter().copied())?,
            above: Summary::of(above)?,
        })
    }
}
