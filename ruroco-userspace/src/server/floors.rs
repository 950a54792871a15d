//! The floors: for each key the highest counter that was ever accepted. What makes a knock run at
//! most once, across crashes and restarts.
//!
//! They are kept in one file that is replaced as a whole for every accepted knock, on the disk
//! before the order leaves this process:
//!
//! ```text
//! ruroco floors 1
//! 0001020304050607 1725821510000000000
//! checksum 6a1f0c2d9b3e4f58
//! ```
//!
//! One line for each key: its id and its floor. The last line is the BLAKE2b hash, 8 bytes long, of
//! the lines before it; a file that was cut off or changed is refused.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use blake2::{
    Blake2b,
    digest::{Digest, consts::U8},
};
use ruroco_common::datagram::KeyId;

use super::verifier::Permit;
use crate::{durable, instance, order::Order};

/// The highest accepted counter of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floors(BTreeMap<KeyId, u128>);

/// An order whose counter is on the disk: the only thing that may be forwarded. Only
/// [`FloorFile::persist`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct AcceptedOrder(Order);

impl AcceptedOrder {
    /// The order.
    pub fn order(&self) -> &Order {
        &self.0
    }
}

/// Why there are no floors to work with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server works with them.
    #[error(transparent)]
    Lock(#[from] instance::Error),
    /// There is no file.
    #[error(
        "there are no floors in {0}, so it cannot be known which packets have already run; if this \
         is the first start, make them with: ruroco-server init; if not, restore {0} from a backup, \
         or make new keys before `ruroco-server init`"
    )]
    Missing(PathBuf),
    /// There is a file where a new one was to be made.
    #[error("there are floors in {0} already; nothing was changed")]
    Exists(PathBuf),
    /// The file is there and cannot be read.
    #[error("could not read the floors in {0}: {1}")]
    Read(PathBuf, io::Error),
    /// The file is not what was written.
    #[error(
        "{0}:{1}: the floors are damaged, so it cannot be known which packets have already run; \
         restore the file from a backup, or make new keys, remove it and run: ruroco-server init"
    )]
    Damaged(PathBuf, usize),
    /// The file cannot be written.
    #[error(
        "could not write the floors to {0}: {1}; is the directory writable and the disk not full?"
    )]
    Write(PathBuf, io::Error),
}

/// The floors and the file that keeps them, locked against other processes.
#[derive(Debug)]
pub struct FloorFile {
    path: PathBuf,
    floors: Floors,
    _lock: instance::Lock,
}

impl FloorFile {
    /// Makes the file for the first start, with a floor of `now` for each key: packets made before
    /// that are refused.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is one already, [`Error::Write`] if there cannot be one.
    pub fn create(
        dir: &Path,
        keys: impl Iterator<Item = KeyId>,
        now: u128,
    ) -> Result<PathBuf, Error> {
        let (path, _lock) = locate(dir)?;
        let floors = Floors(keys.map(|key| (key, now)).collect());
        match durable::create(&path, floors.to_text().as_bytes()) {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists(path)),
            Err(error) => Err(Error::Write(path, error)),
        }
    }

    /// Reads the file. Keys that are new to it get a floor of `now`, which is written at once, so
    /// that a directory that cannot be written is found at the start and not at the first knock.
    ///
    /// # Errors
    /// [`Error`]. Floors of keys that are gone are kept: the keys may come back.
    pub fn open(dir: &Path, keys: impl Iterator<Item = KeyId>, now: u128) -> Result<Self, Error> {
        let (path, lock) = locate(dir)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(path));
            }
            Err(error) => return Err(Error::Read(path, error)),
        };
        let mut floors = match Floors::from_text(&text) {
            Ok(floors) => floors,
            Err(Damaged { line }) => return Err(Error::Damaged(path, line)),
        };
        for key in keys {
            floors.0.entry(key).or_insert(now);
        }
        write(&path, &floors)?;
        Ok(Self { path, floors, _lock: lock })
    }

    /// The floors as they are on the disk.
    pub fn floors(&self) -> &Floors {
        &self.floors
    }

    /// Raises the key's floor to the permit's counter and returns once that is on the disk.
    ///
    /// # Errors
    /// [`Error::Write`]; the floor is then what it was and there is no order.
    pub fn persist(&mut self, permit: &Permit) -> Result<AcceptedOrder, Error> {
        let order = *permit.order();
        let mut raised = self.floors.clone();
        raised.0.insert(order.key, order.counter);
        write(&self.path, &raised)?;
        self.floors = raised;
        Ok(AcceptedOrder(order))
    }
}

fn locate(dir: &Path) -> Result<(PathBuf, instance::Lock), Error> {
    let lock = instance::Lock::try_take(&dir.join("floors.lock"))?;
    Ok((dir.join("floors"), lock))
}

fn write(path: &Path, floors: &Floors) -> Result<(), Error> {
    durable::replace(path, floors.to_text().as_bytes())
        .map_err(|error| Error::Write(path.to_owned(), error))
}

/// A file that is not what was written, and from which line on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    line: usize,
}

const HEADER: &str = "ruroco floors 1";

impl Floors {
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
            if let Ok(changed) = String::from_utf8(changed) {
                prop_assert!(Floors::from_text(&changed).is_err());
            }
        }
    }

    #[test]
    fn a_first_start_needs_floors_that_were_made_on_purpose() {
        let dir = tempfile::tempdir().unwrap();
        let keys = || [KEY].into_iter();
        let missing = FloorFile::open(dir.path(), keys(), 5).unwrap_err();
        assert!(missing.to_string().contains("ruroco-server init"), "{missing}");
        FloorFile::create(dir.path(), keys(), 5).unwrap();
        assert!(matches!(FloorFile::create(dir.path(), keys(), 9), Err(Error::Exists(_))));
        let file = FloorFile::open(dir.path(), keys(), 9).unwrap();
        assert_eq!(file.floors().of(KEY), Some(5));
    }

    #[test]
    fn a_new_key_starts_at_now_and_an_old_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        FloorFile::create(dir.path(), [KEY].into_iter(), 5).unwrap();
        let other = KeyId([9; 8]);
        drop(FloorFile::open(dir.path(), [other].into_iter(), 7).unwrap());
        let file = FloorFile::open(dir.path(), [KEY, other].into_iter(), 9).unwrap();
        assert_eq!((file.floors().of(KEY), file.floors().of(other)), (Some(5), Some(7)));
    }

    #[test]
    fn two_servers_do_not_share_floors() {
        let dir = tempfile::tempdir().unwrap();
        FloorFile::create(dir.path(), [KEY].into_iter(), 5).unwrap();
        let _first = FloorFile::open(dir.path(), [KEY].into_iter(), 5).unwrap();
        assert!(matches!(FloorFile::open(dir.path(), [KEY].into_iter(), 5), Err(Error::Lock(_))));
    }
}
