//! The floors of upstream ruroco, `blocklist.msgpck`: an imported host continues from them, so that no packet
//! that has run there runs again.
//!
//! The file is MessagePack: an array of one element, or a map with the one key `map`, around a map of key ids
//! to counters. An id is an array of 8 numbers or 8 bytes, a counter 16 bytes, big-endian. Any other content
//! could be a lost floor, so the file is then rejected as a whole.
//!
//! Rationale: decision 0018.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rmp::decode::{read_array_len, read_bin_len, read_int, read_map_len, read_str_len};
use ruroco_common::datagram::{KEY_ID_SIZE, KeyId};
use ruroco_files::secure_file::open_regular;

use crate::floors::Floor;

/// Longest file in bytes. An entry has 35 at most, so there is room for more than 100,000 keys.
const MAX_SIZE: u64 = 4 << 20;

/// The one field of what upstream keeps.
const FIELD: &[u8; 3] = b"map";

/// Size in bytes of a counter.
const COUNTER_SIZE: usize = 16;

/// Floors of upstream that are there and cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the floors of upstream ruroco in {path}: {source}", path = .0.display(), source = .1)]
    Read(PathBuf, io::Error),
    /// The file is not what upstream writes.
    #[error(
        "{path}: {fault}, so it is not known which packets have already run. Restore a backup of the file only if \
         upstream's server has not run since it was made. Otherwise make new keys: with the old ones, \
         packets that have already run could run again",
        path = .0.display(),
        fault = .1
    )]
    Malformed(PathBuf, Malformed),
}

/// A content that is not what upstream writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There is more than there can be.
    #[error("the file is longer than {MAX_SIZE} bytes")]
    TooLong,
    /// Something else is there.
    #[error("upstream ruroco does not write what is there from byte {0} on")]
    At(usize),
}

/// Reads a file, if it is there.
///
/// # Errors
/// [`Error`], if it is.
pub(super) fn read(path: &Path) -> Result<Option<Vec<Floor>>, Error> {
    let mut content = Vec::new();
    let read = open_regular(path)
        .and_then(|file| file.take(MAX_SIZE.saturating_add(1)).read_to_end(&mut content));
    match read {
        Ok(_) => match decode(&content) {
            Ok(floors) => Ok(Some(floors)),
            Err(malformed) => Err(Error::Malformed(path.to_owned(), malformed)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Read(path.to_owned(), error)),
    }
}

/// The floors in the content of a file.
///
/// # Errors
/// [`Malformed`], if anything in it is not as upstream writes it.
pub fn decode(content: &[u8]) -> Result<Vec<Floor>, Malformed> {
    if u64::try_from(content.len()).is_ok_and(|size| size > MAX_SIZE) {
        return Err(Malformed::TooLong);
    }
    let mut rest = content;
    let floors = take_all(&mut rest);
    let floors = floors.filter(|_| rest.is_empty());
    floors.ok_or(Malformed::At(content.len().saturating_sub(rest.len())))
}

/// What is left in `rest` is what was not understood.
fn take_all(rest: &mut &[u8]) -> Option<Vec<Floor>> {
    take(rest, take_frame)?;
    let count = take(rest, |rest| read_map_len(rest).ok())?;
    let mut floors = BTreeMap::new();
    for _ in 0..count {
        let (key, floor) = take(rest, |rest| {
            let key = KeyId(take_key_id(rest)?);
            // A key has one floor.
            (!floors.contains_key(&key.0)).then_some((key, take_counter(rest)?))
        })?;
        floors.insert(key.0, floor);
    }
    let floor = |(id, counter)| Floor { key: KeyId(id), counter };
    Some(floors.into_iter().map(floor).collect())
}

/// Takes something off the front; nothing, if it is not what it should be.
fn take<T>(rest: &mut &[u8], f: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<T> {
    let mut behind = *rest;
    let taken = f(&mut behind)?;
    *rest = behind;
    Some(taken)
}

fn take_frame(rest: &mut &[u8]) -> Option<()> {
    if let Some(length) = take(rest, |rest| read_array_len(rest).ok()) {
        return (length == 1).then_some(());
    }
    let is_ours = read_map_len(rest).ok()? == 1
        && read_str_len(rest).is_ok_and(|length| usize::try_from(length) == Ok(FIELD.len()))
        && take_bytes(rest)? == *FIELD;
    is_ours.then_some(())
}

fn take_key_id(rest: &mut &[u8]) -> Option<[u8; KEY_ID_SIZE]> {
    let Some(length) = take(rest, |rest| read_array_len(rest).ok()) else {
        return take_binary(rest);
    };
    let mut id = [0; KEY_ID_SIZE];
    if usize::try_from(length) != Ok(id.len()) {
        return None;
    }
    for byte in &mut id {
        *byte = read_int(rest).ok()?;
    }
    Some(id)
}

fn take_counter(rest: &mut &[u8]) -> Option<u128> {
    take_binary::<COUNTER_SIZE>(rest).map(u128::from_be_bytes)
}

fn take_binary<const SIZE: usize>(rest: &mut &[u8]) -> Option<[u8; SIZE]> {
    let length = read_bin_len(rest).ok()?;
    if usize::try_from(length) != Ok(SIZE) {
        return None;
    }
    take_bytes(rest)
}

fn take_bytes<const SIZE: usize>(rest: &mut &[u8]) -> Option<[u8; SIZE]> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;

    const KEY: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);
    const FLOOR: u128 = 0x17f3_5985_0147_3c02;

    /// What upstream has written for one key.
    const SAMPLE: [u8; 29] = [
        0x91, 0x81, 0x98, 0, 1, 2, 3, 4, 5, 6, 7, 0xc4, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0x17, 0xf3,
        0x59, 0x85, 0x01, 0x47, 0x3c, 0x02,
    ];

    fn map(floors: &[Floor]) -> BTreeMap<[u8; 8], u128> {
        floors.iter().map(|floor| (floor.key.0, floor.counter)).collect()
    }

    fn of(floors: &[Floor], key: KeyId) -> Option<u128> {
        floors.iter().find(|floor| floor.key == key).map(|floor| floor.counter)
    }

    /// What upstream keeps, for an encoder that is not ours.
    #[derive(Serialize)]
    struct Blocklist {
        map: BTreeMap<[u8; 8], u128>,
    }

    /// The same with ids as bytes.
    #[derive(Serialize)]
    struct OfBytes {
        map: BTreeMap<Bytes, u128>,
    }

    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct Bytes([u8; 8]);

    impl Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    #[test]
    fn what_upstream_has_written_is_read() {
        let floors = decode(&SAMPLE).unwrap();
        assert_eq!(map(&floors), BTreeMap::from([(KEY.0, FLOOR)]));
    }

    #[test]
    fn each_form_that_upstream_reads_is_read() {
        let counter = &SAMPLE[11..];
        let as_map = [&[0x81, 0xa3][..], b"map", &SAMPLE[1..]].concat();
        let of_bytes = [&[0x91, 0x81, 0xc4, 8][..], &KEY.0, counter].concat();
        let both = [&[0x81, 0xa3][..], b"map", &[0x81, 0xc4, 8], &KEY.0, counter].concat();
        let wide = [&[0x91, 0xde, 0, 1][..], &SAMPLE[2..]].concat();
        for form in [as_map, of_bytes, both, wide] {
            assert_eq!(of(&decode(&form).unwrap(), KEY), Some(FLOOR), "{form:02x?}");
        }
        // Numbers from 128 on take two bytes.
        let high = [&[0x91, 0x81, 0x98][..], &[0xcc, 0xff].repeat(8), counter].concat();
        assert_eq!(of(&decode(&high).unwrap(), KeyId([0xff; 8])), Some(FLOOR));
        assert!(decode(&[0x91, 0x80]).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_whole_or_not_upstreams_is_refused_where_it_begins() {
        let whole = SAMPLE;
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{length}");
        }
        let entry = &whole[2..];
        let two_of_one = [&[0x91, 0x82][..], entry, entry].concat();
        let with_path = [&[0x92][..], &whole[1..], b"\xa4/tmp"].concat();
        let long_id = [&[0x91, 0x81, 0x99, 8][..], &whole[3..]].concat();
        let no_byte = [&[0x91, 0x81, 0x98, 0xcd, 1, 0][..], &whole[4..]].concat();
        let short_counter = [&whole[..12], &[0x08], &whole[21..]].concat();
        let other_name = [&[0x81, 0xa3][..], b"mop", &whole[1..]].concat();
        for (content, at) in [
            (b"".to_vec(), 0),
            (vec![0; 29], 0),
            (vec![0xc0], 0),
            (vec![0x90], 0),
            (with_path, 0),
            (other_name, 0),
            (vec![0x91, 0x98], 1),
            (long_id, 2),
            (no_byte, 2),
            (short_counter, 2),
            (two_of_one, 29),
            ([&whole[..], &[0]].concat(), 29),
            (vec![0x91, 0xdf, 0xff, 0xff, 0xff, 0xff], 6),
        ] {
            assert_eq!(decode(&content), Err(Malformed::At(at)), "{content:02x?}");
        }
        assert_eq!(decode(&vec![0x91; (4 << 20) + 1]), Err(Malformed::TooLong));
    }

    #[test]
    fn one_changed_byte_never_makes_a_floor_lower_but_in_the_counter() {
        let whole = SAMPLE;
        for place in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut changed = whole;
                changed[place] = byte;
                let Ok(floors) = decode(&changed) else { continue };
                assert_eq!(floors.len(), 1, "byte {place}: {byte}");
                // A key that has lost its floor gets one of now.
                let is_id = (3..11).contains(&place);
                let is_counter = place >= 13;
                let kept = of(&floors, KEY) == Some(FLOOR);
                assert!(kept || is_id || is_counter, "byte {place}: {byte}");
                let lower = floors.iter().any(|floor| floor.counter < FLOOR);
                assert!(!lower || is_counter, "byte {place}: {byte}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_another_encoder_writes_is_read(
            floors in prop::collection::btree_map(any::<[u8; 8]>(), any::<u128>(), 0..40),
        ) {
            let blocklist = Blocklist { map: floors.clone() };
            let of_bytes = OfBytes {
                map: floors.iter().map(|(id, floor)| (Bytes(*id), *floor)).collect(),
            };
            for content in [
                rmp_serde::to_vec(&blocklist).unwrap(),
                rmp_serde::to_vec_named(&blocklist).unwrap(),
                rmp_serde::to_vec(&of_bytes).unwrap(),
                rmp_serde::to_vec_named(&of_bytes).unwrap(),
            ] {
                prop_assert_eq!(map(&decode(&content).unwrap()), floors.clone());
                for length in 0..content.len() {
                    prop_assert!(decode(&content[..length]).is_err());
                }
            }
        }

        #[test]
        fn anything_is_read_or_refused(content: Vec<u8>) {
            let _ = decode(&content);
        }
    }
}
