//! What the commander asks of the gate's doors, and what the gate answers.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | 1 to open the door for the address, 2 to close it, 3 to close it for all addresses |
//! | 2 | 16 | name of the door, padded with zeros |
//! | 18 | 16 | address, IPv4 as `::ffff:a.b.c.d` |
//! | 34 | 8 | key id |
//! | 42 | 16 | counter, big-endian |
//! | 58 | 8 | when the lease ends, in nanoseconds on [the boot clock](crate::boot_clock), big-endian; 0 to close |
//!
//! It travels as one message over a `SOCK_SEQPACKET` Unix socket, for which each request has a connection of its
//! own. The answer is one byte, an [`Answer`]. The gate trusts no byte of the request, although only root can connect.

use std::time::Duration;

use ruroco_common::{address::Address, datagram::KeyId, doors::DoorName};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian, transmute};

use crate::record::{Layout, NoRecord, Subject, nanoseconds, time};

/// Size in bytes of an encoded request.
pub const SIZE: usize = 66;

/// The only version of the record there is.
pub const VERSION: u8 = 1;

/// File name of the gate's socket in `socket_dir`.
pub const SOCKET: &str = "doors.sock";

/// The key of a request by the operator's tool, which no knock has caused.
pub const NO_KEY: KeyId = KeyId([0; 8]);

/// A request concerning one door and one address. For the gate it is a claim, not a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// With which door.
    pub door: DoorName,
    /// For which address.
    pub address: Address,
    /// Whose knock it was.
    pub key: KeyId,
    /// The knock's counter.
    pub counter: u128,
}

/// What to do with a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To open it.
    Open {
        /// Until this time on the boot clock.
        until: Duration,
    },
    /// To end the lease and the flows of the address.
    Close,
    /// To end all leases and flows of the door; the address has no meaning. Only the operator's tool requests this.
    CloseAll,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// The address has a lease, and had none before.
    Opened = 0,
    /// The address had a lease, which now ends as requested, or later.
    Renewed = 1,
    /// The address has no lease any more.
    Closed = 2,
    /// The address had no lease.
    WasClosed = 3,
    /// The gate's configuration has no such door.
    UnknownDoor = 4,
    /// The gate has no such key.
    UnknownKey = 5,
    /// The lease would last longer than `for` of the door allows.
    TooLong = 6,
    /// The key has as many leases as a key may have.
    TooManyOfKey = 7,
    /// There are as many leases as there may be.
    Full = 8,
    /// The kernel has rejected the change; the gate's log says why.
    Failed = 9,
    /// The request is of another version, or has another length.
    Malformed = 10,
    /// The lease would have ended before the gate received the request.
    TooLate = 11,
}

impl Answer {
    /// All answers, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Opened,
        Self::Renewed,
        Self::Closed,
        Self::WasClosed,
        Self::UnknownDoor,
        Self::UnknownKey,
        Self::TooLong,
        Self::TooManyOfKey,
        Self::Full,
        Self::Failed,
        Self::Malformed,
        Self::TooLate,
    ];

    /// The byte of the answer.
    #[expect(clippy::as_conversions, reason = "the discriminant of a repr(u8) enum")]
    pub const fn encode(self) -> u8 {
        self as u8
    }

    /// The answer of a byte, if it is one.
    pub fn decode(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|answer| answer.encode() == byte)
    }

    /// Its name in the audit trail and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Renewed => "renewed",
            Self::Closed => "closed",
            Self::WasClosed => "was_closed",
            Self::UnknownDoor => "unknown_door",
            Self::UnknownKey => "unknown_key",
            Self::TooLong => "too_long",
            Self::TooManyOfKey => "too_many_leases_of_key",
            Self::Full => "too_many_leases",
            Self::Failed => "failed",
            Self::Malformed => "malformed",
            Self::TooLate => "too_late",
        }
    }

    /// Whether what was requested is now so.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Opened | Self::Renewed | Self::Closed | Self::WasClosed)
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    version: u8,
    action: u8,
    subject: Subject,
    until: big_endian::U64,
}

impl Layout for Wire {
    const VERSION: u8 = VERSION;
}

const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const CLOSE_ALL: u8 = 3;

impl Request {
    /// Whether it comes from the operator's tool.
    pub fn is_from_tool(&self) -> bool {
        self.key == NO_KEY
    }

    /// Encodes; the inverse of [`Request::decode`].
    pub fn encode(&self) -> [u8; SIZE] {
        let (action, until) = match self.action {
            Action::Open { until } => (OPEN, until),
            Action::Close => (CLOSE, Duration::ZERO),
            Action::CloseAll => (CLOSE_ALL, Duration::ZERO),
        };
        let subject = Subject::new(self.door, self.address, self.key, self.counter);
        transmute!(Wire { version: VERSION, action, subject, until: nanoseconds(until) })
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// Why it is no request.
    pub fn decode(message: &[u8]) -> Result<Self, NoRecord> {
        let wire = Wire::read(message)?;
        let action = match wire.action {
            OPEN => Action::Open { until: time(wire.until) },
            CLOSE => Action::Close,
            CLOSE_ALL => Action::CloseAll,
            other => return Err(NoRecord::UnknownKind(other)),
        };
        let (door, address, key, counter) = wire.subject.parts()?;
        Ok(Self { action, door, address, key, counter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_field_is_where_the_table_has_it() {
        let request = Request {
            action: Action::Open { until: Duration::from_nanos(0x0102_0304_0506_0708) },
            door: DoorName::new("ssh").unwrap(),
            address: Address::from_ipv4([192, 0, 2, 7]),
            key: KeyId([9; 8]),
            counter: 5,
        };
        let bytes = request.encode();
        assert_eq!(bytes[..2], [VERSION, 1]);
        assert_eq!(bytes[2..18], *b"ssh\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(bytes[28..34], [0xff, 0xff, 192, 0, 2, 7]);
        assert_eq!(bytes[34..42], [9; 8]);
        assert_eq!(bytes[42..58], 5_u128.to_be_bytes());
        assert_eq!(bytes[58..], [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn every_answer_has_its_own_byte_and_name() {
        for answer in Answer::ALL {
            assert_eq!(Answer::decode(answer.encode()), Some(answer));
            assert_eq!(Answer::ALL.iter().filter(|one| one.name() == answer.name()).count(), 1);
        }
        let known = (0..=u8::MAX).filter(|byte| Answer::decode(*byte).is_some());
        assert_eq!(known.count(), Answer::ALL.len());
    }

    proptest! {
        #[test]
        fn a_request_means_what_its_bytes_say(bytes in prop::collection::vec(0_u8..5, 0..70)) {
            match Request::decode(&bytes) {
                // Closing needs no time, and what is said there has no meaning.
                Ok(request @ Request { action: Action::Close | Action::CloseAll, .. }) => {
                    prop_assert_eq!(&request.encode()[..58], &bytes[..58]);
                }
                Ok(request) => prop_assert_eq!(request.encode().to_vec(), bytes),
                Err(NoRecord::WrongLength { found, expected }) => {
                    prop_assert_eq!((found, expected), (bytes.len(), SIZE));
                    prop_assert_ne!(found, SIZE);
                }
                Err(NoRecord::WrongVersion { found, .. }) => prop_assert_ne!(found, VERSION),
                Err(NoRecord::UnknownKind(action)) => prop_assert!(action == 0 || action > 3),
                Err(error) => prop_assert_eq!(error, NoRecord::WrongName),
            }
        }

        #[test]
        fn a_request_survives_the_socket(
            nanoseconds: u64, name in "[a-z0-9_-]{1,16}", address: [u8; 16], key: [u8; 8], counter: u128,
            kind in 0..3,
        ) {
            let action = match kind {
                0 => Action::Open { until: Duration::from_nanos(nanoseconds) },
                1 => Action::Close,
                _ => Action::CloseAll,
            };
            let (door, address) = (DoorName::new(&name).unwrap(), Address::from_bytes(address));
            let request = Request { action, door, address, key: KeyId(key), counter };
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
    }
}
