//! The commander's slots, one for each command that runs, and the record by which it reports them.
//!
//! Before the server uses up a counter, it must know whether the commander has a slot for the knock's
//! key. So the commander sends this record to each server that connects, and again whenever something in
//! it changes:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 8 | how many messages the commander has read from this connection, big-endian |
//! | 9 | 8 for each slot that is taken | id of the key whose command has it |
//!
//! Each record is complete, so only the last one counts. From the number of messages, the server determines
//! which of its [orders](crate::order) are not yet in the record. Its account contains a slot for these, too,
//! so that it never expects more room than there is.

use ruroco_common::datagram::{KEY_ID_SIZE, KeyId};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

/// Most commands at the same time. Each has a thread and up to 64 KiB of pipe; a host on which this
/// many commands do not come to an end needs a person, not one more command.
pub const SLOTS: u32 = 64;

/// The only version of the record there is.
pub const VERSION: u8 = 1;

/// Size in bytes of the longest record.
#[expect(clippy::as_conversions, reason = "`usize::try_from` is not const")]
pub const MAX_SIZE: usize = size_of::<Head>() + SLOTS as usize * KEY_ID_SIZE;

/// What a commander has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotReport<'a> {
    /// How many messages it has read from this connection.
    pub read: u64,
    /// Whose commands have a slot: each key as often as it has one.
    pub taken: &'a [KeyId],
}

/// A message that is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReport {
    /// It has another version.
    #[error("a report of version {0}, expected {VERSION}")]
    WrongVersion(u8),
    /// It has no length that a report can have.
    #[error("a report of {0} bytes")]
    WrongLength(usize),
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    version: u8,
    read: big_endian::U64,
}

/// Encodes a report for a connection from which so many messages were read; `taken` as in [`SlotReport`].
pub fn encode(read: u64, taken: impl Iterator<Item = KeyId>) -> Vec<u8> {
    let mut record = Vec::with_capacity(MAX_SIZE);
    record.extend_from_slice(Head { version: VERSION, read: read.into() }.as_bytes());
    record.extend(taken.flat_map(|key| key.0));
    record
}

impl<'a> SlotReport<'a> {
    /// Decodes a message.
    ///
    /// # Errors
    /// [`NoReport`].
    pub fn decode(message: &'a [u8]) -> Result<Self, NoReport> {
        let wrong_length = NoReport::WrongLength(message.len());
        let (head, taken) = Head::ref_from_prefix(message).map_err(|_| wrong_length)?;
        if head.version != VERSION {
            return Err(NoReport::WrongVersion(head.version));
        }
        let taken = <[KeyId]>::ref_from_bytes(taken).map_err(|_| wrong_length)?;
        if message.len() > MAX_SIZE {
            return Err(wrong_length);
        }
        Ok(Self { read: head.read.get(), taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_field_is_where_the_table_has_it() {
        let fields: [&[u8]; 3] = [&[1], &258_u64.to_be_bytes(), &[7; 16]];
        assert_eq!(encode(258, [KeyId([7; 8]); 2].into_iter()), fields.concat());
    }

    #[test]
    fn a_full_report_is_the_longest() {
        let mut record = encode(0, (0..64).map(|number| KeyId([number; 8])));
        assert_eq!(record.len(), MAX_SIZE);
        assert_eq!(SlotReport::decode(&record).unwrap().taken.len(), 64);
        record.extend([0; 8]);
        assert_eq!(SlotReport::decode(&record), Err(NoReport::WrongLength(MAX_SIZE + 8)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_report_that_says_what_they_say_or_none(
            mut bytes in prop::collection::vec(any::<u8>(), 0..100), is_ours: bool,
        ) {
            if is_ours && let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            match SlotReport::decode(&bytes) {
                Ok(SlotReport { read, taken }) => {
                    let again = [&[VERSION], &read.to_be_bytes()[..], taken.as_bytes()].concat();
                    prop_assert_eq!(again, bytes);
                }
                Err(NoReport::WrongVersion(version)) => prop_assert_ne!(version, VERSION),
                Err(NoReport::WrongLength(length)) => {
                    prop_assert_eq!(length, bytes.len());
                    prop_assert!(length < 9 || (length - 9) % 8 != 0);
                }
            }
        }
    }
}
