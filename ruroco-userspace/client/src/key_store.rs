//! The user's keys, by name.
//!
//! In the client's folder, `keys/NAME.key` contains a key. `keys/NAME.keyring` means that the key is in
//! the system's [`keyring`]; the file contains only the key's cipher and id. So keys can be listed
//! without using the keyring, and no two keys have the same name.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use ruroco_files::{durable, instance, toml_file::nearest};
use ruroco_keys::{
    key::{FileError, Key, Label, NotALabel},
    name::{Name, NotAName},
};

use super::{
    CHANGES_LOCK,
    keyring::{self, SERVICE},
    private_folder,
};

/// How `client.toml` and the command line name a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReference {
    /// A key of the store.
    Named(Name),
    /// A key file outside the store.
    File(PathBuf),
}

/// A text that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReference {
    /// The text is a key itself. The message does not repeat it.
    #[error(
        "this is a key, not the name of one. Import the key with `ruroco-client key import NAME`, and use \
         that name here"
    )]
    Key,
    /// The text is neither the path of a file nor a name.
    #[error(transparent)]
    Name(#[from] NotAName),
}

impl FromStr for KeyReference {
    type Err = NotAReference;

    /// A text that contains a path separator or ends in `.key` is a file. Any other text is a name.
    fn from_str(text: &str) -> Result<Self, NotAReference> {
        if Key::is_meant_by(text) {
            return Err(NotAReference::Key);
        }
        let path = Path::new(text);
        let is_path = path.components().count() > 1 || text.ends_with(EXTENSION);
        if is_path { Ok(Self::File(path.to_owned())) } else { Ok(Self::Named(text.parse()?)) }
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

/// Where a key is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file that only this user can read.
    File,
    /// The system's keyring.
    Keyring,
}

impl Place {
    /// The extension of the file that represents the key.
    const fn extension(self) -> &'static str {
        match self {
            Self::File => EXTENSION,
            Self::Keyring => ".keyring",
        }
    }
}

/// A key of the store, without its secret.
#[derive(Debug)]
pub struct Stored {
    /// Its name.
    pub name: Name,
    /// Where it is stored.
    pub place: Place,
    /// Its cipher and id, or why it cannot be used.
    pub label: Result<Label, Error>,
}

/// The keys of a client's folder.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
    lock: PathBuf,
}

/// An operation on a key failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No key has this name.
    #[error(
        "key {name} not found in {folder}{}. To list your keys, run `ruroco-client key list`. To add \
         this one, run `ruroco-client key import {name}`",
        .meant.as_ref().map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"))
    )]
    Unknown {
        /// The name.
        name: Name,
        /// The folder in which it is missing.
        folder: PathBuf,
        /// A key with a similar name.
        meant: Option<Name>,
    },
    /// A key of this name exists. It was not changed.
    #[error(
        "key {0} already exists. Choose another name, or first run `ruroco-client key remove {0}`"
    )]
    Exists(Name),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The keyring reported an error.
    #[error("cannot use key {name}: {error}")]
    Keyring {
        /// The key.
        name: Name,
        /// The reason.
        error: keyring::Error,
    },
    /// The file that represents a key in the keyring is invalid.
    #[error("{path}: {error}. To delete the key, run `ruroco-client key remove {name}`")]
    Marker {
        /// The key.
        name: Name,
        /// The file.
        path: PathBuf,
        /// The reason.
        error: MarkerError,
    },
    /// The keyring contains a different key than the stored one.
    #[error(
        "the system's keyring contains a different key than the one stored as {0} (service `{SERVICE}`, user \
         `{0}`). Import the correct key under another name"
    )]
    Exchanged(Name),
    /// Another process holds the lock for too long, or the file cannot be locked.
    #[error(transparent)]
    Lock(#[from] instance::Error),
    /// The key was not written.
    #[error("cannot write key {name} to {path}: {error}")]
    Write {
        /// The key.
        name: Name,
        /// Its file, or the folder for it.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The key was not deleted.
    #[error("cannot delete {0}: {1}")]
    Remove(PathBuf, io::Error),
    /// The folder with the keys cannot be read.
    #[error("cannot list the keys in {0}: {1}")]
    List(PathBuf, io::Error),
}

/// Why a file that represents a key in the keyring is invalid.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// The file cannot be read.
    #[error("cannot read this file: {0}")]
    Unreadable(#[from] io::Error),
    /// The file contains no cipher and id.
    #[error(transparent)]
    Content(#[from] NotALabel),
}

/// The extension of key files.
const EXTENSION: &str = ".key";

impl KeyStore {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.join("keys"), lock: folder.join(CHANGES_LOCK) }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// If the key does not exist or cannot be used.
    pub fn read(&self, key: &KeyReference) -> Result<Key, Error> {
        let name = match key {
            KeyReference::File(path) => return Ok(Key::read(path)?),
            KeyReference::Named(name) => name,
        };
        match self.place(name)? {
            Place::File => Ok(Key::read(&self.path(name))?),
            Place::Keyring => {
                let label = self.read_marker(name)?;
                let key = keyring::read(name).map_err(|error| of_keyring(name, error))?;
                let is_ours = key.label() == label;
                if is_ours { Ok(key) } else { Err(Error::Exchanged(name.clone())) }
            }
        }
    }

    /// The cipher and id of a key. Does not use the keyring.
    ///
    /// # Errors
    /// If the key does not exist, or its file is invalid.
    pub fn label(&self, key: &KeyReference) -> Result<Label, Error> {
        if let KeyReference::Named(name) = key
            && self.place(name)? == Place::Keyring
        {
            return self.read_marker(name);
        }
        self.read(key).map(|key| key.label())
    }

    /// Stores a key under a new name.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed.
    pub fn add(&self, name: &Name, key: &Key, place: Place) -> Result<(), Error> {
        // The lock is in its parent folder.
        self.make_folder(name)?;
        self.add_in(&instance::Lock::take(&self.lock)?, name, key, place)
    }

    /// The same while the caller holds the lock.
    pub(super) fn add_in(
        &self,
        _turn: &instance::Lock,
        name: &Name,
        key: &Key,
        place: Place,
    ) -> Result<(), Error> {
        self.make_folder(name)?;
        if self.place(name).is_ok() {
            return Err(Error::Exists(name.clone()));
        }
        let path = self.file(name, place);
        match place {
            Place::File => durable::create(&path, key.to_line().as_bytes()),
            Place::Keyring => {
                keyring::add(name, key).map_err(|error| of_keyring(name, error))?;
                let written = durable::create(&path, format!("{}\n", key.label()).as_bytes());
                if written.is_err() {
                    // The entry was added just now, so it is safe to remove it.
                    let _ = keyring::remove(name);
                }
                written
            }
        }
        .map_err(|error| Error::Write { name: name.clone(), path, error })
    }

    fn make_folder(&self, name: &Name) -> Result<(), Error> {
        let path = &self.folder;
        let failed = |error| Error::Write { name: name.clone(), path: path.clone(), error };
        private_folder::make(path).map_err(failed)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`Error`]; the key still exists.
    pub fn remove(&self, name: &Name) -> Result<(), Error> {
        self.remove_in(&instance::Lock::take(&self.lock)?, name)
    }

    /// The same while the caller holds the lock.
    pub(super) fn remove_in(&self, _turn: &instance::Lock, name: &Name) -> Result<(), Error> {
        let place = self.place(name)?;
        if place == Place::Keyring {
            keyring::remove(name).map_err(|error| of_keyring(name, error))?;
        }
        let path = self.file(name, place);
        fs::remove_file(&path).map_err(|error| Error::Remove(path, error))
    }

    /// All keys, sorted by name. Does not use the keyring.
    ///
    /// # Errors
    /// [`Error::List`].
    pub fn list(&self) -> Result<Vec<Stored>, Error> {
        let stored = |(name, place): (Name, Place)| {
            let label = self.label(&KeyReference::Named(name.clone()));
            Stored { name, place, label }
        };
        Ok(self.names()?.into_iter().map(stored).collect())
    }

    /// The names of all keys, sorted, and where each is stored. Reads no key.
    ///
    /// # Errors
    /// [`Error::List`].
    pub fn names(&self) -> Result<Vec<(Name, Place)>, Error> {
        let failed = |error| Error::List(self.folder.clone(), error);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            let file = file.to_str().unwrap_or_default();
            let places = [Place::File, Place::Keyring].into_iter();
            found.extend(places.filter_map(|place| {
                Some((file.strip_suffix(place.extension())?.parse().ok()?, place))
            }));
        }
        found.sort();
        Ok(found)
    }

    /// Where a key is stored.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn place(&self, name: &Name) -> Result<Place, Error> {
        let mut places = [Place::File, Place::Keyring].into_iter();
        let found = places.find(|place| self.file(name, *place).symlink_metadata().is_ok());
        found.ok_or_else(|| Error::Unknown {
            name: name.clone(),
            folder: self.folder.clone(),
            meant: self.probably_meant(name),
        })
    }

    fn probably_meant(&self, unknown: &Name) -> Option<Name> {
        let known = self.names().unwrap_or_default();
        let meant = nearest(unknown.as_str(), known.iter().map(|(name, _)| name.as_str()))?;
        meant.parse().ok()
    }

    /// The path of a key's file, which need not exist.
    pub fn path(&self, name: &Name) -> PathBuf {
        self.file(name, Place::File)
    }

    /// Whether a reference means the key of this name: by its name, or by the path of its file, which
    /// may be a link.
    pub fn is_meant(&self, name: &Name, key: &KeyReference) -> bool {
        match key {
            KeyReference::Named(named) => named == name,
            KeyReference::File(path) => {
                let own = self.path(name);
                let place = |path: &Path| fs::canonicalize(path).ok();
                *path == own || place(path).is_some_and(|path| place(&own) == Some(path))
            }
        }
    }

    fn file(&self, name: &Name, place: Place) -> PathBuf {
        self.folder.join(format!("{name}{}", place.extension()))
    }

    fn read_marker(&self, name: &Name) -> Result<Label, Error> {
        let path = self.file(name, Place::Keyring);
        let read = || Ok(fs::read_to_string(&path)?.parse::<Label>()?);
        read().map_err(|error| Error::Marker { name: name.clone(), path: path.clone(), error })
    }
}

fn of_keyring(name: &Name, error: keyring::Error) -> Error {
    Error::Keyring { name: name.clone(), error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_seal::generate_key;

    fn named(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_kept_once_and_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::in_folder(folder.path());
        assert!(store.list().unwrap().is_empty());
        let key = generate_key().unwrap();
        store.add(&named("home"), &key, Place::File).unwrap();
        store.add(&named("a"), &key, Place::File).unwrap();
        let again = store.read(&KeyReference::Named(named("home"))).unwrap();
        assert_eq!(*again.to_text(), *key.to_text());
        let names: Vec<Name> = store.list().unwrap().into_iter().map(|key| key.name).collect();
        assert_eq!(names, [named("a"), named("home")]);
        let other = generate_key().unwrap();
        assert!(matches!(store.add(&named("home"), &other, Place::File), Err(Error::Exists(_))));
        let again = store.read(&KeyReference::Named(named("home"))).unwrap();
        assert_eq!(*again.to_text(), *key.to_text());
        store.remove(&named("home")).unwrap();
        assert!(matches!(store.remove(&named("home")), Err(Error::Unknown { .. })));
        let gone = store.read(&KeyReference::Named(named("home")));
        assert!(matches!(gone, Err(Error::Unknown { .. })));
    }

    #[test]
    fn an_unknown_key_is_met_with_the_likely_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::in_folder(folder.path());
        store.add(&named("laptop"), &generate_key().unwrap(), Place::File).unwrap();
        for (typed, is_like_it) in [("labtop", true), ("LAPTOP", true), ("phone", false)] {
            let error = store.read(&KeyReference::Named(named(typed))).unwrap_err().to_string();
            assert_eq!(error.contains("(did you mean laptop?)"), is_like_it, "{error}");
            assert!(error.contains("ruroco-client key list"), "{error}");
        }
    }

    #[test]
    fn what_looks_like_a_file_is_one() {
        for text in ["./home", "/k/home", "home.key", "k/home.txt"] {
            assert_eq!(text.parse(), Ok(KeyReference::File(text.into())), "{text}");
        }
        assert_eq!("home".parse(), Ok(KeyReference::Named(named("home"))));
        assert!("".parse::<KeyReference>().is_err());
    }

    #[test]
    fn what_the_keyring_has_is_listed_without_asking_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::in_folder(folder.path());
        let key = generate_key().unwrap();
        store.add(&named("b"), &key, Place::File).unwrap();
        fs::write(store.file(&named("a"), Place::Keyring), key.label().to_string()).unwrap();
        fs::write(store.file(&named("c"), Place::Keyring), "damaged").unwrap();
        let [a, b, c] = store.list().unwrap().try_into().unwrap();
        assert_eq!((a.place, b.place, c.place), (Place::Keyring, Place::File, Place::Keyring));
        assert_eq!((a.label.unwrap(), b.label.unwrap()), (key.label(), key.label()));
        assert!(matches!(c.label, Err(Error::Marker { .. })));
        let taken = store.add(&named("a"), &key, Place::File);
        assert!(matches!(taken, Err(Error::Exists(_))), "no name stands for two keys");
    }
}
