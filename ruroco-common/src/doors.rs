//! Doors: TCP and UDP ports that are closed to everyone but the addresses that hold a lease.
//!
//! The gate writes doors and leases into maps; the XDP program reads them for each packet to a door's port. The
//! kernel ends a lease by its own clock, so a gate that has died leaves nothing open.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

use crate::{address::Address, datagram::KeyId, rate::Rate};

/// Most doors of one host. A door's number is one byte, and 0 is the number of no door.
pub const MAX_DOORS: usize = 255;

/// Ports of one protocol.
const PORTS: usize = 1 << u16::BITS;

/// Most leases at the same time. None is ever evicted: where there is no room, a knock opens nothing, and the logs report it.
pub const MAX_LEASES: u32 = 16_384;

/// Most flows at the same time, of UDP and of forwarded TCP. None is ever evicted.
pub const MAX_FLOWS: u32 = 65_536;

/// Most flows that may start under one lease before the next knock.
pub const MAX_FLOWS_PER_LEASE: u32 = 64;

/// New connections and flows that one lease admits, on average and at once. A person with a browser stays below;
/// an attacker who forges the source address of a lease gets no flood through it.
pub const LEASE_RATE: Rate = Rate::per_second(50);

/// How long after its end a lease still admits the last packet of a TCP handshake, nanoseconds: a SYN cookie is
/// valid for one to two minutes (`MAX_SYNCOOKIE_AGE`, include/net/tcp.h).
pub const HANDSHAKE_GRACE: u64 = 60_000_000_000;

/// After how long without a packet a UDP flow ends, nanoseconds: twice what RFC 4787, REQ-5, requires at least,
/// less one minute.
pub const UDP_IDLE: u64 = 180_000_000_000;

/// The same for forwarded TCP (RFC 5382, REQ-5: not less than 2 hours 4 minutes).
pub const TCP_IDLE: u64 = 7_440_000_000_000;

/// The same for forwarded TCP after a FIN or RST (RFC 5382, REQ-5: not less than 4 minutes). A flow is not ended
/// at once, because an attacker can forge either.
pub const TCP_CLOSING: u64 = 240_000_000_000;

/// A flow's time is written at most once in this time, nanoseconds: writing moves a cache line between CPUs.
pub const FLOW_GRANULARITY: u64 = 1_000_000_000;

/// The name of a door: 1 to 16 bytes of `a` to `z`, `0` to `9`, `-` and `_`, padded with zeros.
///
/// Leases are kept by name, so that they survive a change of the configuration's order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DoorName([u64; 2]);

/// As text.
impl Ord for DoorName {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl PartialOrd for DoorName {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl DoorName {
    /// Longest name in bytes.
    pub const MAX_LENGTH: usize = 16;

    /// The name, if it is one.
    pub fn new(name: &str) -> Option<Self> {
        let is_good = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let mut bytes = [0; Self::MAX_LENGTH];
        let place = bytes.get_mut(..name.len()).filter(|place| !place.is_empty())?;
        place.copy_from_slice(name.as_bytes());
        name.as_bytes().iter().all(is_good).then(|| Self(transmute!(bytes)))
    }

    /// From 16 bytes that another process has sent, if they are a name.
    pub fn from_bytes(bytes: [u8; Self::MAX_LENGTH]) -> Option<Self> {
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let name = Self::new(core::str::from_utf8(bytes.get(..length)?).ok()?)?;
        (name.to_bytes() == bytes).then_some(name)
    }

    /// The name, padded with zeros.
    pub const fn to_bytes(self) -> [u8; Self::MAX_LENGTH] {
        transmute!(self.0)
    }
}

impl core::fmt::Display for DoorName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let bytes = self.to_bytes();
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let name = bytes.get(..length).and_then(|name| core::str::from_utf8(name).ok());
        f.write_str(name.unwrap_or("?"))
    }
}

impl core::fmt::Debug for DoorName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// How many leading bits of a source address a lease covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePrefix {
    /// Of an IPv4 address: 0 to 32.
    pub ipv4: u8,
    /// Of an IPv6 address: 0 to 128.
    pub ipv6: u8,
}

impl SourcePrefix {
    /// The address alone.
    pub const ADDRESS: Self = Self { ipv4: 32, ipv6: 128 };
}

/// A door, as the XDP program knows it. Unfilled memory is a door without a name, which no lease is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Door {
    name: DoorName,
    ipv4_mask: [u64; 2],
    ipv6_mask: [u64; 2],
    /// Whether connections are forwarded, so that this host has no socket for them: 0 or 1.
    forwarded: u64,
}

impl Door {
    /// A door, the leases of which cover such a prefix of the address that knocked.
    pub fn new(name: DoorName, source: SourcePrefix, is_forwarded: bool) -> Self {
        // An IPv4 address stands in the last 4 of 16 bytes.
        let ipv4_bits = u32::from(source.ipv4).saturating_add(96);
        Self {
            name,
            ipv4_mask: mask(ipv4_bits),
            ipv6_mask: mask(source.ipv6.into()),
            forwarded: is_forwarded.into(),
        }
    }

    /// The name of the door.
    #[inline(always)]
    pub const fn name(&self) -> DoorName {
        self.name
    }

    /// Whether connections are forwarded, so that this host has no socket for them.
    #[inline(always)]
    pub const fn is_forwarded(&self) -> bool {
        self.forwarded != 0
    }

    /// The lease that a packet from this source needs.
    #[inline(always)]
    pub const fn lease_key(&self, source: Address) -> LeaseKey {
        let mask = if source.is_ipv4() { self.ipv4_mask } else { self.ipv6_mask };
        LeaseKey { address: source.masked(mask), door: self.name }
    }
}

/// The first `bits` of 128, as two words in the order of [`Address`].
fn mask(bits: u32) -> [u64; 2] {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
    transmute!(mask.to_be_bytes())
}

/// For each port the number of its door, which is its place in [`DOORS`](crate::maps::DOORS), or 0 if it has none.
/// Unfilled memory has no doors.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DoorPorts {
    /// Of TCP, indexed by port.
    pub tcp: [u8; PORTS],
    /// Of UDP, indexed by port.
    pub udp: [u8; PORTS],
}

/// What a lease is for: one door and one address, of which the door's [prefix](SourcePrefix) is left.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct LeaseKey {
    /// The source of packets, the rest of which is zero.
    pub address: Address,
    /// The door.
    pub door: DoorName,
}

/// The right of one address to start connections through one door. Times are nanoseconds on the boot clock
/// (`CLOCK_BOOTTIME`), which goes on while a machine sleeps and never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Lease {
    /// When it ends.
    pub until: u64,
    /// When it began. Knocks that renewed it did not change that.
    pub since: u64,
    /// The bucket of its new connections, see [`Rate::take`] and [`LEASE_RATE`]. The XDP program writes it.
    pub bucket: u64,
    /// Connections and flows since it began. The XDP program writes it.
    pub connections: u64,
    /// Connections and flows since the last knock. The XDP program writes it.
    pub used: u32,
    /// Most of those; 0 if there is no limit.
    pub limit: u32,
    /// Flows since the last knock, of which there are at most [`MAX_FLOWS_PER_LEASE`]. The XDP program writes it.
    pub flows: u32,
    /// Source port of the connection that it admitted last. The XDP program writes it.
    pub last_port: u32,
    /// When that was; 0 for never. The XDP program writes it.
    pub admitted_at: u64,
    /// The key of the last knock.
    pub key: KeyId,
    /// The counter of that knock, big-endian.
    pub counter: [u8; 16],
}

/// One flow of packets: of UDP, or of TCP to another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowKey {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port, in the byte order of this machine.
    pub source_port: u16,
    /// Destination port, in the byte order of this machine.
    pub destination_port: u16,
    /// 6 for TCP (RFC 9293), 17 for UDP (RFC 768).
    pub protocol: u32,
}

/// When a flow was last used, how long it may rest, and which knock has opened the door for it. Times are nanoseconds on the
/// boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Flow {
    /// When its last packet came, within [`FLOW_GRANULARITY`].
    pub last: u64,
    /// How long it may be without a packet: [`UDP_IDLE`], [`TCP_IDLE`] or [`TCP_CLOSING`].
    pub idle: u64,
    /// The key of the lease that admitted it: the flow ends with the key, however long ago the lease has ended.
    pub key: KeyId,
    /// The door that it goes through.
    pub door: DoorName,
}

impl Flow {
    /// Whether packets of it still pass at `now`.
    #[inline(always)]
    pub const fn is_live(&self, now: u64) -> bool {
        is_live(self.last, self.idle, now)
    }
}

/// Whether a flow of which only the times were read is [live](Flow::is_live).
#[inline(always)]
pub const fn is_live(last: u64, idle: u64, now: u64) -> bool {
    now.saturating_sub(last) <= idle
}

/// Whether doors are armed: closed to everyone without a lease. Unfilled memory means that they are.
///
/// While `open_from` is in the future, doors are on trial: the XDP program sets it to 0 when a connection is established
/// that a lease has admitted since [`DoorState::set_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DoorState {
    /// From this time on the boot clock on, in nanoseconds, all doors are open to everyone; 0 for never.
    pub open_from: u64,
    /// When this was set, in nanoseconds on the boot clock; 0 for never since the host was started.
    pub set_at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use core::net::IpAddr;
    use proptest::prelude::*;
    use std::string::ToString;

    fn name(text: &str) -> DoorName {
        DoorName::new(text).unwrap()
    }

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for good in ["s", "ssh", "admin-panel_2", "sixteen-bytes-16"] {
            assert_eq!(name(good).to_string(), good);
        }
        for bad in ["", "SSH", "a b", "ü", "a\0", "seventeen-bytes17"] {
            assert_eq!(DoorName::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_lease_covers_the_prefix_of_its_door() {
        let covers = |source, lease: &str, packet: &str| {
            let door = Door::new(name("ssh"), source, false);
            door.lease_key(address(lease)) == door.lease_key(address(packet))
        };
        let alone = SourcePrefix::ADDRESS;
        let wide = SourcePrefix { ipv4: 24, ipv6: 64 };
        for (source, lease, packet, expected) in [
            (alone, "192.0.2.1", "192.0.2.1", true),
            (alone, "192.0.2.1", "192.0.2.2", false),
            (alone, "2001:db8::1", "2001:db8::1", true),
            (alone, "2001:db8::1", "2001:db8::2", false),
            (wide, "192.0.2.1", "192.0.2.255", true),
            (wide, "192.0.2.1", "192.0.3.1", false),
            (wide, "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            (wide, "2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(covers(source, lease, packet), expected, "{source:?} {lease} {packet}");
        }
    }

    #[test]
    fn a_lease_is_for_one_door() {
        let keys = ["ssh", "admin"].map(|door| {
            Door::new(name(door), SourcePrefix::ADDRESS, false).lease_key(address("::2"))
        });
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn an_ipv4_address_stays_one_under_any_mask() {
        for ipv4 in 0..=32 {
            let source = SourcePrefix { ipv4, ipv6: 64 };
            let key = Door::new(name("ssh"), source, false).lease_key(address("198.51.100.77"));
            assert!(key.address.is_ipv4(), "{ipv4}");
        }
    }

    #[test]
    fn nothing_has_a_door_in_unfilled_memory() {
        let ports = DoorPorts::read_from_bytes(&std::vec![0; size_of::<DoorPorts>()]).unwrap();
        assert!(ports.tcp.iter().chain(&ports.udp).all(|number| *number == 0));
    }

    proptest! {
        #[test]
        fn bytes_are_a_name_only_if_the_name_has_these_bytes(bytes: [u8; 16], length in 0_usize..17) {
            let mut named = bytes.map(|byte| b'a'.wrapping_add(byte % 26));
            named.iter_mut().skip(length).for_each(|byte| *byte = 0);
            for bytes in [bytes, named] {
                if let Some(name) = DoorName::from_bytes(bytes) {
                    prop_assert_eq!(name.to_bytes(), bytes);
                    prop_assert_eq!(DoorName::new(&name.to_string()), Some(name));
                }
            }
            prop_assert_eq!(DoorName::from_bytes(named).is_some(), length > 0);
        }

        #[test]
        fn a_mask_keeps_as_many_bits_as_it_says(bits in 0_u32..=128) {
            let ones: u32 = mask(bits).iter().map(|word| word.count_ones()).sum();
            prop_assert_eq!(ones, bits);
        }
    }
}
