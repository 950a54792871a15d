//! The client's folder, which contains all files of the user.
//!
//! | file | what |
//! |---|---|
//! | `client.toml` | the hosts ([`super::profiles`]) |
//! | `keys/` | the keys ([`super::key_store`]) |
//! | `counter` | the last counter ([`super::counter`]); the same file as upstream ruroco's |
//! | `client.lock` | locked while the counter changes; the same file as upstream ruroco's |
//! | `leases.json` | what earlier knocks opened, and until when ([`super::lease`]) |
//! | `changes.lock` | locked while hosts or keys change, even while a keyring prompts the user |

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
    lease::file::LeaseFile,
    profiles::ProfilesFile,
};

/// A client's folder, which may not exist yet.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// The location of the folder is unknown.
#[derive(Debug, thiserror::Error)]
pub enum NoFolder {
    /// The user has no home directory.
    #[error(
        "this user has no home directory. Set {FOLDER_VARIABLE} to a folder for the client's files"
    )]
    NoHome,
    /// The relative path in the variable cannot be made absolute.
    #[error(
        "cannot resolve the relative path {0} in {FOLDER_VARIABLE}: {1}. Set it to an absolute path"
    )]
    Nowhere(PathBuf, io::Error),
}

impl Folder {
    /// `$RUROCO_CONF_DIR` or, if that is not set or empty, `ruroco` in the platform's configuration
    /// directory.
    ///
    /// # Errors
    /// [`NoFolder`].
    pub fn of_user() -> Result<Self, NoFolder> {
        Self::named(std::env::var_os(FOLDER_VARIABLE))
    }

    fn named(folder: Option<OsString>) -> Result<Self, NoFolder> {
        match folder.filter(|folder| !folder.is_empty()).map(PathBuf::from) {
            Some(folder) => {
                let absolute = std::path::absolute(&folder);
                absolute.map(Self).map_err(|error| NoFolder::Nowhere(folder, error))
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

    /// The path of the folder.
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

    /// The leases.
    pub fn leases(&self) -> LeaseFile {
        LeaseFile::in_folder(&self.0)
    }

    /// The counter. The folder is created if it does not exist.
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
