//! The counter: a number that grows with every knock, so that a server can tell a new packet from
//! a copied one.
//!
//! It follows the clock (nanoseconds since the epoch) and never goes back: each one is the greater
//! of the last one plus one and now. It is on the disk before it is used, and two clients take
//! turns. The file is that of upstream ruroco: 16 bytes, big-endian.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::private_folder;
use crate::{durable, instance};

/// The directory with the counter and its lock.
#[derive(Debug)]
pub struct CounterFile {
    counter: PathBuf,
    lock: PathBuf,
}

/// A counter that could not be had. None was used up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory for the file cannot be made.
    #[error("could not create the directory {0}: {1}")]
    Directory(PathBuf, io::Error),
    /// Another process's turn never ends, or there can be no lock.
    #[error(transparent)]
    Lock(#[from] instance::Error),
    /// The file is there and cannot be read.
    #[error("could not read the counter in {0}: {1}")]
    Read(PathBuf, io::Error),
    /// The file is not 16 bytes long.
    #[error("the counter in {0} is damaged; start anew from the clock with: ruroco-client reseed")]
    Damaged(PathBuf),
    /// The new counter is not on the disk.
    #[error("could not write the counter to {0}: {1}; nothing was sent")]
    Write(PathBuf, io::Error),
    /// No number is left.
    #[error(
        "the counter in {0} is at its end; start anew from the clock with: ruroco-client reseed"
    )]
    Exhausted(PathBuf),
    /// The clock shows a time before 1970.
    #[error("this computer's clock is set before 1970: set it")]
    Clock,
}

impl CounterFile {
    /// The counter in this directory, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn in_directory(dir: &Path) -> Result<Self, Error> {
        private_folder::make(dir).map_err(|error| Error::Directory(dir.to_owned(), error))?;
        Ok(Self { counter: dir.join("counter"), lock: dir.join("client.lock") })
    }

    /// The next counter, already on the disk; waits for another client's turn to end.
    ///
    /// # Errors
    /// [`Error`]; no counter is used up then.
    pub fn next(&self, now: SystemTime) -> Result<u128, Error> {
        let now = nanoseconds(now)?;
        let _turn = instance::Lock::take(&self.lock)?;
        let counter = match self.read()? {
            Some(last) => {
                let next = last.checked_add(1);
                next.ok_or_else(|| Error::Exhausted(self.counter.clone()))?.max(now)
            }
            None => now,
        };
        self.write(counter)?;
        Ok(counter)
    }

    /// Sets the counter to the clock, whatever it was, and says what it is now.
    ///
    /// # Errors
    /// [`Error`].
    pub fn reseed(&self, now: SystemTime) -> Result<u128, Error> {
        let now = nanoseconds(now)?;
        let _turn = instance::Lock::take(&self.lock)?;
        self.write(now)?;
        Ok(now)
    }

    fn read(&self) -> Result<Option<u128>, Error> {
        match fs::read(&self.counter) {
            Ok(bytes) => match bytes.try_into() {
                Ok(bytes) => Ok(Some(u128::from_be_bytes(bytes))),
                Err(_) => Err(Error::Damaged(self.counter.clone())),
            },
            // Only a missing file means that there was no counter yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Read(self.counter.clone(), error)),
        }
    }

    fn write(&self, counter: u128) -> Result<(), Error> {
        durable::replace(&self.counter, &counter.to_be_bytes())
            .map_err(|error| Error::Write(self.counter.clone(), error))
    }
}

fn nanoseconds(now: SystemTime) -> Result<u128, Error> {
    now.duration_since(UNIX_EPOCH).as_ref().map(Duration::as_nanos).map_err(|_| Error::Clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, thread};

    fn at(nanos: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    #[test]
    fn the_counter_follows_the_clock_and_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        let counters = [1000, 1000, 5000, 10, 11].map(|now| file.next(at(now)).unwrap());
        assert_eq!(counters, [1000, 1001, 5000, 5001, 5002]);
        let again = CounterFile::in_directory(dir.path()).unwrap();
        assert_eq!(again.next(at(0)).unwrap(), 5003);
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        for length in [0, 15, 17] {
            let damaged = vec![1; length];
            fs::write(&file.counter, &damaged).unwrap();
            assert!(matches!(file.next(at(7)), Err(Error::Damaged(_))));
            assert_eq!(fs::read(&file.counter).unwrap(), damaged);
        }
        assert_eq!(file.reseed(at(7)).unwrap(), 7);
        assert_eq!(file.next(at(7)).unwrap(), 8);
    }

    #[test]
    fn the_last_number_is_not_followed_by_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        file.write(u128::MAX).unwrap();
        assert!(matches!(file.next(at(7)), Err(Error::Exhausted(_))));
    }

    #[test]
    fn clients_at_the_same_time_get_different_counters() {
        let dir = tempfile::tempdir().unwrap();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let file = CounterFile::in_directory(dir.path()).unwrap();
                thread::spawn(move || {
                    (0..25).map(|_| file.next(at(7)).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        let all: Vec<u128> =
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert_eq!(BTreeSet::from_iter(&all).len(), all.len());
    }
}
