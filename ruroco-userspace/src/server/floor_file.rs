//! The file that keeps the [`Floors`]: replaced as a whole for every accepted knock, and on the disk
//! before the order leaves this process.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ruroco_common::datagram::KeyId;

use super::{
    floors::{Damaged, Floors},
    verifier::Permit,
};
use crate::{durable, instance, order::Order};

/// An order whose counter is on the disk: the only thing that may be forwarded. Only
/// [`FloorFile::persist`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct AcceptedOrder(Order);

impl AcceptedOrder {
    /// The order.
    pub fn order(&self) -> &Order {
        &self.0
    }

    /// The order, to be forwarded; it cannot be forwarded twice.
    pub(super) fn into_order(self) -> Order {
        self.0
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
         is the first start, make them with: ruroco-server init; if not, make new keys first: with the old \
         ones, packets that have already run could run again, and so they could with a backup of {0}"
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
         make new keys, remove the file and run: ruroco-server init; with the old keys, or with a backup of \
         the file, packets that have already run could run again"
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
        let floors = Floors::at(now, keys);
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
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(path));
            }
            Err(error) => return Err(Error::Read(path, error)),
        };
        let floors = match Floors::from_bytes(&bytes) {
            Ok(floors) => floors.with_new(now, keys),
            Err(Damaged { line }) => return Err(Error::Damaged(path, line)),
        };
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
    /// [`Error::Write`]; the floor is then what it was, and there is neither order nor permit.
    pub fn persist(&mut self, permit: Permit) -> Result<AcceptedOrder, Error> {
        let order = permit.into_order();
        let raised = self.floors.raised(order.key, order.counter);
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);

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
