//! The client's folder: where it finds all that belongs to the person who uses it.
//!
//! | file | what |
//! |---|---|
//! | `client.toml` | the hosts ([`super::profiles`]) |
//! | `keys/` | the keys ([`super::key_store`]) |
//! | `counter` | the last counter ([`super::counter`]); the same file as upstream ruroco's |
//! | `client.lock` | held for the moments in which the counter changes; the same file as upstream ruroco's |
//! | `changes.lock` | held while hosts or keys change, even while a keyring prompts its user |

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use directories::ProjectDirs;

use super::{
    FOLDER_VARIABLE,
    counter::{self, CounterFile},
    key_store::KeyStore,
    profiles::ProfilesFile,
};

/// A client's folder. It need not be there yet.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// There is no place for a folder.
#[derive(Debug, thiserror::Error)]
pub enum NoFolder {
    /// There is no home directory.
    #[error(
        "this user has no home directory: set {FOLDER_VARIABLE} to a folder for the client's files"
    )]
    NoHome,
    /// A relative path leads nowhere.
    #[error(
        "could not find out where {0} is, which {FOLDER_VARIABLE} names: {1}; write a whole path"
    )]
    Nowhere(PathBuf, io::Error),
}

impl Folder {
    /// `$RUROCO_CONF_DIR`, or `ruroco` in the platform's place for configuration if that is not set or
    /// empty.
    ///
    /// # Errors
    /// [`NoFolder`].
    pub fn of_user() -> Result<Self, NoFolder> {
        Self::named(std::env::var_os(FOLDER_VARIABLE))
    }

    fn named(folder: Option<OsString>) -> Result<Self, NoFolder> {
        match folder.filter(|folder| !folder.is_empty()).map(PathBuf::from) {
            Some(folder) => {
                let whole = std::path::absolute(&folder);
                whole.map(Self).map_err(|error| NoFolder::Nowhere(folder, error))
            }
            None => {
                let platform = ProjectDirs::from("", "", "ruroco").ok_or(NoFolder::NoHome)?;
                Ok(Self(platform.config_dir().to_owned()))
            }
        }
    }

    /// The folder at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The hosts.
    pub fn profiles(&self) -> ProfilesFile {
        ProfilesFile::in_folder(&self.0)
    }

    /// The keys.
    pub fn keys(&self) -> KeyStore {
        KeyStore::in_folder(&self.0)
    }

    /// The counter; the folder is made if it is missing.
    ///
    /// # Errors
    /// [`counter::Error::Directory`].
    pub fn counter(&self) -> Result<CounterFile, counter::Error> {
        CounterFile::in_directory(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(folder: Option<&str>) -> PathBuf {
        Folder::named(folder.map(OsString::from)).unwrap().0
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        assert_eq!(named(Some("")), named(None));
    }

    #[test]
    fn a_relative_folder_has_a_whole_path() {
        assert_eq!(named(Some("a")), std::env::current_dir().unwrap().join("a"));
    }
}
