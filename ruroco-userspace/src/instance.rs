//! One process at a time for each of the places that only one may write to.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long somebody else's turn is waited for. Turns are over in milliseconds, so whoever is still
/// at it does not mean to end: upstream ruroco's window holds the lock for as long as it is open.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at whether a turn is over.
const PAUSE: Duration = Duration::from_millis(2);

/// An exclusive lock on a file, held until dropped. The file itself is never removed: a second
/// process could otherwise lock a new file of the same name.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A lock that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds it.
    #[error("another process holds the lock {0}: stop it first")]
    Held(std::path::PathBuf),
    /// The lock file cannot be created or locked.
    #[error("could not lock {0}: {1}")]
    Io(std::path::PathBuf, io::Error),
}

impl Lock {
    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`Error::Held`] if it is not, [`Error::Io`] if there can be none.
    pub fn try_take(path: &Path) -> Result<Self, Error> {
        Self::try_from_file(open(path)?, path)
    }

    fn try_from_file(file: File, path: &Path) -> Result<Self, Error> {
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Held(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(Error::Io(path.to_owned(), source)),
        }
    }

    /// Takes a directory itself as the lock, if it is free: for places that hold no files.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    #[cfg(unix)]
    pub fn try_take_directory(path: &Path) -> Result<Self, Error> {
        let directory = File::open(path).map_err(|source| Error::Io(path.to_owned(), source))?;
        Self::try_from_file(directory, path)
    }

    /// Takes the lock, waiting for whoever holds it; but some seconds only, for a program that
    /// hangs tells nobody why.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    pub fn take(path: &Path) -> Result<Self, Error> {
        Self::take_within(path, PATIENCE)
    }

    /// The same, but waiting this long.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    pub fn take_within(path: &Path, patience: Duration) -> Result<Self, Error> {
        let begin = Instant::now();
        loop {
            match Self::try_take(path) {
                Err(Error::Held(_)) if begin.elapsed() < patience => thread::sleep(PAUSE),
                taken => return taken,
            }
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| Error::Io(path.to_owned(), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_again_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::try_take(&path).unwrap();
        assert!(matches!(Lock::try_take(&path), Err(Error::Held(_))));
        drop(held);
        assert!(Lock::try_take(&path).is_ok());
    }

    #[test]
    fn a_turn_is_waited_for_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::take(&path).unwrap();
        assert!(matches!(Lock::take_within(&path, Duration::ZERO), Err(Error::Held(_))));
        let next = thread::spawn(move || Lock::take_within(&path, Duration::MAX).map(drop));
        drop(held);
        next.join().unwrap().unwrap();
    }
}
