//! The floors: for each key the highest counter that was ever accepted. What makes a knock run at
//! most once, across crashes and restarts.
//!
//! As text, which is what a [`FloorFile`](super::floor_file::FloorFile) keeps:
//!
//! ```text
//! ruroco floors 1
//! 0001020304050607 1725821510000000000
//! checksum 6a1f0c2d9b3e4f58
//! ```
//!
//! One line for each key: its id and its floor. The last line is the BLAKE2b hash, 8 bytes long, of
//! the lines before it; a text that was cut off or changed is refused.

use std::{collections::BTreeMap, fmt::Write as _};

use blake2::{
    Blake2b,
    digest::{Digest, consts::U8},
};
use ruroco_common::datagram::KeyId;

/// The highest accepted counter of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floors(BTreeMap<KeyId, u128>);

/// A text that is not what was written, and from which line on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Counted from 1.
    pub line: usize,
}

const HEADER: &str = "ruroco floors 1";

impl Floors {
    /// Floors of `floor` for all of these keys.
    pub fn at(floor: u128, keys: impl Iterator<Item = KeyId>) -> Self {
        Self(keys.map(|key| (key, floor)).collect())
    }

    /// The same with a floor of `floor` for those of these keys that have none.
    pub fn with_new(mut self, floor: u128, keys: impl Iterator<Item = KeyId>) -> Self {
        for key in keys {
            self.0.entry(key).or_insert(floor);
        }
        self
    }

    /// The same with another floor for this key.
    pub fn raised(&self, key: KeyId, floor: u128) -> Self {
        let mut raised = self.clone();
        raised.0.insert(key, floor);
        raised
    }

    /// The floor of a key, if it has one.
    pub fn of(&self, key: KeyId) -> Option<u128> {
        self.0.get(&key).copied()
    }

    /// The content of the file; the inverse of [`Floors::from_text`].
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (key, floor) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key} {floor}");
        }
        let checksum = checksum(&text);
        text.push_str(&checksum);
        text
    }

    /// Reads the content of the file, as [`Floors::from_text`] does.
    ///
    /// # Errors
    /// [`Damaged`], also if it is not text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        Self::from_text(str::from_utf8(bytes).map_err(|_| Damaged { line: 1 })?)
    }

    /// Reads the content of the file.
    ///
    /// # Errors
    /// [`Damaged`] if it is not exactly what [`Floors::to_text`] has written.
    pub fn from_text(text: &str) -> Result<Self, Damaged> {
        let mut floors = Self::default();
        let mut lines = text.lines().zip(1_usize..);
        if lines.next() != Some((HEADER, 1)) {
            return Err(Damaged { line: 1 });
        }
        let mut last = 1;
        for (content, line) in lines {
            last = line;
            if content.starts_with("checksum ") {
                break;
            }
            let (key, floor) = parse_line(content).ok_or(Damaged { line })?;
            floors.0.insert(key, floor);
        }
        // Whatever could have gone wrong unnoticed makes the text another one.
        if floors.to_text() == text { Ok(floors) } else { Err(Damaged { line: last }) }
    }
}

fn parse_line(line: &str) -> Option<(KeyId, u128)> {
    let (key, floor) = line.split_once(' ')?;
    let key = u64::from_str_radix(key, 16).ok()?;
    Some((KeyId(key.to_be_bytes()), floor.parse().ok()?))
}

fn checksum(text: &str) -> String {
    let digest: [u8; 8] = Blake2b::<U8>::digest(text).into();
    format!("checksum {:016x}\n", u64::from_be_bytes(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);

    proptest! {
        #[test]
        fn floors_survive_the_disk(floors: BTreeMap<[u8; 8], u128>) {
            let floors = Floors(floors.into_iter().map(|(key, floor)| (KeyId(key), floor)).collect());
            prop_assert_eq!(Floors::from_text(&floors.to_text()), Ok(floors));
        }

        #[test]
        fn a_torn_or_changed_file_is_never_read(cut in 0_usize..80, bit in 0_usize..80 * 8) {
            let floors = Floors([(KEY, 1_725_821_510_000_000_000)].into());
            let text = floors.to_text();
            let cut = cut.min(text.len() - 1);
            prop_assert!(Floors::from_text(&text[..cut]).is_err());
            let mut changed = text.into_bytes();
            let bit = bit.min(changed.len() * 8 - 1);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Floors::from_bytes(&changed).is_err());
        }
    }
}
