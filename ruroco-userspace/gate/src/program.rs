//! The XDP program, from the bytes in this binary to the loaded program with filled maps.

use std::{collections::BTreeMap, fs, os::fd::BorrowedFd, path::Path};

use anyhow::{Context, bail};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{MapData, PerCpuArray, RingBuf},
    programs::Xdp,
};
use aya_log::EbpfLogger;
use ruroco_common::{datagram::KeyId, guarded::Guarded, maps, verdict::Verdict};
use ruroco_config::{Appearance, Config};
use ruroco_keys::named_key::NamedKey;

use super::{
    door_maps::{DoorMaps, Plan},
    lookup::{self, Lookup},
    status::ProgramStatus,
    tables,
};

/// The program's object file.
#[cfg(xdp_program)]
pub const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ruroco.bpf.o"));
/// The program's object file: none was there when this binary was built.
#[cfg(not(xdp_program))]
pub const OBJECT: &[u8] = &[];

/// The loaded program and the maps it shares with this process.
pub struct Program {
    ebpf: Ebpf,
    keys: tables::Keys,
    ring: RingBuf<MapData>,
    verdicts: PerCpuArray<MapData, u64>,
    doors: Option<DoorMaps>,
    /// Whether closed doors look like ports without a listener.
    has_lookup: bool,
    /// What predecessors have counted, in the order of [`Verdict::ALL`].
    counted_before: Vec<u64>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
}

impl Program {
    /// Loads the program for what the configuration guards.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn load_configured(config: &Config, keys: &[NamedKey]) -> anyhow::Result<Self> {
        Self::load_as_configured(config, keys, Some(&config.gate.pin_dir))
    }

    /// Loads the program as the configuration asks for, and drops it: without keys, and without maps that outlive it.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn try_configured(config: &Config) -> anyhow::Result<()> {
        Self::load_as_configured(config, &[], None).map(drop)
    }

    fn load_as_configured(
        config: &Config,
        keys: &[NamedKey],
        pin_dir: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let guarded =
            Guarded::new(config.port, &config.addresses, config.gate.appearance.pass_refused());
        let mut guarded = guarded.context("too many addresses in `addresses`")?;
        guarded.share = maps::share(config.max_knocks_per_second_per_key);
        let doors: Vec<_> = config.doors.values().filter(|door| door.backend.has_xdp()).collect();
        let look_closed = !doors.is_empty() && config.gate.appearance != Appearance::Filtered;
        Self::load(guarded, keys, &Plan { doors, pin_dir, look_closed })
    }

    /// Loads the program into the kernel with filled maps. Nothing is attached yet.
    ///
    /// # Errors
    /// If this binary has no program, the kernel does not take it, or the doors are contradictory.
    pub fn load(mut guarded: Guarded, keys: &[NamedKey], doors: &Plan<'_>) -> anyhow::Result<Self> {
        if OBJECT.is_empty() {
            bail!(
                "this ruroco-gate was built without the XDP program; run `cargo xtask build-ebpf` and build it again"
            );
        }
        let mut loader = EbpfLoader::new();
        // The default has the kernel write megabytes of log while it verifies.
        loader.verifier_log_level(VerifierLogLevel::STATS);
        let places = tables::Places::of(keys)?;
        places.size(&mut loader);
        let (protocols, look_closed) = (doors.protocols(), u8::from(doors.look_closed));
        loader.override_global(maps::DOOR_PROTOCOLS, &protocols, true);
        loader.override_global(maps::DOORS_LOOK_CLOSED, &look_closed, true);
        doors.prepare(&mut loader)?;
        guarded.key_shift = places.shift;
        let mut ebpf = loader.load(OBJECT).context(
            "could not create the BPF maps. This needs Linux 5.9 or later, CAP_BPF and CAP_NET_ADMIN (run as root)",
        )?;
        let program: &mut Xdp = xdp(&mut ebpf)?;
        program.load().context("the kernel rejected the XDP program")?;
        if doors.look_closed {
            lookup::load(&mut ebpf)?;
        }
        tables::guard(&mut ebpf, &guarded).context("could not fill the BPF maps")?;
        let has_lookup = doors.look_closed;
        let doors = doors.fill(&mut ebpf).context("could not fill the BPF maps of the doors")?;
        let ring = tables::take(&mut ebpf, maps::CANDIDATES)?;
        let verdicts = tables::take(&mut ebpf, maps::VERDICTS)?;
        // Only a program built with `--debug-log` has a log to read.
        let logger = EbpfLogger::init(&mut ebpf).ok();
        if logger.is_some() {
            tracing::warn!(
                "the XDP program was built with --debug-log: it logs every packet at level debug \
                 (RUROCO_LOG=debug) and is slow; not for production"
            );
        }
        // Last: what is in the map from here on is somebody's to wipe.
        let keys = tables::Keys::fill(&mut ebpf, keys, &places);
        let keys = keys.context("could not fill the BPF maps")?;
        let counted_before = vec![0; Verdict::ALL.len()];
        Ok(Self { ebpf, keys, ring, verdicts, doors, has_lookup, counted_before, logger })
    }

    /// The program, for attaching it.
    ///
    /// # Errors
    /// If the object file holds no such program.
    pub fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        xdp(&mut self.ebpf)
    }

    /// Has the program treat a key as unknown.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub(super) fn remove_key(&mut self, id: KeyId) -> anyhow::Result<()> {
        self.keys.remove(id).context("could not remove a key from the BPF maps")
    }

    /// Has the program forget its keys and writes over them. For when it is no longer attached, or
    /// never was; a program that goes on without this process keeps its keys.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub fn wipe_keys(&mut self) -> anyhow::Result<()> {
        self.keys.wipe().context("could not wipe the keys in the BPF maps")
    }

    /// The ring of candidates, for handing it over.
    pub fn ring(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.ring)
    }

    /// The counters of all verdicts, summed over the CPUs and over this program's predecessors.
    ///
    /// # Errors
    /// If the kernel does not give them.
    pub fn verdicts(&self) -> anyhow::Result<Vec<(Verdict, u64)>> {
        let count = |(verdict, before): (Verdict, &u64)| {
            let per_cpu = self.verdicts.get(&verdict.index(), 0)?;
            Ok((verdict, per_cpu.iter().copied().fold(*before, u64::wrapping_add)))
        };
        Verdict::ALL.into_iter().zip(&self.counted_before).map(count).collect()
    }

    /// Goes on counting where a predecessor has ended.
    pub fn count_on(&mut self, predecessor: &[(Verdict, u64)]) {
        self.counted_before = predecessor.iter().map(|(_, count)| *count).collect();
    }

    /// The maps of the doors, if there are doors.
    pub const fn doors(&mut self) -> Option<&mut DoorMaps> {
        self.doors.as_mut()
    }

    /// The same, for their owner.
    pub const fn take_doors(&mut self) -> Option<DoorMaps> {
        self.doors.take()
    }

    /// Attaches the program that has closed doors look like ports without a listener, if they are to.
    ///
    /// # Errors
    /// If the kernel rejects it.
    pub(super) fn attach_lookup(&mut self) -> anyhow::Result<Option<Lookup>> {
        self.has_lookup.then(|| Lookup::attach(&mut self.ebpf)).transpose()
    }

    /// What the kernel says of the program.
    pub fn status(&self) -> ProgramStatus {
        let program = self.ebpf.program(maps::PROGRAM).and_then(|program| {
            let program: &Xdp = program.try_into().ok()?;
            program.info().ok()
        });
        ProgramStatus {
            tag: program.map(|program| format!("{:016x}", program.tag())),
            map_memory_bytes: map_memory(),
        }
    }

    /// The program's debug log, if it was built with one.
    pub fn log(&self) -> Option<BorrowedFd<'_>> {
        self.logger.as_ref().map(std::os::fd::AsFd::as_fd)
    }

    /// Passes what is in the program's debug log on to ours.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }
}

fn xdp(ebpf: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let program = ebpf.program_mut(maps::PROGRAM);
    let program = program.context("the object file has no XDP program: build it again")?;
    Ok(program.try_into()?)
}

/// The memory of all maps that this process has open, as the kernel tells it of each descriptor.
fn map_memory() -> u64 {
    let descriptors = fs::read_dir("/proc/self/fdinfo").into_iter().flatten();
    let infos = descriptors.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let maps = infos.filter_map(|info| {
        let field = |name: &str| -> Option<u64> {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value?.trim().parse().ok()
        };
        Some((field("map_id")?, field("memlock")?))
    });
    // A map may have several descriptors.
    maps.collect::<BTreeMap<_, _>>().into_values().fold(0, u64::saturating_add)
}
