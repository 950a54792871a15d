//! The operating system's keyring: the Keychain of macOS, the Credential Manager of Windows, the
//! Secret Service of a Linux desktop.
//!
//! It is reached only when one of its keys is asked for: a knock with a key in a file costs nothing
//! of this.
//!
//! Rationale: decision 0021.

use keyring::Entry;
use ruroco_keys::{
    key::{self, Key},
    name::Name,
};
use zeroize::Zeroizing;

/// What its entries for us are filed under, beside the key's name.
pub const SERVICE: &str = "ruroco";

/// Something that could not be done with the keyring.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none, or it does not answer.
    #[error(
        "this system's keyring cannot be reached ({0}): log in to a desktop that has one, or keep \
         the key in a file"
    )]
    Unreachable(String),
    /// It has no such entry.
    #[error("this system's keyring has no entry for it (service `{SERVICE}`, user `{0}`)")]
    Missing(Name),
    /// It has such an entry, which nobody here knows of.
    #[error(
        "this system's keyring has an entry for it that is not this folder's (service `{SERVICE}`, \
         user `{0}`): choose another name, or remove that entry with the system's own program"
    )]
    Occupied(Name),
    /// It is no key.
    #[error("what this system's keyring has for it is damaged: {0}")]
    Content(key::ParseError),
    /// It refused.
    #[error("this system's keyring refused: {0}")]
    Refused(String),
}

impl Error {
    fn of(error: &keyring::Error, name: &Name) -> Self {
        if matches!(error, keyring::Error::NoEntry) {
            return Self::Missing(name.clone());
        }
        // Some hold bytes of the secret, and none shows them.
        Self::Refused(error.to_string())
    }
}

/// The key of this name.
///
/// # Errors
/// [`Error`].
pub(super) fn read(name: &Name) -> Result<Key, Error> {
    let text = entry(name)?.get_password().map_err(|error| Error::of(&error, name))?;
    Key::parse(&Zeroizing::new(text)).map_err(Error::Content)
}

/// Keeps a key under a name that it has no entry for.
///
/// # Errors
/// [`Error`]; nothing has changed then.
pub(super) fn add(name: &Name, key: &Key) -> Result<(), Error> {
    let entry = entry(name)?;
    match entry.get_password().map(Zeroizing::new) {
        Err(keyring::Error::NoEntry) => {}
        Err(error) => return Err(Error::of(&error, name)),
        Ok(_) => return Err(Error::Occupied(name.clone())),
    }
    entry.set_password(&key.to_text()).map_err(|error| Error::of(&error, name))
}

/// Forgets a key; that there was none is no error.
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
