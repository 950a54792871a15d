//! The maps of doors: what the XDP program guards, and the leases and flows that it admits.
//!
//! Doors and addresses belong to one program, as all that a configuration says. Leases, flows and whether doors are
//! armed outlive it: these maps are pinned next to the links, so that a successor and the next gate have them, too.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use ruroco_common::{
    address::Address,
    doors::{self, DoorPorts, DoorState, FlowKey, Lease, LeaseKey},
    maps,
};
use ruroco_config::door::{Door, Transport};
use zerocopy::{FromBytes, IntoBytes};

use super::{attachment, tables};

// In user space a map's keys and values are the bytes of the shared types.
type StateBytes = [u8; size_of::<DoorState>()];
type AddressBytes = [u8; size_of::<Address>()];
type LeaseKeyBytes = [u8; size_of::<LeaseKey>()];
type LeaseBytes = [u8; size_of::<Lease>()];
type FlowKeyBytes = [u8; size_of::<FlowKey>()];
type FlowBytes = [u8; size_of::<doors::Flow>()];

/// The maps that outlive a program, and the ends of their pins' names. The number is that of their layout: a release
/// with another layout has another number, and begins with empty maps.
const SHARED: [(&str, &str); 3] =
    [(maps::LEASES, "leases_1"), (maps::FLOWS, "flows_1"), (maps::DOOR_STATE, "doors_1")];

/// Where the pins of the shared maps of this network namespace are.
#[derive(Debug)]
pub(super) struct SharedPins([(&'static str, PathBuf); 3]);

impl SharedPins {
    /// In the directory of pins.
    ///
    /// # Errors
    /// If this network namespace cannot be identified.
    pub(super) fn of(pin_dir: &Path) -> anyhow::Result<Self> {
        let namespace =
            attachment::namespace().context("could not identify this network namespace")?;
        Ok(Self(SHARED.map(|(map, name)| (map, pin_dir.join(format!("{namespace}_{name}"))))))
    }

    /// Has the loader open the maps, or create and pin them.
    pub(super) fn use_in<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (map, path) in &self.0 {
            loader.map_pin_path(map, path.as_path());
        }
    }

    /// Removes the pins. The maps are gone when no program has them any more.
    ///
    /// # Errors
    /// The first one; all pins were tried.
    pub(super) fn remove(&self) -> io::Result<()> {
        let outcomes = self.0.iter().map(|(_, path)| match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        });
        outcomes.collect::<Vec<_>>().into_iter().collect()
    }

    fn path(&self, wanted: &str) -> Option<&Path> {
        self.0.iter().find(|(map, _)| *map == wanted).map(|(_, path)| path.as_path())
    }
}

/// For which protocols there are doors, as [`maps::DOOR_PROTOCOLS`] has it.
pub(super) fn protocols(doors: &[&Door]) -> u8 {
    let ports = doors.iter().flat_map(|door| &door.ports);
    let bits = ports.map(|port| match port.transport {
        Transport::Tcp => maps::TCP_DOORS,
        Transport::Udp => maps::UDP_DOORS,
    });
    bits.fold(0, |all, bit| all | bit)
}

/// The maps of doors of one loaded program.
pub struct DoorMaps {
    addresses: HashMap<MapData, AddressBytes, u8>,
    /// What is in that map.
    destinations: BTreeSet<Address>,
    leases: HashMap<MapData, LeaseKeyBytes, LeaseBytes>,
    flows: HashMap<MapData, FlowKeyBytes, FlowBytes>,
}

impl DoorMaps {
    /// Tells the program which doors there are.
    pub(super) fn fill<'d>(
        ebpf: &mut Ebpf,
        doors: impl Iterator<Item = &'d Door>,
    ) -> anyhow::Result<Self> {
        let mut bytes = vec![0; size_of::<DoorPorts>()];
        let no_ports = || anyhow!("the map of ports has another size");
        let ports = DoorPorts::mut_from_bytes(&mut bytes).map_err(|_| no_ports())?;
        let mut entries: Array<_, [u8; size_of::<doors::Door>()]> =
            tables::take(ebpf, maps::DOORS)?;
        for (number, door) in (1..=u8::MAX).zip(doors) {
            for range in &door.ports {
                let of_protocol = match range.transport {
                    Transport::Tcp => &mut ports.tcp,
                    Transport::Udp => &mut ports.udp,
                };
                let range = usize::from(range.first)..=usize::from(range.last);
                of_protocol.get_mut(range).context("a port beyond 65535")?.fill(number);
            }
            let entry = in_kernel(door);
            let bytes = <[u8; size_of::<doors::Door>()]>::try_from(entry.as_bytes())?;
            entries.set(number.into(), bytes, 0)?;
        }
        let map =
            ebpf.map_mut(maps::DOOR_PORTS).context("the object file has no map DOOR_PORTS")?;
        let mut map: Array<_, [u8; size_of::<DoorPorts>()]> = map.try_into()?;
        map.set(0, <&[u8; size_of::<DoorPorts>()]>::try_from(bytes.as_slice())?, 0)?;
        Ok(Self {
            addresses: tables::take(ebpf, maps::DOOR_ADDRESSES)?,
            destinations: BTreeSet::new(),
            leases: tables::take(ebpf, maps::LEASES)?,
            flows: tables::take(ebpf, maps::FLOWS)?,
        })
    }

    /// Has doors guard these addresses in addition to those in the configuration.
    ///
    /// # Errors
    /// The first one; all addresses were tried.
    pub fn set_addresses(&mut self, destinations: &BTreeSet<Address>) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for new in destinations.difference(&self.destinations.clone()) {
            match self.addresses.insert(new.to_bytes(), 0, 0) {
                Ok(()) => _ = self.destinations.insert(*new),
                Err(error) => {
                    outcome =
                        Err(error).with_context(|| format!("could not have doors guard {new}"));
                }
            }
        }
        for old in self.destinations.clone().difference(destinations) {
            match self.addresses.remove(&old.to_bytes()) {
                Ok(()) | Err(MapError::KeyNotFound) => _ = self.destinations.remove(old),
                Err(error) => {
                    outcome =
                        Err(error).with_context(|| format!("could not release {old} from doors"));
                }
            }
        }
        outcome
    }

    /// A lease, with what the program has counted.
    ///
    /// # Errors
    /// If the kernel does not give it.
    pub fn lease(&self, lease: &LeaseKey) -> anyhow::Result<Option<Lease>> {
        let key = LeaseKeyBytes::try_from(lease.as_bytes())?;
        match self.leases.get(&key, 0) {
            Ok(bytes) => Ok(Lease::read_from_bytes(&bytes).ok()),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All leases.
    ///
    /// # Errors
    /// If the kernel does not give them.
    pub fn leases(&self) -> anyhow::Result<Vec<(LeaseKey, Lease)>> {
        let parse = |(key, lease): (LeaseKeyBytes, LeaseBytes)| {
            Some((LeaseKey::read_from_bytes(&key).ok()?, Lease::read_from_bytes(&lease).ok()?))
        };
        let all = self.leases.iter().collect::<Result<Vec<_>, _>>()?;
        Ok(all.into_iter().filter_map(parse).collect())
    }

    /// Writes a lease, in one step.
    ///
    /// # Errors
    /// If the kernel does not take it.
    pub fn put(&mut self, lease: &LeaseKey, value: &Lease) -> anyhow::Result<()> {
        let key = LeaseKeyBytes::try_from(lease.as_bytes())?;
        Ok(self.leases.insert(key, LeaseBytes::try_from(value.as_bytes())?, 0)?)
    }

    /// Removes a lease, if it is there.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub fn remove(&mut self, lease: &LeaseKey) -> anyhow::Result<()> {
        match self.leases.remove(&LeaseKeyBytes::try_from(lease.as_bytes())?) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// All flows.
    ///
    /// # Errors
    /// If the kernel does not give them.
    pub fn flows(&self) -> anyhow::Result<Vec<(FlowKey, doors::Flow)>> {
        let parse = |(key, flow): (FlowKeyBytes, FlowBytes)| {
            Some((FlowKey::read_from_bytes(&key).ok()?, doors::Flow::read_from_bytes(&flow).ok()?))
        };
        let all = self.flows.iter().collect::<Result<Vec<_>, _>>()?;
        Ok(all.into_iter().filter_map(parse).collect())
    }

    /// Removes a flow, if it is there.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub fn remove_flow(&mut self, flow: &FlowKey) -> anyhow::Result<()> {
        match self.flows.remove(&FlowKeyBytes::try_from(flow.as_bytes())?) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A door as the XDP program knows it.
pub(super) fn in_kernel(door: &Door) -> doors::Door {
    doors::Door::new(door.name, door.source, door.is_forwarded)
}

/// The pinned map that says whether doors are armed.
pub(super) struct StateMap(Array<MapData, StateBytes>);

impl StateMap {
    /// Opens it, if a gate with doors has been there since the host was started.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn open(pin_dir: &Path) -> anyhow::Result<Option<Self>> {
        let pins = SharedPins::of(pin_dir)?;
        let Some(path) = pins.path(maps::DOOR_STATE) else { return Ok(None) };
        let failed = || format!("could not open {}", path.display());
        if !path.try_exists().with_context(failed)? {
            return Ok(None);
        }
        let map = MapData::from_pin(path).with_context(failed)?;
        Ok(Some(Self(Array::try_from(Map::Array(map)).with_context(failed)?)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// If the kernel does not give it.
    pub(super) fn get(&self) -> anyhow::Result<DoorState> {
        let bytes = self.0.get(&0, 0).context("could not read whether doors are armed")?;
        DoorState::read_from_bytes(&bytes).ok().context("the map has another layout")
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the kernel does not take it.
    pub(super) fn set(&mut self, state: DoorState) -> anyhow::Result<()> {
        let bytes = StateBytes::try_from(state.as_bytes())?;
        self.0.set(0, bytes, 0).context("could not change whether doors are armed")
    }
}
