//! The XDP program, from the bytes in this binary to the loaded program with filled maps.

use std::os::fd::BorrowedFd;

use anyhow::{Context, bail};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
    programs::Xdp,
};
use aya_log::EbpfLogger;
use ruroco_common::{
    address::Address,
    datagram::KeyId,
    maps::{self, KeyEntry, Settings},
    verdict::Verdict,
};
use zerocopy::transmute;

/// The program's object file.
#[cfg(xdp_program)]
pub const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ruroco.bpf.o"));
/// The program's object file: none was there when this binary was built.
#[cfg(not(xdp_program))]
pub const OBJECT: &[u8] = &[];

/// The loaded program and the maps it shares with this process.
pub struct Program {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    verdicts: PerCpuArray<MapData, u64>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
}

/// What the program is to guard.
pub struct Guarded<'a> {
    /// Our addresses.
    pub ips: &'a [Address],
    /// Our UDP port.
    pub port: u16,
    /// The ids of our keys.
    pub keys: &'a [KeyId],
}

impl Program {
    /// Loads the program into the kernel with filled maps. Nothing is attached yet.
    ///
    /// # Errors
    /// If this binary has no program, or the kernel does not take it.
    pub fn load(guarded: &Guarded<'_>) -> anyhow::Result<Self> {
        if OBJECT.is_empty() {
            bail!(
                "this ruroco-gate was built without the XDP program; run `cargo xtask build-ebpf` \
                 and build it again"
            );
        }
        let mut ebpf = EbpfLoader::new()
            // The default has the kernel write megabytes of log while it verifies.
            .verifier_log_level(VerifierLogLevel::STATS)
            .load(OBJECT)
            .context(
                "could not create the BPF maps; this needs CAP_BPF and CAP_NET_ADMIN (run as root) \
                 and Linux 5.9 or later",
            )?;
        fill(&mut ebpf, guarded).context("could not fill the BPF maps")?;
        let ring = take_map(&mut ebpf, maps::CANDIDATES)?;
        let verdicts = take_map(&mut ebpf, maps::VERDICTS)?;
        // Only a program built with `--debug-log` has a log to read.
        let logger = EbpfLogger::init(&mut ebpf).ok();
        if logger.is_some() {
            tracing::warn!(
                "the XDP program was built with --debug-log: it logs every packet at level debug \
                 (RUROCO_LOG=debug) and is slow; not for production"
            );
        }
        let mut program = Self { ebpf, ring, verdicts, logger };
        program.xdp()?.load().context("the kernel did not accept the XDP program")?;
        Ok(program)
    }

    /// The program, for attaching it.
    ///
    /// # Errors
    /// If the object file holds no such program.
    pub fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        let program = self.ebpf.program_mut(maps::PROGRAM);
        let program = program.context("the object file has no XDP program: build it again")?;
        Ok(program.try_into()?)
    }

    /// The ring of candidates, for handing it over.
    pub fn ring(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.ring)
    }

    /// The counters of all verdicts, summed over the CPUs.
    ///
    /// # Errors
    /// If the kernel does not give them.
    pub fn verdicts(&self) -> anyhow::Result<Vec<(Verdict, u64)>> {
        let count = |verdict: Verdict| {
            let per_cpu = self.verdicts.get(&verdict.index(), 0)?;
            Ok((verdict, per_cpu.iter().copied().fold(0, u64::wrapping_add)))
        };
        Verdict::ALL.into_iter().map(count).collect()
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

/// In user space a map's keys and values are the bytes of the shared types.
fn fill(ebpf: &mut Ebpf, guarded: &Guarded<'_>) -> anyhow::Result<()> {
    let mut settings: Array<_, [u8; size_of::<Settings>()]> = borrow_map(ebpf, maps::SETTINGS)?;
    let bytes: [u8; size_of::<Settings>()] = transmute!(Settings { port: guarded.port });
    settings.set(0, bytes, 0)?;

    let mut addresses: HashMap<_, [u8; 16], u8> = borrow_map(ebpf, maps::ADDRESSES)?;
    for address in guarded.ips {
        addresses.insert(address.to_bytes(), 0, 0)?;
    }

    let mut keys: HashMap<_, [u8; 8], [u8; size_of::<KeyEntry>()]> = borrow_map(ebpf, maps::KEYS)?;
    let entry: [u8; size_of::<KeyEntry>()] = transmute!(KeyEntry { present: 1 });
    for KeyId(id) in guarded.keys {
        keys.insert(id, entry, 0)?;
    }
    Ok(())
}

fn borrow_map<'a, M>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<M>
where
    M: TryFrom<&'a mut aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.map_mut(name).with_context(|| format!("the object file has no map {name}"))?;
    Ok(map.try_into()?)
}

fn take_map<M>(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<M>
where
    M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).with_context(|| format!("the object file has no map {name}"))?;
    Ok(map.try_into()?)
}
