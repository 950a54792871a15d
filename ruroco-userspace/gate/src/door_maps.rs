//! The maps of the doors: what the program knows of ports and addresses, and the leases and flows.
//!
//! Leases, flows and the doors' state are pinned next to the program, under names such as `4026531840_leases_1`, so
//! that they outlive this process. The number at the end is that of their layout. Each program has the other maps for
//! itself.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, MapInfo, MapType},
};
use ruroco_common::{
    address::Address,
    doors::{
        Door, DoorPorts, DoorState, Flow, FlowKey, Lease, LeaseKey, MAX_DOORS, MAX_FLOWS,
        MAX_LEASES,
    },
    maps,
};
use ruroco_config::door::{self as config, DoorPort, Transport};
use rustix::io::Errno;
use zerocopy::{FromBytes, transmute};

use super::{attachment, tables::take};

// In user space a map's keys and values are the bytes of the shared types.
type LeaseKeyBytes = [u8; size_of::<LeaseKey>()];
type LeaseBytes = [u8; size_of::<Lease>()];
type FlowKeyBytes = [u8; size_of::<FlowKey>()];
type FlowBytes = [u8; size_of::<Flow>()];
type StateBytes = [u8; size_of::<DoorState>()];
type AddressBytes = [u8; size_of::<Address>()];

/// A door as the XDP program knows it.
pub(super) fn in_kernel(door: &config::Door) -> Door {
    Door::new(door.name, door.source, door.is_forwarded)
}

/// The doors of a program that is about to be loaded.
#[derive(Clone, Debug, Default)]
pub struct Plan<'a> {
    /// All doors.
    pub doors: Vec<&'a config::Door>,
    /// The directory where the maps are pinned that outlive the program. It must exist.
    pub pin_dir: Option<&'a Path>,
    /// Whether closed doors look like ports without a listener, not filtered.
    pub look_closed: bool,
}

impl Plan<'_> {
    /// The byte in the program's constants.
    pub(super) fn protocols(&self) -> u8 {
        let ports = self.doors.iter().flat_map(|door| &door.ports);
        ports.fold(0, |protocols, port| match port.transport {
            Transport::Tcp => protocols | maps::TCP_DOORS,
            Transport::Udp => protocols | maps::UDP_DOORS,
        })
    }

    /// Makes the maps no larger than they need to be, and has the loader use those that are pinned.
    ///
    /// # Errors
    /// If a pin of another layout cannot be removed.
    pub(super) fn prepare(&self, loader: &mut EbpfLoader<'_>) -> anyhow::Result<()> {
        if self.doors.is_empty() {
            for map in [maps::LEASES, maps::FLOWS, maps::DOOR_ADDRESSES, maps::DOOR_INTERFACES] {
                loader.map_max_entries(map, 1);
            }
            return Ok(());
        }
        for shared in Shared::all() {
            if let Some(dir) = self.pin_dir {
                let pin = shared.pin(dir)?;
                shared.remove_unlike(&pin)?;
                loader.map_pin_path(shared.name, pin);
            }
        }
        Ok(())
    }

    /// Fills the maps of the loaded program.
    ///
    /// # Errors
    /// If there are too many doors, two doors have the same port, or the kernel does not fill the maps.
    pub(super) fn fill(&self, ebpf: &mut Ebpf) -> anyhow::Result<Option<DoorMaps>> {
        if self.doors.is_empty() {
            return Ok(None);
        }
        let mut bytes = vec![0; size_of::<DoorPorts>()];
        let Ok(ports) = DoorPorts::mut_from_bytes(&mut bytes) else {
            bail!("the map of ports has another size");
        };
        let mut doors: Array<MapData, [u8; size_of::<Door>()]> = take(ebpf, maps::DOORS)?;
        if self.doors.len() > MAX_DOORS {
            bail!("there are {} doors, and at most {MAX_DOORS} are possible", self.doors.len());
        }
        for (door, number) in self.doors.iter().zip(1_u8..) {
            let value: [u8; size_of::<Door>()] = transmute!(in_kernel(door));
            doors.set(number.into(), value, 0)?;
            enter(door, ports, number)?;
        }
        let mut map: Array<MapData, [u8; size_of::<DoorPorts>()]> = take(ebpf, maps::DOOR_PORTS)?;
        map.set(0, <&[u8; size_of::<DoorPorts>()]>::try_from(bytes.as_slice())?, 0)?;
        DoorMaps::of(ebpf).map(Some)
    }
}

/// Enters the number of a door at its ports.
fn enter(door: &config::Door, ports: &mut DoorPorts, number: u8) -> anyhow::Result<()> {
    for DoorPort { transport, first, last } in &door.ports {
        let all = match transport {
            Transport::Tcp => &mut ports.tcp,
            Transport::Udp => &mut ports.udp,
        };
        for port in *first..=*last {
            let place = all.get_mut(usize::from(port)).context("a port has 16 bits")?;
            if *place != 0 && *place != number {
                bail!("port {port} of door {} is also a port of another door", door.name);
            }
            *place = number;
        }
    }
    Ok(())
}

/// A map that all programs of a gate and its successors share.
struct Shared {
    name: &'static str,
    pin: &'static str,
    kind: MapType,
    key_size: usize,
    value_size: usize,
    max_entries: u32,
}

impl Shared {
    const fn all() -> [Self; 3] {
        [
            Self {
                name: maps::LEASES,
                pin: "leases_1",
                kind: MapType::Hash,
                key_size: size_of::<LeaseKey>(),
                value_size: size_of::<Lease>(),
                max_entries: MAX_LEASES,
            },
            Self {
                name: maps::FLOWS,
                pin: "flows_2",
                kind: MapType::Hash,
                key_size: size_of::<FlowKey>(),
                value_size: size_of::<Flow>(),
                max_entries: MAX_FLOWS,
            },
            Self {
                name: maps::DOOR_STATE,
                pin: "state_1",
                kind: MapType::Array,
                key_size: size_of::<u32>(),
                value_size: size_of::<DoorState>(),
                max_entries: 1,
            },
        ]
    }

    fn pin(&self, dir: &Path) -> anyhow::Result<PathBuf> {
        let namespace =
            attachment::namespace().context("could not identify this network namespace")?;
        Ok(dir.join(format!("{namespace}_{}", self.pin)))
    }

    /// Removes the pin of a map that this program cannot use.
    fn remove_unlike(&self, pin: &Path) -> anyhow::Result<()> {
        if !pin.try_exists().unwrap_or(true) || self.is_like(pin) {
            return Ok(());
        }
        tracing::warn!(
            "{} is not a map of this version of ruroco-gate, which replaces it. Leases and flows in it are lost",
            pin.display()
        );
        fs::remove_file(pin).with_context(|| format!("could not remove {}", pin.display()))
    }

    fn is_like(&self, pin: &Path) -> bool {
        let Ok(info) = MapInfo::from_pin(pin) else { return false };
        let sizes = (usize::try_from(info.key_size()), usize::try_from(info.value_size()));
        sizes == (Ok(self.key_size), Ok(self.value_size))
            && info.max_entries() == self.max_entries
            && info.map_type().is_ok_and(|kind| kind == self.kind)
            && info.map_flags() == 0
    }
}

/// The maps of a loaded program that has doors.
pub struct DoorMaps {
    leases: HashMap<MapData, LeaseKeyBytes, LeaseBytes>,
    flows: HashMap<MapData, FlowKeyBytes, FlowBytes>,
    addresses: HashMap<MapData, AddressBytes, u8>,
    /// What is in `addresses`.
    filled: BTreeSet<Address>,
}

impl DoorMaps {
    fn of(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self {
            leases: take(ebpf, maps::LEASES)?,
            flows: take(ebpf, maps::FLOWS)?,
            addresses: take(ebpf, maps::DOOR_ADDRESSES)?,
            filled: BTreeSet::new(),
        })
    }

    /// A lease, which may have ended.
    ///
    /// # Errors
    /// If the kernel does not return it. So in all of these functions.
    pub fn lease(&self, key: &LeaseKey) -> anyhow::Result<Option<Lease>> {
        let found = existing(self.leases.get(&transmute!(*key), 0));
        let found = found.context("could not read a lease")?;
        Ok(found.map(|bytes| transmute!(bytes)))
    }

    /// All leases, also those that have ended.
    ///
    /// # Errors
    /// See [`DoorMaps::lease`].
    pub fn leases(&self) -> anyhow::Result<Vec<(LeaseKey, Lease)>> {
        let all = self.leases.iter().map(|entry| {
            let (key, lease) = entry?;
            Ok((transmute!(key), transmute!(lease)))
        });
        all.collect::<Result<_, MapError>>().context("could not list the leases")
    }

    /// Writes a lease; whether there was room for it.
    ///
    /// # Errors
    /// See [`DoorMaps::lease`].
    pub fn put(&mut self, key: &LeaseKey, lease: &Lease) -> anyhow::Result<bool> {
        let (key, lease): (LeaseKeyBytes, LeaseBytes) = (transmute!(*key), transmute!(*lease));
        match self.leases.insert(key, lease, 0) {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(error).context("could not write a lease"),
        }
    }

    /// Ends a lease, if it exists.
    ///
    /// # Errors
    /// See [`DoorMaps::lease`].
    pub fn remove(&mut self, key: &LeaseKey) -> anyhow::Result<()> {
        let removed = existing(self.leases.remove(&transmute!(*key)));
        removed.map(|_| ()).context("could not remove a lease")
    }

    /// All flows, also those that have ended.
    ///
    /// # Errors
    /// See [`DoorMaps::lease`].
    pub fn flows(&self) -> anyhow::Result<Vec<(FlowKey, Flow)>> {
        let all = self.flows.iter().map(|entry| {
            let (key, flow) = entry?;
            Ok((transmute!(key), transmute!(flow)))
        });
        all.collect::<Result<_, MapError>>().context("could not list the flows")
    }

    /// A flow, which may have ended.
    ///
    /// # Errors
    /// See [`DoorMaps::lease`].
    pub fn flow(&self, key: &FlowKey) -> anyhow::Result<Option<Flow>> {
        let found = existing(self.flows.get(&transmute!(*key), 0));
        Ok(found.context("could not read a flow")?.map(|bytes| transmute!(bytes)))
    }

    /// Ends a flow, if it exists.
    ///
    /// # Errors
    /// See [`DoorMaps::lease`].
    pub fn remove_flow(&mut self, key: &FlowKey) -> anyhow::Result<()> {
        let removed = existing(self.flows.remove(&transmute!(*key)));
        removed.map(|_| ()).context("could not remove a flow")
    }

    /// Guards these addresses for doors, in addition to those in the configuration. New addresses are guarded before the
    /// others are given up.
    ///
    /// # Errors
    /// See [`DoorMaps::lease`]. The addresses that are left out are tried again by the next call.
    pub fn set_addresses(&mut self, wanted: &BTreeSet<Address>) -> anyhow::Result<()> {
        let most = usize::try_from(maps::MAX_DOOR_ADDRESSES)?;
        if wanted.len() > most {
            bail!(
                "this host has {} addresses with those of its networks (broadcast, anycast), and doors guard at most \
                 {most}. Remove addresses from interfaces (`ip address` lists them), or the doors from config.toml",
                wanted.len()
            );
        }
        let new: Vec<Address> = wanted.difference(&self.filled).copied().collect();
        let old: Vec<Address> = self.filled.difference(wanted).copied().collect();
        for address in new {
            let inserted = self.addresses.insert(address.to_bytes(), 0, 0);
            inserted.with_context(|| format!("could not guard {address} for doors"))?;
            self.filled.insert(address);
        }
        for address in old {
            let removed = existing(self.addresses.remove(&address.to_bytes()));
            removed.with_context(|| format!("could not give up {address} for doors"))?;
            self.filled.remove(&address);
        }
        Ok(())
    }
}

/// Removes the pins of a host that has no doors any more.
///
/// # Errors
/// The first one; all pins were tried.
pub(super) fn unpin(pin_dir: &Path) -> anyhow::Result<()> {
    let remove = |shared: Shared| {
        let pin = shared.pin(pin_dir)?;
        match fs::remove_file(&pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("could not remove {}", pin.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    };
    Shared::all().map(remove).into_iter().collect()
}

/// The pinned map that says whether doors are armed.
pub struct StateMap(Array<MapData, StateBytes>);

impl StateMap {
    /// Opens it, if a gate with doors has been there since the host was started.
    ///
    /// # Errors
    /// If it cannot be opened, or belongs to another version.
    pub fn open(pin_dir: &Path) -> anyhow::Result<Option<Self>> {
        let [.., shared] = Shared::all();
        let pin = shared.pin(pin_dir)?;
        let failed = || format!("could not open {}", pin.display());
        if !pin.try_exists().with_context(failed)? {
            return Ok(None);
        }
        if !shared.is_like(&pin) {
            bail!(
                "{} is not a map of this version of ruroco-gate. Restart ruroco-gate",
                pin.display()
            );
        }
        let map = MapData::from_pin(&pin).with_context(failed)?;
        Ok(Some(Self(Array::try_from(Map::Array(map)).with_context(failed)?)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// If the kernel does not return it.
    pub fn get(&self) -> anyhow::Result<DoorState> {
        let bytes = self.0.get(&0, 0).context("could not read whether doors are armed")?;
        Ok(transmute!(bytes))
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the kernel does not take it.
    pub fn set(&mut self, state: DoorState) -> anyhow::Result<()> {
        let bytes: StateBytes = transmute!(state);
        self.0.set(0, bytes, 0).context("could not change whether doors are armed")
    }
}

/// What is not in a map is no error.
fn existing<T>(outcome: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_full(error: &MapError) -> bool {
    // E2BIG: htab_map_update_elem, kernel/bpf/hashtab.c.
    matches!(error, MapError::SyscallError(error)
        if error.io_error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()))
}
