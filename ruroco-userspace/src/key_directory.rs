//! The keys of a host: every `NAME.key` in `config_dir`. The stem names the key in logs, rules and
//! status.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use ruroco_common::{datagram::KeyId, maps::MAX_KEYS};

use crate::{
    config::Config,
    key::{Cipher, FileError, Key},
    toml_file,
};

/// What the names of credentials that are keys begin with: systemd names the files of a directory
/// so with `LoadCredential=keys:DIRECTORY` (systemd.exec(5)).
pub const CREDENTIALS: &str = "keys_";

/// A directory of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be listed.
    #[error("could not list the keys in {0}: {1}")]
    List(PathBuf, io::Error),
    /// One of the keys cannot be used.
    #[error(transparent)]
    Key(#[from] FileError),
    /// A file name that could not stand in a log line.
    #[error("the name of {0:?} is not UTF-8 or has control characters: rename it")]
    Name(PathBuf),
    /// Two files with the same key id.
    #[error("{0} and {1} have the same key id: remove one of them")]
    Duplicate(PathBuf, PathBuf),
    /// No keys: nobody could ever knock.
    #[error(
        "there is no key in {0}: make one with `ruroco-client gen --out laptop.key` and put it there"
    )]
    None(PathBuf),
    /// More than the gate has room for.
    #[error("there are more than {MAX_KEYS} keys in {0}: remove those that nobody uses")]
    TooMany(PathBuf),
}

/// A key and the name it goes by.
#[derive(Clone, Debug)]
pub struct NamedKey {
    /// The stem of the file's name.
    pub name: String,
    /// The key.
    pub key: Key,
}

/// Whether a key can go by this name: it is to stand in a line, between other things.
pub fn can_be_a_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

/// Reads all keys that this configuration is about; `also_allowed` as for [`read`].
///
/// # Errors
/// [`Error`], or a configuration that does not go with these keys.
pub fn read_configured(
    config: &Config,
    also_allowed: Option<u32>,
) -> anyhow::Result<Vec<NamedKey>> {
    let keys = read(&config.config_dir, also_allowed)?;
    check_configured(config, &keys)?;
    Ok(keys)
}

/// Makes sure that a configuration goes with these keys, which are all there are.
///
/// # Errors
/// [`toml_file::Error`] with the line of what does not.
pub fn check_configured(config: &Config, keys: &[NamedKey]) -> Result<(), toml_file::Error> {
    let names: Vec<&str> = keys.iter().map(|named| named.name.as_str()).collect();
    config.check_key_names(&names)?;
    let unchecked = keys.iter().filter(|named| named.key.cipher != Cipher::ChaCha20Poly1305);
    config.check_appearance(unchecked.map(|named| named.name.as_str()))
}

/// Reads all keys of a directory, sorted by name; `also_allowed` is a uid that may own key files
/// beside root and this process's user. Symbolic links are followed; files that do not end in
/// `.key` are not looked at.
///
/// # Errors
/// [`Error`]: a key that cannot be used is not skipped.
pub fn read(dir: &Path, also_allowed: Option<u32>) -> Result<Vec<NamedKey>, Error> {
    read_all(dir, "", |path| Key::read(path, also_allowed))
}

/// Reads the keys that systemd has passed to this process in a directory of
/// [credentials](CREDENTIALS), sorted by name. Other credentials are not looked at.
///
/// # Errors
/// As for [`read`]: [`Error::None`] if there is none.
pub fn read_credentials(dir: &Path) -> Result<Vec<NamedKey>, Error> {
    read_all(dir, CREDENTIALS, Key::read_credential)
}

/// Whether [`read_credentials`] would find something, be it an error.
pub fn has_credentials(dir: &Path) -> bool {
    list(dir, CREDENTIALS).map_or(true, |paths| !paths.is_empty())
}

fn read_all(
    dir: &Path,
    prefix: &str,
    read: impl Fn(&Path) -> Result<Key, FileError>,
) -> Result<Vec<NamedKey>, Error> {
    let mut paths: BTreeMap<KeyId, PathBuf> = BTreeMap::new();
    let mut keys = Vec::new();
    for path in list(dir, prefix)? {
        let key = read(&path)?;
        let name = path.file_stem().and_then(|stem| stem.to_str()?.strip_prefix(prefix));
        let Some(name) = name.filter(|name| can_be_a_name(name)) else {
            return Err(Error::Name(path));
        };
        let name = name.to_owned();
        if let Some(other) = paths.insert(key.id, path.clone()) {
            return Err(Error::Duplicate(other, path));
        }
        keys.push(NamedKey { name, key });
    }
    match u32::try_from(keys.len()) {
        Ok(0) => Err(Error::None(dir.to_owned())),
        Ok(1..=MAX_KEYS) => Ok(keys),
        _ => Err(Error::TooMany(dir.to_owned())),
    }
}

fn list(dir: &Path, prefix: &str) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| Error::List(dir.to_owned(), source))?;
    let is_one = |path: &PathBuf| {
        let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
        name.starts_with(prefix.as_bytes())
            && path.extension().is_some_and(|extension| extension == "key")
    };
    let mut paths: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(is_one).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const A: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    const B: &str = "chacha20poly1305:BAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        dir
    }

    #[test]
    fn keys_go_by_the_stem_of_their_file() {
        let dir = directory(&[("b.key", B), ("a.key", A), ("notes.txt", "x"), (".key", "x")]);
        let names: Vec<_> =
            read(dir.path(), None).unwrap().into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn of_credentials_those_are_keys_that_are_named_so() {
        let dir =
            directory(&[("keys_b.key", B), ("keys_a.key", A), ("keys_x.toml", "x"), ("c.key", B)]);
        let names: Vec<_> =
            read_credentials(dir.path()).unwrap().into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["a", "b"]);
        for (name, refused) in [("keys_.key", true), ("keys", false), ("config.toml", false)] {
            let error = read_credentials(directory(&[(name, A)]).path()).unwrap_err();
            assert_eq!(matches!(error, Error::Name(_)), refused, "{error}");
            assert_eq!(matches!(error, Error::None(_)), !refused, "{error}");
        }
    }

    #[test]
    fn one_key_id_stands_for_one_key() {
        let bare = A.trim_start_matches("chacha20poly1305:");
        let dir = directory(&[("a.key", A), ("b.key", bare)]);
        assert!(matches!(read(dir.path(), None), Err(Error::Duplicate(..))));
    }

    #[test]
    fn a_bad_key_is_an_error_and_not_skipped() {
        let dir = directory(&[("a.key", A), ("b.key", "nonsense")]);
        let message = read(dir.path(), None).unwrap_err().to_string();
        assert!(message.contains("b.key:1: not a key"), "{message}");
        let whole = format!("{:#}", anyhow::Error::new(read(dir.path(), None).unwrap_err()));
        assert_eq!(whole, message, "said once");
        assert!(!message.contains("nonsense"));
    }

    #[test]
    fn no_keys_are_an_error() {
        assert!(matches!(read(directory(&[]).path(), None), Err(Error::None(_))));
    }
}
