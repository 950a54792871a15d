//! The operating system's keyring: the Keychain of macOS, the Credential Manager of Windows, the
//! Secret Service of a Linux desktop.
//!
//! The client uses the keyring only for keys that are stored there.
//!
//! Rationale: decision 0021.

use keyring::Entry;
use ruroco_keys::{
    key::{self, Key},
    name::Name,
};
use zeroize::Zeroizing;

/// The service name of the client's entries in the keyring. The user name of an entry is the key's name.
pub const SERVICE: &str = "ruroco";

/// An operation on the keyring failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no keyring, or it does not respond.
    #[error(
        "cannot reach this system's keyring ({0}). Log in to a desktop session with a keyring, or store the \
         key in a file"
    )]
    Unreachable(String),
    /// The keyring has no such entry.
    #[error("this system's keyring has no entry for this key (service `{SERVICE}`, user `{0}`)")]
    Missing(Name),
    /// The keyring already has such an entry, which does not belong to this folder.
    #[error(
        "this system's keyring already has an entry of this name (service `{SERVICE}`, user `{0}`), which \
         this client did not store. Choose another name, or delete that entry with the system's keyring program"
    )]
    Occupied(Name),
    /// The entry is not a key.
    #[error("the entry in this system's keyring is damaged: {0}")]
    Content(key::ParseError),
    /// The keyring reported an error.
    #[error("this system's keyring reported an error: {0}")]
    Refused(String),
}

impl Error {
    fn of(error: &keyring::Error, name: &Name) -> Self {
        if matches!(error, keyring::Error::NoEntry) {
            return Self::Missing(name.clone());
        }
        // Some of these errors contain bytes of the secret, but no message shows them.
        Self::Refused(error.to_string())
    }
}

/// Reads the key of this name.
///
/// # Errors
/// [`Error`].
pub(super) fn read(name: &Name) -> Result<Key, Error> {
    let text = entry(name)?.get_password().map_err(|error| Error::of(&error, name))?;
    Key::parse(&Zeroizing::new(text)).map_err(Error::Content)
}

/// Stores a key under a name for which the keyring has no entry.
///
/// # Errors
/// [`Error`]; nothing was changed.
pub(super) fn add(name: &Name, key: &Key) -> Result<(), Error> {
    let entry = entry(name)?;
    match entry.get_password().map(Zeroizing::new) {
        Err(keyring::Error::NoEntry) => {}
        Err(error) => return Err(Error::of(&error, name)),
        Ok(_) => return Err(Error::Occupied(name.clone())),
    }
    entry.set_password(&key.to_text()).map_err(|error| Error::of(&error, name))
}

/// Deletes a key. A missing entry is not an error.
///
/// # Errors
/// [`Error`].
pub(super) fn remove(name: &Name) -> Result<(), Error> {
    match entry(name)?.delete_credential() {
        Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
        Err(error) => Err(Error::of(&error, name)),
    }
}

fn entry(name: &Name) -> Result<Entry, Error> {
    if let Err(error) = Entry::store_status() {
        return Err(Error::Unreachable(error.to_string()));
    }
    Entry::new(SERVICE, name.as_str()).map_err(|error| Error::of(&error, name))
}
