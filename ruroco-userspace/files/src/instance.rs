//! One process at a time for each place to which only one process may write.
//!
//! A process that can open a file or directory can lock it: read permission is enough. So a lock is a
//! separate file or directory, which only its owner can open.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long to wait for another process. A process normally holds the lock for milliseconds, so after this
/// time it will not release it soon: upstream ruroco's window holds the lock for as long as it is open.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(2);

/// An exclusive lock on a file, held until dropped. The file itself is never removed: a second
/// process could otherwise lock a new file of the same name.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A lock that this process could not get.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds it.
    #[error("another process holds the lock {0}. Stop that process first")]
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

    /// Takes a directory as the lock, if it is free: for file systems that hold no files of ours. It is
    /// made if it is missing.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    #[cfg(unix)]
    pub fn try_take_directory(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io(path.to_owned(), source);
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
        let directory = File::open(path).map_err(failed)?;
        close_to_others(&directory, 0o700).map_err(failed)?;
        Self::try_from_file(directory, path)
    }

    /// Takes the lock. If another process holds it, waits for a few seconds only, because waiting for longer
    /// would hide the reason from the user.
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
    let failed = |source| Error::Io(path.to_owned(), source);
    let file = options.open(path).map_err(failed)?;
    #[cfg(unix)]
    close_to_others(&file, 0o600).map_err(failed)?;
    Ok(file)
}

/// Prevents other users from opening a file that was created with another mode.
#[cfg(unix)]
fn close_to_others(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    match file.metadata()?.mode() & 0o077 {
        0 => Ok(()),
        _ => file.set_permissions(std::fs::Permissions::from_mode(mode)),
    }
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
    #[cfg(unix)]
    fn nobody_else_can_open_what_is_locked() {
        use std::{
            fs,
            os::unix::fs::{MetadataExt, PermissionsExt},
        };

        let dir = tempfile::tempdir().unwrap();
        let (file, directory) = (dir.path().join("file"), dir.path().join("directory"));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        for _ in 0..2 {
            drop(Lock::try_take(&file).unwrap());
            drop(Lock::try_take_directory(&directory).unwrap());
            assert_eq!((mode(&file), mode(&directory)), (0o600, 0o700));
            for path in [&file, &directory] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
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
