//! The XDP program under `BPF_PROG_TEST_RUN`: loaded and filled by the gate's own code, and attached
//! to nothing.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Map, MapData, RingBuf},
    programs::{TestRun, TestRunOptions, Xdp},
};
use ruroco_common::{address::Address, guarded::Guarded, rate::Rate, verdict::Verdict};
use ruroco_gate::{door_maps::Plan, program::Program};
use ruroco_keys::{key::Key, named_key::NamedKey};
use ruroco_lab::network::{Family, PORT, SERVER};

/// Bytes of a record in the ring, with its header.
pub(crate) const RECORD: u32 = 152;

/// The gate's program with the lab's addresses and port.
pub(crate) struct Kernel {
    program: Program,
    ring: RingBuf<MapData>,
}

impl Kernel {
    /// Loads it and fills its maps.
    pub(crate) fn new(keys: &[Key]) -> Result<Self> {
        let mut program = load(keys)?;
        program.xdp()?;
        let ring = program.ring().try_clone_to_owned().context("could not copy a descriptor")?;
        let ring = Map::RingBuf(MapData::from_fd(ring)?);
        Ok(Self { program, ring: ring.try_into()? })
    }

    /// The loaded program.
    pub(crate) fn xdp(&mut self) -> Result<&Xdp> {
        Ok(self.program.xdp()?)
    }

    /// Nanoseconds for each of `repeat` runs on this frame, and makes sure that these packets got
    /// this verdict: all of them, or nearly so where time itself lets some through.
    pub(crate) fn time(&mut self, frame: &[u8], repeat: u32, verdict: Verdict) -> Result<f64> {
        let before = self.count(verdict)?;
        let time = time(self.xdp()?, frame, repeat)?;
        let counted = self.count(verdict)?.saturating_sub(before);
        ensure!(
            counted.saturating_mul(100) >= u64::from(repeat).saturating_mul(99),
            "only {counted} of {repeat} packets were {}",
            verdict.name()
        );
        Ok(time)
    }

    /// How many packets have got this verdict.
    pub(crate) fn count(&self, verdict: Verdict) -> Result<u64> {
        let all = self.program.verdicts()?;
        Ok(all.into_iter().find(|(of, _)| *of == verdict).map_or(0, |(_, count)| count))
    }

    /// Takes everything out of the ring.
    pub(crate) fn drain(&mut self) {
        while self.ring.next().is_some() {}
    }
}

/// Loads the gate's program for these keys.
pub(crate) fn load(keys: &[Key]) -> Result<Program> {
    let ips = Family::BOTH.map(|family| Address::from(SERVER.of(family)));
    let named = keys.iter().map(|key| NamedKey { name: key.id.to_string(), key: key.clone() });
    let keys: Vec<NamedKey> = named.collect();
    let guarded = Guarded::new(PORT, &ips, Rate::NEVER);
    let mut guarded = guarded.context("there are too many addresses")?;
    // One key fills the ring here.
    guarded.share = Rate::per_second(u32::MAX);
    Program::load(guarded, &keys, &Plan::default())
}

/// The verdict of this name, if this program has it.
pub(crate) fn verdict(name: &str) -> Option<Verdict> {
    Verdict::ALL.into_iter().find(|verdict| verdict.name() == name)
}

/// A program of the benchmark's own, loaded.
pub(crate) struct Own {
    /// With its maps.
    pub(crate) ebpf: Ebpf,
    name: &'static str,
}

impl Own {
    /// Loads one program of the object that `cargo xtask bench` has built.
    pub(crate) fn load(object: &Path, name: &'static str) -> Result<Self> {
        let object =
            fs::read(object).with_context(|| format!("could not read {}", object.display()))?;
        let mut ebpf =
            EbpfLoader::new().verifier_log_level(VerifierLogLevel::STATS).load(&object)?;
        let program: &mut Xdp =
            ebpf.program_mut(name).with_context(|| format!("there is no {name}"))?.try_into()?;
        program.load().with_context(|| format!("the kernel did not accept {name}"))?;
        Ok(Self { ebpf, name })
    }

    /// The loaded program, for attaching it.
    pub(crate) fn xdp_mut(&mut self) -> Result<&mut Xdp> {
        let program = self.ebpf.program_mut(self.name);
        Ok(program.with_context(|| format!("there is no {}", self.name))?.try_into()?)
    }

    /// The loaded program.
    pub(crate) fn xdp(&self) -> Result<&Xdp> {
        let program = self.ebpf.program(self.name);
        Ok(program.with_context(|| format!("there is no {}", self.name))?.try_into()?)
    }
}

/// Nanoseconds for each of `repeat` runs on this frame, as the kernel has measured them: whole
/// ones, rounded down.
pub(crate) fn time(program: &Xdp, frame: &[u8], repeat: u32) -> Result<f64> {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
    let result = program.test_run(options).context("BPF_PROG_TEST_RUN failed")?;
    Ok(result.duration.as_nanos() as f64)
}
