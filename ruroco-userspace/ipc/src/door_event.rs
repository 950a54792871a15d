//! What the gate tells the commander about leases that no request of the commander has changed, for the audit trail.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | what has happened, see below |
//! | 2 | 1 | how many leading bits of the address the lease covers: at most 32 for IPv4, 128 for IPv6 |
//! | 3 | 16 | name of the door, padded with zeros |
//! | 19 | 16 | address of the lease, IPv4 as `::ffff:a.b.c.d` |
//! | 35 | 8 | key id of the last knock |
//! | 43 | 16 | counter of that knock, big-endian |
//! | 59 | 8 | when it happened, in nanoseconds on [the boot clock](crate::boot_clock), big-endian |
//! | 67 | 8 | when the lease ends or would have ended, on the same clock |
//! | 75 | 8 | connections that the lease has admitted since it began, big-endian |
//! | 83 | 8 | how many of them are new; or how many events were lost |
//!
//! 1: new connections. 2: the lease has ended by itself. 3: the operator's tool has ended it. 4: its key was revoked.
//! 5: its key has expired. 6: its door was removed. 7: earlier events were lost; then the fields from 2 to 58 and from
//! 67 to 82 have no meaning.
//!
//! Each event is one message over a `SOCK_SEQPACKET` Unix socket, to which only root can connect. The commander sends
//! nothing. What the commander itself requests is in the answer to its [request](crate::lease).

use std::time::Duration;

use ruroco_common::{address::Address, datagram::KeyId, doors::DoorName};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian, transmute};

use crate::record::{Layout, NoRecord, Subject, nanoseconds, time};

/// Size in bytes of an encoded event.
pub const SIZE: usize = 91;

/// The only version of the record there is.
pub const VERSION: u8 = 1;

/// File name of the gate's socket in `socket_dir`.
pub const SOCKET: &str = "door-events.sock";

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorEvent {
    /// Something has happened to a lease.
    Lease(LeaseEvent),
    /// The gate had no room for this many events.
    Lost {
        /// How many.
        count: u64,
        /// When the gate had room again, on the boot clock.
        at: Duration,
    },
}

/// What has happened to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseEvent {
    /// What has happened.
    pub happened: Happened,
    /// The door.
    pub door: DoorName,
    /// The address of the lease.
    pub address: Address,
    /// How many leading bits of it the lease covers.
    pub prefix: u8,
    /// The key of the last knock.
    pub key: KeyId,
    /// The counter of that knock.
    pub counter: u128,
    /// When it happened, on the boot clock.
    pub at: Duration,
    /// When the lease ends or would have ended, on the boot clock.
    pub until: Duration,
    /// How many connections the lease has admitted since it began.
    pub connections: u64,
}

/// What can happen to a lease without a request of the commander.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It has admitted connections or flows.
    Connected {
        /// How many since the last such event.
        new: u64,
    },
    /// It has ended by itself.
    Expired,
    /// It was ended earlier.
    Closed(Cause),
}

/// Why a lease was ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The operator did it.
    Tool,
    /// The host no longer has the key.
    KeyRevoked,
    /// The key is no longer valid.
    KeyExpired,
    /// The configuration no longer has the door.
    DoorRemoved,
}

impl Happened {
    /// Its name in the audit trail.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Expired => "expired",
            Self::Closed(_) => "closed",
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Connected { .. } => 1,
            Self::Expired => 2,
            Self::Closed(Cause::Tool) => 3,
            Self::Closed(Cause::KeyRevoked) => 4,
            Self::Closed(Cause::KeyExpired) => 5,
            Self::Closed(Cause::DoorRemoved) => 6,
        }
    }

    const fn from_number(number: u8, count: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Connected { new: count },
            2 => Self::Expired,
            3 => Self::Closed(Cause::Tool),
            4 => Self::Closed(Cause::KeyRevoked),
            5 => Self::Closed(Cause::KeyExpired),
            6 => Self::Closed(Cause::DoorRemoved),
            _ => return None,
        })
    }
}

impl Cause {
    /// Its name in the audit trail.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::KeyRevoked => "key_revoked",
            Self::KeyExpired => "key_expired",
            Self::DoorRemoved => "door_removed",
        }
    }
}

/// The number of [`DoorEvent::Lost`].
const LOST: u8 = 7;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    version: u8,
    number: u8,
    prefix: u8,
    subject: Subject,
    at: big_endian::U64,
    until: big_endian::U64,
    connections: big_endian::U64,
    count: big_endian::U64,
}

impl Layout for Wire {
    const VERSION: u8 = VERSION;
}

impl DoorEvent {
    /// Encodes; the inverse of [`DoorEvent::decode`].
    pub fn encode(&self) -> [u8; SIZE] {
        match *self {
            Self::Lease(event) => transmute!(event.to_wire()),
            Self::Lost { count, at } => transmute!(Wire {
                version: VERSION,
                number: LOST,
                prefix: 0,
                subject: Subject::NONE,
                at: nanoseconds(at),
                until: 0.into(),
                connections: 0.into(),
                count: count.into(),
            }),
        }
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// Why it is no event.
    pub fn decode(message: &[u8]) -> Result<Self, NoRecord> {
        let wire = Wire::read(message)?;
        let (at, count) = (time(wire.at), wire.count.get());
        if wire.number == LOST {
            return Ok(Self::Lost { count, at });
        }
        let happened =
            Happened::from_number(wire.number, count).ok_or(NoRecord::UnknownKind(wire.number))?;
        let (door, address, key, counter) = wire.subject.parts()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if wire.prefix > bits {
            return Err(NoRecord::WrongPrefix(wire.prefix));
        }
        Ok(Self::Lease(LeaseEvent {
            happened,
            door,
            address,
            prefix: wire.prefix,
            key,
            counter,
            at,
            until: time(wire.until),
            connections: wire.connections.get(),
        }))
    }
}

impl LeaseEvent {
    fn to_wire(self) -> Wire {
        let count = match self.happened {
            Happened::Connected { new } => new,
            Happened::Expired | Happened::Closed(_) => 0,
        };
        Wire {
            version: VERSION,
            number: self.happened.number(),
            prefix: self.prefix,
            subject: Subject::new(self.door, self.address, self.key, self.counter),
            at: nanoseconds(self.at),
            until: nanoseconds(self.until),
            connections: self.connections.into(),
            count: count.into(),
        }
    }

    /// The address of the lease; where the lease covers a network, with its prefix.
    pub fn source(&self) -> String {
        let ip = std::net::IpAddr::from(self.address);
        match (ip.is_ipv4(), self.prefix) {
            (true, 32) | (false, 128) => ip.to_string(),
            (_, prefix) => format!("{ip}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> LeaseEvent {
        LeaseEvent {
            happened: Happened::Connected { new: 2 },
            door: DoorName::new("ssh").unwrap(),
            address: Address::from_ipv4([192, 0, 2, 0]),
            prefix: 24,
            key: KeyId([9; 8]),
            counter: 5,
            at: Duration::from_nanos(0x0102_0304_0506_0708),
            until: Duration::from_nanos(9),
            connections: 3,
        }
    }

    #[test]
    fn each_field_is_where_the_table_has_it() {
        let bytes = DoorEvent::Lease(example()).encode();
        assert_eq!(bytes[..3], [VERSION, 1, 24]);
        assert_eq!(bytes[3..19], *b"ssh\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(bytes[29..35], [0xff, 0xff, 192, 0, 2, 0]);
        assert_eq!(bytes[35..43], [9; 8]);
        assert_eq!(bytes[43..59], 5_u128.to_be_bytes());
        assert_eq!(bytes[59..67], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[67..75], 9_u64.to_be_bytes());
        assert_eq!(bytes[75..83], 3_u64.to_be_bytes());
        assert_eq!(bytes[83..], 2_u64.to_be_bytes());
    }

    #[test]
    fn a_network_is_shown_with_its_prefix() {
        let of = |address: [u8; 16], prefix| {
            LeaseEvent { address: Address::from_bytes(address), prefix, ..example() }.source()
        };
        assert_eq!(example().source(), "192.0.2.0/24");
        assert_eq!(LeaseEvent { prefix: 32, ..example() }.source(), "192.0.2.0");
        assert_eq!(of([0x20; 16], 128), "2020:2020:2020:2020:2020:2020:2020:2020");
        assert_eq!(of([0; 16], 64), "::/64");
    }

    proptest! {
        #[test]
        fn an_event_means_what_its_bytes_say(
            start in prop::sample::select(vec![[1_u8, 1], [1, 2], [1, 5], [1, 7], [1, 8], [2, 1]]),
            rest in prop::collection::vec(0_u8..4, SIZE - 2), name in "[a-z]{0,3}", cut in 0_usize..SIZE * 4,
        ) {
            let mut bytes = [&start[..], &rest].concat();
            bytes[3..19].fill(0);
            bytes[3..3 + name.len()].copy_from_slice(name.as_bytes());
            bytes.truncate(cut);
            match DoorEvent::decode(&bytes) {
                Ok(event @ DoorEvent::Lost { .. }) => {
                    let again = event.encode();
                    prop_assert_eq!((&again[..2], &again[59..67]), (&bytes[..2], &bytes[59..67]));
                    prop_assert_eq!(&again[83..], &bytes[83..]);
                }
                // Only new connections are counted.
                Ok(event @ DoorEvent::Lease(LeaseEvent { happened: Happened::Connected { .. }, .. })) => {
                    prop_assert_eq!(event.encode().to_vec(), bytes);
                }
                Ok(event) => prop_assert_eq!(&event.encode()[..83], &bytes[..83]),
                Err(NoRecord::WrongLength { found, expected }) => {
                    prop_assert_eq!((found, expected), (bytes.len(), SIZE));
                    prop_assert_ne!(found, SIZE);
                }
                Err(NoRecord::WrongVersion { found, .. }) => prop_assert_ne!(found, VERSION),
                Err(NoRecord::UnknownKind(number)) => prop_assert_eq!(number, 8),
                Err(NoRecord::WrongName) => prop_assert!(name.is_empty()),
                Err(NoRecord::WrongPrefix(prefix)) => prop_assert!(prefix > 32),
            }
        }

        #[test]
        fn an_event_survives_the_socket(
            number in 1_u8..=7, name in "[a-z0-9_-]{1,16}", address: [u8; 16], is_ipv4: bool, prefix in 0_u8..=32,
            key: [u8; 8], counter: u128, times: [u64; 2], connections: u64, count: u64,
        ) {
            let [at, until] = times.map(Duration::from_nanos);
            let [a, b, c, d, ..] = address;
            let event = match Happened::from_number(number, count) {
                None => DoorEvent::Lost { count, at },
                Some(happened) => DoorEvent::Lease(LeaseEvent {
                    happened,
                    door: DoorName::new(&name).unwrap(),
                    address: match is_ipv4 {
                        true => Address::from_ipv4([a, b, c, d]),
                        false => Address::from_bytes(address),
                    },
                    prefix,
                    key: KeyId(key),
                    counter,
                    at,
                    until,
                    connections,
                }),
            };
            prop_assert_eq!(DoorEvent::decode(&event.encode()), Ok(event));
        }

        #[test]
        fn no_prefix_is_longer_than_its_address(prefix: u8, is_ipv4: bool) {
            let address = if is_ipv4 { Address::from_ipv4([1; 4]) } else { Address::from_bytes([1; 16]) };
            let decoded = DoorEvent::decode(&DoorEvent::Lease(LeaseEvent { address, prefix, ..example() }).encode());
            prop_assert_eq!(decoded.is_ok(), prefix <= if is_ipv4 { 32 } else { 128 });
        }
    }
}
