//! A file in which the window keeps something between one start and the next. A damaged file is renamed,
//! reported once, and replaced by a new one: it never prevents the window from opening.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use ruroco_files::{durable, instance};
use serde::{Serialize, de::DeserializeOwned};

/// Longest file in bytes that is read. A full history takes about a hundredth of that.
const MAX_SIZE: u64 = 16 << 20;

/// A JSON file.
#[derive(Clone, Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    lock: PathBuf,
}

/// The result of reading the file.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// The content; the default if the file does not exist or cannot be used.
    pub(super) content: T,
    /// Why the file could not be used, if so.
    pub(super) damage: Option<Damage>,
}

/// A file that could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// The content was damaged, and the file was renamed.
    #[error(
        "{path} was damaged ({why}). It was renamed to {kept}.",
        path = path.display(), kept = kept_as.display()
    )]
    Kept {
        /// The file.
        path: PathBuf,
        /// Its new name.
        kept_as: PathBuf,
        /// The error.
        why: String,
    },
    /// The file could not be read or renamed.
    #[error("Cannot read {}: {error}. Check its permissions.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

/// The content was not written.
#[derive(Debug, thiserror::Error)]
#[error("Cannot write {}: {error}", path.display())]
pub(super) struct WriteError {
    path: PathBuf,
    error: io::Error,
}

impl StateFile {
    /// The file of this name in an existing folder.
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name), lock: folder.join(format!("{name}.lock")) }
    }

    /// Reads the file.
    pub(super) fn read<T: Default + DeserializeOwned>(&self) -> Found<T> {
        let damage = match self.try_read() {
            Ok(content) => return Found { content: content.unwrap_or_default(), damage: None },
            Err(Fault::Content(why)) => self.keep_aside(why),
            Err(Fault::Io(error)) => Damage::Unreadable { path: self.path.clone(), error },
        };
        Found { content: T::default(), damage: Some(damage) }
    }

    /// Changes the content while no other process does. A damaged file is renamed first.
    ///
    /// # Errors
    /// If the file cannot be read, renamed or written. Its content was not changed.
    pub(super) fn change<T: Default + DeserializeOwned + Serialize>(
        &self,
        change: impl FnOnce(&mut T),
    ) -> Result<T, WriteError> {
        let failed = |error| WriteError { path: self.path.clone(), error };
        let _turn = instance::Lock::take(&self.lock).map_err(|error| failed(io_of(error)))?;
        let Found { mut content, damage } = self.read();
        if let Some(Damage::Unreadable { error, .. }) = damage {
            return Err(failed(error));
        }
        change(&mut content);
        let text = serde_json::to_vec_pretty(&content).map_err(|error| failed(error.into()))?;
        durable::replace(&self.path, &text).map_err(failed)?;
        Ok(content)
    }

    fn try_read<T: DeserializeOwned>(&self) -> Result<Option<T>, Fault> {
        let size = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::Io(error)),
        };
        if size > MAX_SIZE {
            return Err(Fault::Content(format!("longer than {MAX_SIZE} bytes")));
        }
        let text = fs::read(&self.path).map_err(Fault::Io)?;
        serde_json::from_slice(&text).map(Some).map_err(|error| Fault::Content(error.to_string()))
    }

    fn keep_aside(&self, why: String) -> Damage {
        let path = self.path.clone();
        let kept_as = self.free_name();
        match fs::rename(&path, &kept_as) {
            Ok(()) => Damage::Kept { path, kept_as, why },
            Err(error) => Damage::Unreadable { path, error },
        }
    }

    /// A name for a damaged file that no earlier one has.
    fn free_name(&self) -> PathBuf {
        let named = |number: u32| {
            let mut name = OsString::from(&self.path);
            name.push(format!(".damaged-{number}"));
            PathBuf::from(name)
        };
        (1..u32::MAX).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0))
    }
}

enum Fault {
    Io(io::Error),
    Content(String),
}

fn io_of(error: instance::Error) -> io::Error {
    match error {
        instance::Error::Io(_, error) => error,
        held @ instance::Error::Held(_) => io::Error::other(held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path(), "numbers.json");
        assert!(file.read::<Vec<u8>>().content.is_empty());
        file.change(|numbers: &mut Vec<u8>| numbers.push(7)).unwrap();
        file.change(|numbers: &mut Vec<u8>| numbers.push(8)).unwrap();
        assert_eq!(file.read::<Vec<u8>>().content, [7, 8]);
    }

    #[test]
    fn a_damaged_file_is_kept_under_a_name_of_its_own_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path(), "numbers.json");
        for (number, damaged) in [(1, "[1, 2"), (2, "\0\0\0")] {
            fs::write(folder.path().join("numbers.json"), damaged).unwrap();
            let found = file.read::<Vec<u8>>();
            assert!(found.content.is_empty());
            assert!(found.damage.unwrap().to_string().contains("renamed to"));
            let kept = folder.path().join(format!("numbers.json.damaged-{number}"));
            assert_eq!(fs::read_to_string(kept).unwrap(), damaged);
            assert!(file.read::<Vec<u8>>().damage.is_none(), "it is reported once");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_cannot_be_read_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.json");
        // Also root cannot read it: it leads to itself.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let file = StateFile::new(folder.path(), "numbers.json");
        file.change(|numbers: &mut Vec<u8>| numbers.push(7)).unwrap_err();
        assert!(path.is_symlink());
    }

    #[test]
    fn windows_at_the_same_time_lose_nothing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..4_u8 {
                let file = StateFile::new(folder.path(), "numbers.json");
                scope.spawn(move || {
                    for _ in 0..10 {
                        file.change(|numbers: &mut Vec<u8>| numbers.push(number)).unwrap();
                    }
                });
            }
        });
        let all = StateFile::new(folder.path(), "numbers.json").read::<Vec<u8>>().content;
        assert_eq!(all.len(), 40);
    }
}
