//! A program with doors, filled as the gate fills it, and the clock that it looks at.

use std::net::IpAddr;

use aya::maps::{Array, HashMap, MapData};
use ruroco_common::{
    address::Address,
    datagram::KeyId,
    doors::{Door, DoorName, DoorPorts, DoorState, Flow, FlowKey, Lease, LeaseKey, SourcePrefix},
    maps,
    verdict::Verdict,
};
use rustix::time::{ClockId, clock_gettime};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::{OURS, PORT, frames::Packet, kernel::Kernel};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// TCP flags.
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// Doors of these tests, by their ports.
pub(crate) const SSH: u16 = 2222;
pub(crate) const WIDE: u16 = 2223;
pub(crate) const FORWARDED: u16 = 2224;
/// A port of both protocols.
pub(crate) const BOTH: u16 = 2225;
pub(crate) const VPN: u16 = 51_820;
/// A port without a door.
pub(crate) const OPEN: u16 = 80;

/// An address that is guarded for doors only.
pub(crate) const EXTRA: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 77)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77)),
];

/// Name, TCP ports, UDP ports, prefix, forwarded.
pub(crate) type Spec = (&'static str, &'static [u16], &'static [u16], SourcePrefix, bool);

pub(crate) const SPECS: [Spec; 5] = [
    ("ssh", &[SSH], &[], SourcePrefix::ADDRESS, false),
    ("wide", &[WIDE], &[WIDE], SourcePrefix { ipv4: 24, ipv6: 64 }, false),
    ("forwarded", &[FORWARDED], &[], SourcePrefix::ADDRESS, true),
    ("both", &[BOTH], &[BOTH], SourcePrefix::ADDRESS, false),
    ("vpn", &[], &[VPN], SourcePrefix::ADDRESS, false),
];

pub(crate) struct Doors {
    pub(crate) kernel: Kernel,
}

/// The boot clock in nanoseconds.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap();
    seconds * SECOND + u64::try_from(now.tv_nsec).unwrap()
}

impl Doors {
    /// All doors of these tests.
    pub(crate) fn all() -> Self {
        Self::of(&SPECS)
    }

    pub(crate) fn of(specs: &[Spec]) -> Self {
        let has = |ports: fn(&Spec) -> bool, bit| if specs.iter().any(ports) { bit } else { 0 };
        let protocols = has(|spec| !spec.1.is_empty(), 1) | has(|spec| !spec.2.is_empty(), 2);
        Self { kernel: Kernel::filled_with_doors_for(protocols) }.with(specs)
    }

    /// Doors that look closed: those for TCP that are not forwarded.
    pub(crate) fn answered() -> Self {
        Self { kernel: Kernel::answering() }.with(&[SPECS[0]])
    }

    fn with(self, specs: &[Spec]) -> Self {
        let mut doors = self;
        let mut ports = DoorPorts::new_zeroed();
        for (number, (name, tcp, udp, source, forwarded)) in (1_u8..).zip(specs) {
            let door = Door::new(DoorName::new(name).unwrap(), *source, *forwarded);
            let mut map = doors.array::<{ size_of::<Door>() }>(maps::DOORS);
            map.set(number.into(), <[u8; _]>::try_from(door.as_bytes()).unwrap(), 0).unwrap();
            tcp.iter().for_each(|port| ports.tcp[usize::from(*port)] = number);
            udp.iter().for_each(|port| ports.udp[usize::from(*port)] = number);
        }
        let mut map = doors.array::<{ size_of::<DoorPorts>() }>(maps::DOOR_PORTS);
        map.set(0, <&[u8; _]>::try_from(ports.as_bytes()).unwrap(), 0).unwrap();
        for address in EXTRA {
            let mut map = doors.hash::<16, 1>(maps::DOOR_ADDRESSES);
            map.insert(Address::from(address).to_bytes(), [0], 0).unwrap();
        }
        doors
    }

    fn array<const V: usize>(&mut self, name: &str) -> Array<&mut MapData, [u8; V]> {
        Array::try_from(self.kernel.map_mut(name)).unwrap()
    }

    fn hash<const K: usize, const V: usize>(
        &mut self,
        name: &str,
    ) -> HashMap<&mut MapData, [u8; K], [u8; V]> {
        HashMap::try_from(self.kernel.map_mut(name)).unwrap()
    }

    /// Writes a lease that is like `lease` beside its address and door.
    pub(crate) fn put(&mut self, address: &str, door: &str, lease: Lease) {
        let key = lease_key(address, door);
        let mut map = self.hash::<32, { size_of::<Lease>() }>(maps::LEASES);
        let lease: [u8; size_of::<Lease>()] = lease.as_bytes().try_into().unwrap();
        map.insert(<[u8; 32]>::try_from(key.as_bytes()).unwrap(), lease, 0).unwrap();
    }

    /// Opens a door for an address for a minute.
    pub(crate) fn open(&mut self, address: &str, door: &str) {
        self.put(address, door, lease());
    }

    /// Removes a lease, if it exists.
    pub(crate) fn close(&mut self, address: &str, door: &str) {
        let key = lease_key(address, door);
        let mut map = self.hash::<32, { size_of::<Lease>() }>(maps::LEASES);
        let _ = map.remove(&<[u8; 32]>::try_from(key.as_bytes()).unwrap());
    }

    /// What the program has made of a lease.
    pub(crate) fn lease(&mut self, address: &str, door: &str) -> Lease {
        let key = lease_key(address, door);
        let map = self.hash::<32, { size_of::<Lease>() }>(maps::LEASES);
        let bytes = map.get(&<[u8; 32]>::try_from(key.as_bytes()).unwrap(), 0).unwrap();
        Lease::read_from_bytes(&bytes).unwrap()
    }

    pub(crate) fn flows(&mut self) -> Vec<(FlowKey, Flow)> {
        let map = self.hash::<40, { size_of::<Flow>() }>(maps::FLOWS);
        let read = |entry: Result<([u8; 40], [u8; size_of::<Flow>()]), _>| {
            let (key, flow) = entry.unwrap();
            (FlowKey::read_from_bytes(&key).unwrap(), Flow::read_from_bytes(&flow).unwrap())
        };
        map.iter().map(read).collect()
    }

    /// The flow that a packet belongs to.
    pub(crate) fn flow(&mut self, packet: &Packet) -> Option<Flow> {
        let key = flow_key(packet);
        self.flows().into_iter().find(|(of, _)| *of == key).map(|(_, flow)| flow)
    }

    pub(crate) fn put_flow(&mut self, key: FlowKey, flow: Flow) {
        let mut map = self.hash::<40, { size_of::<Flow>() }>(maps::FLOWS);
        let flow: [u8; size_of::<Flow>()] = flow.as_bytes().try_into().unwrap();
        map.insert(<[u8; 40]>::try_from(key.as_bytes()).unwrap(), flow, 0).unwrap();
    }

    pub(crate) fn remove_flow(&mut self, key: &FlowKey) {
        let mut map = self.hash::<40, { size_of::<Flow>() }>(maps::FLOWS);
        map.remove(&<[u8; 40]>::try_from(key.as_bytes()).unwrap()).unwrap();
    }

    pub(crate) fn set_state(&mut self, open_from: u64) {
        let state = DoorState { open_from, set_at: 1 };
        let mut map = self.array::<16>(maps::DOOR_STATE);
        map.set(0, <[u8; 16]>::try_from(state.as_bytes()).unwrap(), 0).unwrap();
    }

    pub(crate) fn judge(&mut self, packet: &Packet) -> Verdict {
        let frame = packet.to_frame();
        // To forget knocks takes most of the time of a judgement.
        if packet.destination_port == PORT {
            self.kernel.judge(&frame)
        } else {
            self.kernel.judge_once_more(&frame, None)
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, packet: &Packet, verdict: Verdict) {
        assert_eq!(self.judge(packet), verdict, "{packet:?}");
    }
}

pub(crate) fn lease_key(address: &str, door: &str) -> LeaseKey {
    let address: IpAddr = address.parse().unwrap();
    LeaseKey { address: address.into(), door: DoorName::new(door).unwrap() }
}

/// A lease for a minute from now, without a limit.
pub(crate) fn lease() -> Lease {
    Lease {
        until: now() + 60 * SECOND,
        since: now(),
        bucket: 0,
        connections: 0,
        used: 0,
        limit: 0,
        flows: 0,
        last_port: 0,
        admitted_at: 0,
        key: KeyId([7; 8]),
        counter: [9; 16],
    }
}

/// A flow of the key of [`lease`] through the door `ssh`.
pub(crate) fn flow(last: u64, idle: u64) -> Flow {
    Flow { last, idle, key: lease().key, door: DoorName::new("ssh").unwrap() }
}

pub(crate) fn flow_key(packet: &Packet) -> FlowKey {
    FlowKey {
        source: packet.source.into(),
        destination: packet.destination.into(),
        source_port: packet.source_port,
        destination_port: packet.destination_port,
        protocol: if packet.tcp.is_some() { 6 } else { 17 },
    }
}

/// To a port of our first address of either family, from an address of the same family.
pub(crate) fn tcp(port: u16, flags: u8) -> [Packet; 2] {
    udp(port).map(|packet| packet.with_tcp(flags))
}

/// The same over UDP.
pub(crate) fn udp(port: u16) -> [Packet; 2] {
    OURS.map(|address| Packet::to(address, port, b"payload "))
}

/// The source of such packets.
pub(crate) fn source(packet: &Packet) -> String {
    packet.source.to_string()
}
