//! A person's keys, by name: `keys/NAME.key` in the client's folder.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::private_folder;
use crate::{
    durable,
    key::{FileError, Key},
    name::{Name, NotAName},
};

/// What a host's key is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReference {
    /// A key of the store.
    Named(Name),
    /// A file somewhere else.
    File(PathBuf),
}

impl FromStr for KeyReference {
    type Err = NotAName;

    /// A text with a path in it, or that ends in `.key`, is a file; any other is a name.
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let path = Path::new(text);
        let is_path = path.components().count() > 1 || text.ends_with(EXTENSION);
        if is_path { Ok(Self::File(path.to_owned())) } else { text.parse().map(Self::Named) }
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The keys of a client's folder.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

/// Something that could not be done with a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none of this name.
    #[error(
        "there is no key {name} in {folder}; see which there are with `ruroco-client key list`, or \
         take one over with `ruroco-client key import {name}`"
    )]
    Unknown {
        /// The name.
        name: Name,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// There is one of this name already, and it stays.
    #[error(
        "there is a key {0} already; choose another name, or first: ruroco-client key remove {0}"
    )]
    Exists(Name),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key was not written.
    #[error("could not write the key {name} to {path}: {error}")]
    Write {
        /// The key.
        name: Name,
        /// Its file, or the folder for it.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The key is still there.
    #[error("could not remove {0}: {1}")]
    Remove(PathBuf, io::Error),
    /// Nobody knows which keys there are.
    #[error("could not list the keys in {0}: {1}")]
    List(PathBuf, io::Error),
}

/// What the names of key files end with.
const EXTENSION: &str = ".key";

impl KeyStore {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.join("keys") }
    }

    /// The key that is meant.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::File`].
    pub fn read(&self, key: &KeyReference) -> Result<Key, Error> {
        match key {
            KeyReference::Named(name) => {
                let path = self.path(name);
                if !path.exists() {
                    return Err(Error::Unknown { name: name.clone(), folder: self.folder.clone() });
                }
                Ok(Key::read(&path, None)?)
            }
            KeyReference::File(path) => Ok(Key::read(path, None)?),
        }
    }

    /// Keeps a key under a name that is free.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Write`].
    pub fn add(&self, name: &Name, key: &Key) -> Result<(), Error> {
        let failed =
            |path: &Path, error| Error::Write { name: name.clone(), path: path.to_owned(), error };
        private_folder::make(&self.folder).map_err(|error| failed(&self.folder, error))?;
        let path = self.path(name);
        match durable::create(&path, key.to_line().as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Exists(name.clone()))
            }
            Err(error) => Err(failed(&path, error)),
            Ok(()) => Ok(()),
        }
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Remove`].
    pub fn remove(&self, name: &Name) -> Result<(), Error> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::Unknown { name: name.clone(), folder: self.folder.clone() })
            }
            Err(error) => Err(Error::Remove(path, error)),
            Ok(()) => Ok(()),
        }
    }

    /// The names of all keys, sorted.
    ///
    /// # Errors
    /// [`Error::List`].
    pub fn names(&self) -> Result<Vec<Name>, Error> {
        let failed = |error| Error::List(self.folder.clone(), error);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(EXTENSION));
            names.extend(name.and_then(|name| name.parse::<Name>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Where a key's file is, or would be.
    pub fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}{EXTENSION}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_kept_once_and_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::in_folder(folder.path());
        assert_eq!(store.names().unwrap(), []);
        let key = Key::generate().unwrap();
        store.add(&named("home"), &key).unwrap();
        store.add(&named("a"), &key).unwrap();
        let again = store.read(&KeyReference::Named(named("home"))).unwrap();
        assert_eq!(*again.to_text(), *key.to_text());
        assert_eq!(store.names().unwrap(), [named("a"), named("home")]);
        let other = Key::generate().unwrap();
        assert!(matches!(store.add(&named("home"), &other), Err(Error::Exists(_))));
        let again = store.read(&KeyReference::Named(named("home"))).unwrap();
        assert_eq!(*again.to_text(), *key.to_text());
        store.remove(&named("home")).unwrap();
        assert!(matches!(store.remove(&named("home")), Err(Error::Unknown { .. })));
        let gone = store.read(&KeyReference::Named(named("home")));
        assert!(matches!(gone, Err(Error::Unknown { .. })));
    }

    #[test]
    fn what_looks_like_a_file_is_one() {
        for text in ["./home", "/k/home", "home.key", "k/home.txt"] {
            assert_eq!(text.parse(), Ok(KeyReference::File(text.into())), "{text}");
        }
        assert_eq!("home".parse(), Ok(KeyReference::Named(named("home"))));
        assert!("".parse::<KeyReference>().is_err());
    }
}
