//! The client's folder: where it finds all that belongs to the person who uses it.
//!
//! | file | what |
//! |---|---|
//! | `client.toml` | the hosts ([`super::profiles`]) |
//! | `keys/` | the keys ([`super::key_store`]) |
//! | `counter` | the last counter ([`super::counter`]); the same file as upstream ruroco's |
//! | `client.lock` | held for the moments in which one of these is changed |

use std::path::{Path, PathBuf};

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
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "this user has no home directory: set {FOLDER_VARIABLE} to a folder for the client's files"
)]
pub struct NoHome;

impl Folder {
    /// `$RUROCO_CONF_DIR`, or `ruroco` in the platform's place for configuration.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn of_user() -> Result<Self, NoHome> {
        match std::env::var_os(FOLDER_VARIABLE) {
            Some(folder) => Ok(Self(folder.into())),
            None => {
                let platform = ProjectDirs::from("", "", "ruroco").ok_or(NoHome)?;
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
