//! The file that keeps the [`Floors`]: a [log](super::floor_log). Every accepted knock adds its line, which
//! is on the disk before the order leaves this process.
//!
//! The cost of a knock does not depend on the number of keys. The log is rewritten only when it has grown to
//! several times the number of keys. Neither step takes new space on the disk: the file has its full size
//! from the start (`floor_slots`), so that the server accepts knocks even if the disk is full.
//!
//! While this process holds the lock, its memory is authoritative. If another process has removed, replaced
//! or cut the file, the server rewrites it before the next knock, and runs nothing until then.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ruroco_common::datagram::KeyId;
use ruroco_config::FLOORS;
use ruroco_files::instance;
use ruroco_ipc::order::Order;
use ruroco_messages::problems::Problem;
use ruroco_trust::private_directory;

use super::{
    floor_log::ReadError,
    floor_slots::{Content, Slots},
    floors::Floors,
    verifier::Permit,
};

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
        "there are no floors in {0}, so it is not known which packets have already run. If the server has never run on \
        this host, create them with: ruroco-server init. Otherwise make new keys first: with the old keys, or with a \
        backup of {0}, packets that have already run could run again"
    )]
    Missing(PathBuf),
    /// There is a file where a new one was to be made.
    #[error("{0} contains floors already. Nothing was changed")]
    Exists(PathBuf),
    /// Others can change where they are.
    #[error(transparent)]
    Place(Problem),
    /// The file is there and cannot be read.
    #[error("could not read the floors in {0}: {1}")]
    Read(PathBuf, io::Error),
    /// The file is not what was written.
    #[error(
        "{0}:{1}: the floors are damaged, so it is not known which packets have already run. Make new keys, remove the \
        file and run: ruroco-server init. With the old keys, or with a backup of the file, packets that have already \
        run could run again"
    )]
    Damaged(PathBuf, u64),
    /// The file cannot be written.
    #[error(
        "could not write the floors to {path}: {source}{remedy}",
        path = .0.display(),
        source = .1,
        remedy = remedy(.0, .1)
    )]
    Write(Arc<Path>, io::Error),
    /// The key's floor has been raised since the permit was given.
    #[error("the server has accepted a later packet of the same key in the meantime")]
    Overtaken,
}

/// The floors and the file that keeps them, locked against other processes.
#[derive(Debug)]
pub struct FloorFile {
    path: Arc<Path>,
    slots: Slots,
    floors: Floors,
    /// Whether the last compaction failed, or freed hardly any room because the disk had no space for a larger
    /// file. The log is then compacted again only when it is full.
    is_stuck: bool,
    _lock: instance::Lock,
}

impl FloorFile {
    /// Makes the file for the first start, with these floors. A key that comes later has a floor of that
    /// time, so that packets made before are rejected anyhow.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is one already, [`Error::Write`] if there cannot be one.
    pub fn create(dir: &Path, floors: &Floors) -> Result<PathBuf, Error> {
        let (path, _lock) = locate(dir)?;
        match Slots::create(&path, floors) {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists(path)),
            Err(error) => Err(Error::Write(path.into(), error)),
        }
    }

    /// Raises floors to these; those that are higher stay.
    ///
    /// # Errors
    /// [`Error::Write`]; the floors on the disk are then what they were.
    pub fn raise(&mut self, floors: &Floors) -> Result<(), Error> {
        for (key, floor) in floors.iter() {
            self.floors.raise(key, floor);
        }
        self.slots
            .put(&self.path, &self.floors)
            .map_err(|error| Error::Write(Arc::clone(&self.path), error))
    }

    /// Whether there is a file already, of whatever content.
    pub fn is_there(dir: &Path) -> bool {
        fs::symlink_metadata(dir.join(FLOORS)).is_ok()
    }

    /// Reads the file. Keys that are new to it get a floor of `now`. It is rewritten at once, so that a
    /// directory without write permission is found at the start and not at the first knock.
    ///
    /// # Errors
    /// [`Error`]. Floors of keys that are gone are kept: the keys may come back.
    pub fn open(dir: &Path, keys: impl Iterator<Item = KeyId>, now: u128) -> Result<Self, Error> {
        let (path, lock) = locate(dir)?;
        let Content { slots, floors, is_torn } = match Slots::read(&path) {
            Ok(content) => content,
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(path));
            }
            Err(ReadError::Io(error)) => return Err(Error::Read(path, error)),
            Err(ReadError::Damaged { line }) => return Err(Error::Damaged(path, line)),
        };
        if is_torn {
            tracing::warn!(
                file = %path.display(),
                "removed a floor that was not completely written: its knock has not run"
            );
        }
        let floors = floors.with_new(now, keys);
        match Slots::succeeding(slots, &path, &floors) {
            Ok(slots) => {
                let is_stuck = slots.are_nearly_full();
                Ok(Self { path: path.into(), slots, floors, is_stuck, _lock: lock })
            }
            Err(error) => Err(Error::Write(path.into(), error)),
        }
    }

    /// The floors as they are on the disk.
    pub fn floors(&self) -> &Floors {
        &self.floors
    }

    /// Gives those of these keys that have no floor one of `now`, and returns once they are on the disk:
    /// before that they cannot be used.
    ///
    /// # Errors
    /// [`Error::Write`]; they have no floor then.
    pub fn admit(&mut self, keys: impl Iterator<Item = KeyId>, now: u128) -> Result<(), Error> {
        let mut new = keys.filter(|key| self.floors.of(*key).is_none()).peekable();
        if new.peek().is_none() {
            return Ok(());
        }
        let floors = self.floors.clone().with_new(now, new);
        self.slots.put(&self.path, &floors).map_err(|error| self.write_error(error))?;
        (self.floors, self.is_stuck) = (floors, self.slots.are_nearly_full());
        Ok(())
    }

    /// Raises the key's floor to the permit's counter and returns once that is on the disk.
    ///
    /// # Errors
    /// [`Error::Write`] and [`Error::Overtaken`]; the floor is then what it was, and there is
    /// neither order nor permit.
    pub fn persist(&mut self, permit: Permit) -> Result<AcceptedOrder, Error> {
        let order = permit.into_order();
        if !self.floors.is_below(order.key, order.counter) {
            return Err(Error::Overtaken);
        }
        let added = self.make_room().and_then(|()| self.slots.add(order.key, order.counter));
        added.map_err(|error| self.write_error(error))?;
        self.floors.raise(order.key, order.counter);
        Ok(AcceptedOrder(order))
    }

    /// Rewrites the log if it has become long, with one line for each key. Call this when no knock waits: the
    /// time it takes grows with the number of keys.
    ///
    /// # Errors
    /// [`Error::Write`]. No floor is lost then. The server accepts knocks again as soon as it can write to
    /// the disk; it tries again when there is no room for another line.
    pub fn compact_if_due(&mut self) -> Result<(), Error> {
        if self.is_stuck || !self.slots.are_nearly_full() {
            return Ok(());
        }
        self.compact().map_err(|error| self.write_error(error))
    }

    /// Sees to it that the log and nothing else is in its place, with room for a line: adding one to a file
    /// that is no longer there would keep nothing.
    fn make_room(&mut self) -> io::Result<()> {
        if !self.slots.are_at(&self.path)? {
            tracing::warn!(
                file = %self.path.display(),
                "writing the floors to a new file: another process has changed or removed them"
            );
            return self.compact();
        }
        if self.slots.are_full() { self.compact() } else { Ok(()) }
    }

    fn compact(&mut self) -> io::Result<()> {
        let put = self.slots.put(&self.path, &self.floors);
        let was_stuck = self.is_stuck;
        self.is_stuck = put.is_err() || self.slots.are_nearly_full();
        if put.is_ok() && self.is_stuck && !was_stuck {
            tracing::warn!(
                file = %self.path.display(),
                keys = self.floors.len(),
                "the floors need a larger file, and the file system has no space for it. Free some space"
            );
        }
        put
    }

    fn write_error(&self, error: io::Error) -> Error {
        Error::Write(Arc::clone(&self.path), error)
    }
}

fn locate(dir: &Path) -> Result<(PathBuf, instance::Lock), Error> {
    if let Some(problem) = private_directory::trouble_with(dir) {
        return Err(Error::Place(problem));
    }
    let lock = instance::Lock::try_take(&dir.join("floors.lock"))?;
    Ok((dir.join(FLOORS), lock))
}

/// What helps against an error of the disk.
fn remedy(path: &Path, error: &io::Error) -> String {
    let dir = path.parent().unwrap_or(path).display();
    let kind = error.kind();
    if kind == io::ErrorKind::StorageFull {
        format!("; free some space on its file system, which `df {dir}` shows")
    } else if kind == io::ErrorKind::QuotaExceeded {
        format!("; raise the quota of the server's user on the file system of {dir}")
    } else if kind == io::ErrorKind::PermissionDenied {
        "; run `ruroco check` as root, which reports how to give the server a separate directory"
            .to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests;
