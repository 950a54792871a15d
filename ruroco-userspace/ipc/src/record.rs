//! What the records about doors have in common: a fixed layout of bytes that begins with a version, and a door, an
//! address and a knock in the middle.

use std::time::Duration;

use ruroco_common::{address::Address, datagram::KeyId, doors::DoorName};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

/// Why a message is not the record that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// Another version.
    #[error(
        "a record of version {found}, expected {expected}: gate and commander are of different releases"
    )]
    WrongVersion {
        /// The version of the message.
        found: u8,
        /// The only version that there is.
        expected: u8,
    },
    /// Another length.
    #[error("a record of {found} bytes, expected {expected}")]
    WrongLength {
        /// The length of the message.
        found: usize,
        /// The length of every record of this kind.
        expected: usize,
    },
    /// The number of no action, or of no event.
    #[error("a record of the unknown kind {0}")]
    UnknownKind(u8),
    /// The name of no door.
    #[error("a record with a name that no door can have")]
    WrongName,
    /// More bits than the address has.
    #[error("a record with a prefix of {0} bits")]
    WrongPrefix(u8),
}

/// The layout of a record, whose first byte is its version.
pub(crate) trait Layout: FromBytes + Sized {
    /// The only version that there is.
    const VERSION: u8;

    /// Reads a message.
    ///
    /// # Errors
    /// If it has another length or version.
    fn read(message: &[u8]) -> Result<Self, NoRecord> {
        let expected = size_of::<Self>();
        let wrong_length = |_| NoRecord::WrongLength { found: message.len(), expected };
        let record = Self::read_from_bytes(message).map_err(wrong_length)?;
        match message.first() {
            Some(&found) if found != Self::VERSION => {
                Err(NoRecord::WrongVersion { found, expected: Self::VERSION })
            }
            _ => Ok(record),
        }
    }
}

/// A lease, and the knock that it comes from.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Subject {
    door: [u8; DoorName::MAX_LENGTH],
    address: [u8; 16],
    key: KeyId,
    counter: big_endian::U128,
}

impl Subject {
    /// Where a record has no subject.
    pub(crate) const NONE: Self = Self {
        door: [0; DoorName::MAX_LENGTH],
        address: [0; 16],
        key: KeyId([0; 8]),
        counter: big_endian::U128::ZERO,
    };

    pub(crate) fn new(door: DoorName, address: Address, key: KeyId, counter: u128) -> Self {
        let (door, address) = (door.to_bytes(), address.to_bytes());
        Self { door, address, key, counter: counter.into() }
    }

    /// Its door, address, key and counter.
    ///
    /// # Errors
    /// If no door can have the name.
    pub(crate) fn parts(&self) -> Result<(DoorName, Address, KeyId, u128), NoRecord> {
        let door = DoorName::from_bytes(self.door).ok_or(NoRecord::WrongName)?;
        Ok((door, Address::from_bytes(self.address), self.key, self.counter.get()))
    }
}

/// A time on [the boot clock](crate::boot_clock), as records have it.
pub(crate) fn nanoseconds(time: Duration) -> big_endian::U64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).into()
}

/// The inverse of [`nanoseconds`].
pub(crate) fn time(nanoseconds: big_endian::U64) -> Duration {
    Duration::from_nanos(nanoseconds.get())
}
