//! The keys of a host: every `NAME.key` in `keys_dir`. The stem names the key in logs, rules and
//! status.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use ruroco_common::{datagram::KeyId, maps::MAX_KEYS};
use ruroco_keys::{
    key::{Cipher, Key},
    named_key::{NamedKey, can_be_a_name},
};
use ruroco_messages::problems::{Checked, Problem, Problems, shell_word};
use ruroco_trust::{
    trusted_file,
    trusted_path::{self, Directory, Fault, Found, Leaf, Trust},
};
use rustix::process::geteuid;

use crate::Config;

/// What the names of credentials that are keys begin with: systemd names the files of a directory
/// so with `LoadCredential=keys:DIRECTORY` (systemd.exec(5)).
pub const CREDENTIALS: &str = "keys_";

/// Why keys are read. While a daemon runs, the operator must be able to revoke the only key; at a start, a
/// directory without a key is a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A start: at least one key is required.
    Start,
    /// A reload: without a key, all knocks are rejected, and there is a warning.
    Reload,
}

/// The keys of a directory.
#[derive(Debug, Default)]
pub struct Keys {
    /// Those that can be used, sorted by name.
    pub usable: Vec<NamedKey>,
    /// The names of keys that cannot be used. Each of them has a problem.
    pub unusable: Vec<String>,
}

impl Keys {
    /// All names, including those of unusable keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let usable = self.usable.iter().map(|named| named.name.as_str());
        usable.chain(self.unusable.iter().map(String::as_str))
    }

    /// Makes sure that a configuration goes with these keys.
    pub fn check_configured(&self, config: &Config) -> Problems {
        check_configured(config, &self.names().collect::<Vec<_>>(), &self.usable)
    }
}

/// Reads all keys that this configuration is about, and checks that it goes with them;
/// `also_allowed` as for [`read`].
pub fn read_configured(
    config: &Config,
    also_allowed: Option<u32>,
    occasion: Occasion,
) -> Checked<Keys> {
    read(&config.keys_dir, also_allowed, occasion).and(|keys| keys.check_configured(config))
}

/// Makes sure that a configuration goes with these keys, which are all there are, and have these names.
pub fn check_configured(config: &Config, names: &[&str], keys: &[NamedKey]) -> Problems {
    let mut problems = config.check_key_names(names);
    let unchecked = keys.iter().filter(|named| named.key.cipher != Cipher::ChaCha20Poly1305);
    problems.extend(config.check_appearance(unchecked.map(|named| named.name.as_str())));
    problems
}

/// Reads all keys of a directory, sorted by name. `also_allowed` is a uid that may own key files, in addition
/// to root and this process's user. Symbolic links are followed; directories are ignored. An unusable key is
/// a problem, and is not skipped. A file that was probably meant to be a key causes a warning.
///
/// The directory is opened once, and every file relative to it: only root and this process's user control its
/// names, and no file can be replaced in between.
pub fn read(dir: &Path, also_allowed: Option<u32>, occasion: Occasion) -> Checked<Keys> {
    read_all(dir, "", occasion, |path, leaf| {
        Ok(Key::parse_file(path, &trusted_file::read_secret(path, leaf, also_allowed)?)?)
    })
}

/// Reads the key of this name.
///
/// # Errors
/// If there is no such key, or it cannot be used.
pub fn read_one(dir: &Path, name: &str) -> Result<Key, Problem> {
    let file = format!("{name}.key");
    let path = dir.join(&file);
    match trusted_path::find_directory(dir, Trust::own())?.find(file.as_ref())? {
        Found::Leaf(leaf) => {
            let text = trusted_file::read_secret(&path, &leaf, None)?;
            Ok(Key::parse_file(&path, &text)?)
        }
        Found::Directory(_) => Err(Problem::error(&path, "is a directory")),
    }
}

/// The files of a directory that [`read`] would read, and whom they belong to (a uid).
///
/// # Errors
/// If the directory is not trusted, or may not be listed.
pub fn owners(dir: &Path) -> Result<Vec<(PathBuf, u32)>, Problem> {
    let files = list(dir, "")?.into_iter();
    Ok(files.filter_map(|(path, found)| Some((path, found.ok()?.owner()))).collect())
}

/// Reads the keys that systemd has passed to this process in a directory of [credentials](CREDENTIALS), as
/// [`read`] does. Other credentials are ignored.
pub fn read_credentials(dir: &Path, occasion: Occasion) -> Checked<Keys> {
    read_all(dir, CREDENTIALS, occasion, |path, leaf| {
        Ok(Key::parse_file(path, &trusted_file::read_credential(path, leaf)?)?)
    })
}

/// Whether [`read_credentials`] would find something, be it a problem.
pub fn has_credentials(dir: &Path) -> bool {
    list(dir, CREDENTIALS).map_or(true, |files| !files.is_empty())
}

fn read_all(
    dir: &Path,
    prefix: &str,
    occasion: Occasion,
    read: impl Fn(&Path, &Leaf) -> Result<Key, Problem>,
) -> Checked<Keys> {
    let mut problems = Problems::default();
    let mut paths: BTreeMap<KeyId, PathBuf> = BTreeMap::new();
    let mut keys = Keys::default();
    let directory = trusted_path::find_directory(dir, Trust::own());
    let directory = directory.map_err(|fault| not_listed(dir, fault));
    let Some(directory) = problems.good(directory) else { return problems.of_nothing() };
    let Some(names) = problems.good(names(dir, &directory)) else { return problems.of_nothing() };
    if prefix.is_empty() {
        problems.extend(names.iter().filter_map(|name| probably_meant(dir, name)));
    }
    let files = files(dir, &directory, names, prefix);
    if files.is_empty() {
        problems.add(no_key(dir, occasion));
    }
    if u32::try_from(files.len()).is_ok_and(|count| count > MAX_KEYS) {
        let message =
            format!("the directory contains more than {MAX_KEYS} keys. Remove unused keys");
        problems.add(Problem::error(dir, message));
    }
    for (path, found) in files {
        let Some(name) = name(&path, prefix) else {
            // Escaped: it could not stand in a line.
            problems.add(Problem::error(
                Path::new(&format!("{path:?}")),
                "the file's name is empty, not UTF-8, or contains control, invisible or text-direction characters. \
                Rename it",
            ));
            continue;
        };
        let key = found.map_err(|fault| trusted_file::Error::of_path(&path, fault).into());
        let Some(key) = problems.good(key.and_then(|leaf| read(&path, &leaf))) else {
            keys.unusable.push(name);
            continue;
        };
        if let Some(other) = paths.get(&key.id) {
            let message = format!("has the same key id as {}: remove one of them", other.display());
            problems.add(Problem::error(&path, message));
            keys.unusable.push(name);
            continue;
        }
        paths.insert(key.id, path);
        keys.usable.push(NamedKey { name, key });
    }
    problems.of(keys)
}

fn no_key(dir: &Path, occasion: Occasion) -> Problem {
    let none = "there is no key in this directory";
    let make = "create one with `ruroco key add laptop`";
    match occasion {
        Occasion::Start => Problem::error(dir, format!("{none}: {make}")),
        Occasion::Reload => {
            let message = format!("{none}: every knock is rejected until you add one; {make}");
            Problem::error(dir, message).as_warning()
        }
    }
}

/// The name of the key in this file, if it can be one.
fn name(path: &Path, prefix: &str) -> Option<String> {
    let name = path.file_stem()?.to_str()?.strip_prefix(prefix)?;
    can_be_a_name(name).then(|| name.to_owned())
}

fn not_listed(dir: &Path, fault: Fault) -> Problem {
    match fault.into_io() {
        Ok(error) => Problem::error(dir, format!("the keys in it could not be listed: {error}")),
        Err(fault) => fault.into(),
    }
}

/// The names in a directory, sorted.
fn names(dir: &Path, directory: &Directory) -> Result<Vec<OsString>, Problem> {
    let mut names = directory.names().map_err(|error| {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        // Who is not root gets keys passed.
        let remedy = match is_denied && geteuid().is_root() {
            true => format!("; run: chown root {}", shell_word(dir)),
            false => String::new(),
        };
        Problem::error(dir, format!("the keys in it could not be listed: {error}{remedy}"))
    })?;
    names.sort();
    Ok(names)
}

/// A file of a key, and what its name leads to.
type File = (PathBuf, Result<Leaf, Fault>);

fn list(dir: &Path, prefix: &str) -> Result<Vec<File>, Problem> {
    let directory = trusted_path::find_directory(dir, Trust::own());
    let directory = directory.map_err(|fault| not_listed(dir, fault))?;
    let names = names(dir, &directory)?;
    Ok(files(dir, &directory, names, prefix))
}

fn files(dir: &Path, directory: &Directory, names: Vec<OsString>, prefix: &str) -> Vec<File> {
    let is_key = |name: &OsString| {
        name.as_bytes().starts_with(prefix.as_bytes())
            && Path::new(name).extension().is_some_and(|extension| extension == "key")
            && !is_by_product(name)
    };
    let file = |name: OsString| match directory.find(&name) {
        Ok(Found::Directory(_)) => None,
        Ok(Found::Leaf(leaf)) => Some((dir.join(name), Ok(leaf))),
        Err(fault) => Some((dir.join(name), Err(fault))),
    };
    names.into_iter().filter(is_key).filter_map(file).collect()
}

/// Whether macOS (`._`) or an editor (`.#`) has created the file next to another.
fn is_by_product(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"._") || name.as_bytes().starts_with(b".#")
}

/// What other systems make of the name of a key.
const DISGUISES: [&str; 3] = [".key.txt", ".key.rtf", ".key.pem"];

/// A warning about a file that is not a key by its name, but was probably meant to be one.
fn probably_meant(dir: &Path, name: &OsStr) -> Option<Problem> {
    let path = dir.join(name);
    let warning = |message: String| Some(Problem::error(&path, message).as_warning());
    let lower = name.to_string_lossy().to_lowercase();
    let shown = shell_word(&path);
    if is_by_product(name) {
        return lower.ends_with(".key").then(|| {
            let message = format!("ignored: a temporary file of another program; run: rm {shown}");
            Problem::error(&path, message).as_warning()
        });
    }
    if lower == ".key" {
        return warning(
            "ignored: the name of the key, which is the part before `.key`, is missing. Rename it"
                .to_owned(),
        );
    }
    let mut ends = DISGUISES.into_iter().chain([".key"]);
    let end = ends.find(|end| lower.ends_with(end) && !name.as_bytes().ends_with(b".key"))?;
    let stem = name.to_str()?.get(..lower.len().checked_sub(end.len())?)?;
    let meant = shell_word(&dir.join(format!("{stem}.key")));
    warning(format!(
        "ignored: the name of a key file ends in `.key`. If it is a key, run: mv {shown} {meant}"
    ))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

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

    fn problems(dir: &tempfile::TempDir) -> String {
        read(dir.path(), None, Occasion::Start).or_problems().unwrap_err().to_string()
    }

    #[test]
    fn keys_go_by_the_stem_of_their_file() {
        let others = [("notes.txt", "x"), (".key", "x"), ("c.KEY", "x"), ("key", "x")];
        let dir = directory(&[&[("b.key", B), ("a.key", A)][..], &others].concat());
        fs::create_dir(dir.path().join("d.key")).unwrap();
        let keys = read(dir.path(), None, Occasion::Start).or_problems().unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn files_that_were_meant_as_keys_are_named_and_what_programs_leave_is_ignored() {
        let names =
            ["b.KEY", "c.key.txt", ".key", "._a.key", "notes.txt", "a.key.old", ".DS_Store"];
        let files: Vec<_> =
            names.into_iter().map(|name| (name, "x")).chain([("a.key", A)]).collect();
        let dir = directory(&files);
        std::os::unix::fs::symlink("me@here.1234", dir.path().join(".#a.key")).unwrap();
        let keys = read(dir.path(), None, Occasion::Start);
        let (keys, warnings) = keys.or_all_problems().unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["a"]);
        let warnings = warnings.to_string().replace(dir.path().to_str().unwrap(), "DIR");
        for told in [
            "mv DIR/b.KEY DIR/b.key",
            "mv DIR/c.key.txt DIR/c.key",
            "rm DIR/._a.key",
            "rm 'DIR/.#a.key'",
        ] {
            assert!(warnings.contains(told), "{warnings}");
        }
        assert_eq!(warnings.lines().count(), 5, "{warnings}");
    }

    #[test]
    fn a_fifo_is_a_problem_and_does_not_keep_anybody_waiting() {
        let dir = directory(&[("a.key", A)]);
        let (fifo, mode) = (dir.path().join("x.key"), rustix::fs::Mode::RUSR);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        let message = problems(&dir);
        assert!(message.contains("x.key: it is not a regular file"), "{message}");
    }

    #[test]
    fn of_credentials_those_are_keys_that_are_named_so() {
        let dir =
            directory(&[("keys_b.key", B), ("keys_a.key", A), ("keys_x.toml", "x"), ("c.key", B)]);
        let keys = read_credentials(dir.path(), Occasion::Start).or_problems().unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["a", "b"]);
        let no_name = "the file's name is empty";
        let none = "there is no key in this directory";
        for (name, told) in [("keys_.key", no_name), ("keys", none), ("config.toml", none)] {
            let keys = read_credentials(directory(&[(name, A)]).path(), Occasion::Start);
            let problems = keys.or_problems().unwrap_err().to_string();
            assert!(problems.contains(told), "{problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
    }

    #[test]
    fn one_key_id_stands_for_one_key() {
        let bare = A.trim_start_matches("chacha20poly1305:");
        let message = problems(&directory(&[("a.key", A), ("b.key", bare)]));
        assert!(message.contains("b.key: has the same key id as"), "{message}");
    }

    #[test]
    fn a_bad_key_is_a_problem_and_hides_no_other() {
        let dir =
            directory(&[("a.key", A), ("b.key", "nonsense"), ("c.key", "x:y"), ("d\n.key", A)]);
        let message = problems(&dir);
        assert!(message.contains("b.key:1: not a key"), "{message}");
        assert!(message.contains("c.key:1: a key for an unknown cipher"), "{message}");
        assert!(message.contains("d\\n.key\": the file's name"), "{message}");
        assert_eq!(message.lines().count(), 3, "{message}");
        assert!(!message.contains("nonsense"));
        let mut ignored = Problems::default();
        let keys = ignored.good_of(read(dir.path(), None, Occasion::Start)).unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn no_keys_are_a_problem_at_a_start_and_a_warning_on_a_reload() {
        let dir = directory(&[]);
        assert!(problems(&dir).contains("there is no key in this directory"));
        let reload = read(dir.path(), None, Occasion::Reload);
        let (keys, warnings) = reload.or_all_problems().unwrap();
        assert_eq!(keys.names().count(), 0);
        assert!(warnings.to_string().contains("every knock is rejected"), "{warnings}");
    }
}
