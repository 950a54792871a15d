//! `ruroco key`: the keys of this host, from their creation to their end.
//!
//! A key is a file in `keys_dir`. Its rules are in config.toml, and commands.toml may name it. Each action
//! makes its changes in all of them, and then reloads the daemons.

mod add;
mod list;
mod mentions;
mod reload;
mod rename;
mod revoke;

use std::{
    fmt::Display,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ruroco_commands::commands;
use ruroco_config::{Config, Source, key_directory};
use ruroco_files::toml_file::nearest;
use ruroco_gate::status::{self, Status};
use ruroco_keys::{name::Name, named_key::can_be_a_name};
use ruroco_messages::problems::Problems;
use ruroco_trust::private_directory;
use rustix::fs::{FlockOperation, flock};

use super::{completion, health::is_away};

/// What to do with keys.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
    /// File with the commands
    #[arg(long, global = true, value_name = "PATH", default_value = commands::DEFAULT_PATH)]
    commands: PathBuf,
}

#[derive(Subcommand)]
enum Action {
    /// Create a key for a client, reload the daemons and, on a terminal, show the invitation
    ///
    /// The daemons accept the key from then on. The invitation contains the key, so it is shown only on a
    /// terminal; `ruroco invite` shows it again. Run this as root.
    Add(add::Options),
    /// Show the keys: when each was last used, what it may request, and its rules
    ///
    /// The time of the last use is that of the last command that ran, from the audit trail, which records keys by
    /// name. If the files have errors, the daemons may have other keys and rules: then exits with 1. Run this as root.
    List {
        /// Print JSON: one array on one line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key: delete its file and its rules, and reload the daemons
    ///
    /// From then on, the host rejects knocks with the key, and the leases and flows of the key end. Commands that it
    /// has started continue, and so do TCP sessions without --cut. A revoked key cannot be restored: create a new one for
    /// the client. If this was interrupted, run it again. Run this as root.
    ///
    /// With --cut, TCP sessions end of all addresses for which the key has opened the door, as far as the audit trail goes
    /// back. The kernel does not know which key opened a session, so sessions of other keys at the same address end, too.
    Revoke {
        /// Name of the key
        #[arg(value_name = "KEY", add = completion::keys())]
        key: String,
        /// Also end TCP sessions through doors that the key may have opened
        #[arg(long)]
        cut: bool,
    },
    /// Give a key another name, in all files, and reload the daemons
    ///
    /// Clients need no change. Entries in the audit trail keep the old name. Run this as root.
    Rename {
        /// Name of the key
        #[arg(value_name = "KEY", add = completion::keys())]
        key: String,
        /// New name
        #[arg(value_name = "NEW")]
        new: String,
    },
}

/// Does what the command line says.
///
/// # Errors
/// What could not be done. The message says what has changed.
pub(crate) fn run(config: &Path, options: Options) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    let host = Host::read(config, &options.commands)?;
    if let Action::List { json } = options.action {
        return list::run(&host, json, out);
    }
    let _lock = host.lock()?;
    // What has changed until the lock was free.
    let host = Host::read(config, &options.commands)?;
    match options.action {
        Action::Add(options) => add::run(&host, options, out),
        Action::List { .. } => Ok(()),
        Action::Revoke { key, cut } => revoke::run(&host, &key, cut, out),
        Action::Rename { key, new } => rename::run(&host, &key, &new, out),
    }
}

/// The files of this host.
struct Host {
    config: Config,
    commands: PathBuf,
}

impl Host {
    /// As far as config.toml can be read: a mistake elsewhere in it must not keep a key from being revoked.
    fn read(config: &Path, commands: &Path) -> anyhow::Result<Self> {
        let checked = Config::read(config);
        let said = checked.problems().to_string();
        match Problems::default().good_of(checked) {
            Some(config) => Ok(Self { config, commands: commands.to_owned() }),
            None => bail!("{said}"),
        }
    }

    fn key_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        key_file(&self.config.keys_dir, name)
    }

    /// The same for a name that a key is to get.
    fn new_key_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        new_key_file(&self.config.keys_dir, name)
    }

    /// Whether the running gate has a key of this name, as after an action that was interrupted before its reload.
    fn gate_has(&self, name: &str) -> Answer {
        match self.config.source {
            Source::Xdp => Answer::of(&status::ask(&self.config.socket_dir), name),
            Source::Udp => Answer::Unknown,
        }
    }

    /// Waits until no other `ruroco key` changes the files. Other users cannot enter the directory of the keys, so
    /// they cannot hold this lock.
    fn lock(&self) -> anyhow::Result<File> {
        let dir = &self.config.keys_dir;
        private_directory::prepare(dir, 0o700)?;
        let failed = || format!("cannot lock {}", dir.display());
        let lock = File::open(dir).with_context(failed)?;
        flock(&lock, FlockOperation::LockExclusive).with_context(failed)?;
        Ok(lock)
    }

    /// That there is no such key, with the name that was probably meant.
    fn unknown(&self, name: &str) -> anyhow::Error {
        let dir = &self.config.keys_dir;
        let files = key_directory::owners(dir).unwrap_or_default();
        let names: Vec<_> =
            files.iter().filter_map(|(path, _)| path.file_stem()?.to_str()).collect();
        let meant = nearest(name, names.into_iter());
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        anyhow::anyhow!("there is no key {name} in {}{meant}", dir.display())
    }
}

/// Whether a daemon has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Unknown,
}

impl Answer {
    /// A gate that does not run reads the keys when it starts.
    fn of(status: &anyhow::Result<Status>, name: &str) -> Self {
        match status {
            Ok(status) if status.keys.iter().any(|key| key.name == name) => Self::Yes,
            Ok(_) => Self::No,
            Err(error) if is_away(error) => Self::No,
            Err(_) => Self::Unknown,
        }
    }
}

/// Where the key of this name is in a directory of keys.
///
/// # Errors
/// If no key can have this name.
pub(super) fn key_file(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = dir.join(format!("{name}.key"));
    if path.parent() != Some(dir) || name.is_empty() || !can_be_a_name(name) {
        return Err(not_a_name(name));
    }
    Ok(path)
}

/// The same for a name that a key is to get. It can be a name on the client too, and a word in a shell.
///
/// # Errors
/// If no new key can have this name.
pub(super) fn new_key_file(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let name: Name = name.parse()?;
    key_file(dir, name.as_str())
}

fn not_a_name(name: &str) -> anyhow::Error {
    anyhow::anyhow!("{name:?} is not a valid key name. Use a file name, such as laptop")
}

/// Prints a line. If nothing reads it, the action goes on: a key must not stay in force for that.
fn tell(out: &mut impl Write, line: impl Display) {
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn a_gate_that_runs_knows_its_keys_and_a_gate_that_does_not_has_none() {
        let status = || crate::report::tests::status();
        let error = |kind: ErrorKind| Err(io::Error::from(kind).into());
        for (status, name, expected) in [
            (Ok(status()), "laptop", Answer::Yes),
            (Ok(status()), "lap", Answer::No),
            (error(ErrorKind::ConnectionRefused), "laptop", Answer::No),
            (error(ErrorKind::NotFound), "laptop", Answer::No),
            (error(ErrorKind::PermissionDenied), "laptop", Answer::Unknown),
        ] {
            assert_eq!(Answer::of(&status, name), expected, "{status:?}");
        }
    }

    #[test]
    fn a_new_name_needs_no_quotes_and_an_old_one_may() {
        let dir = Path::new("/keys");
        for name in ["my phone", "$HOME", "", ".phone", "a/b", "-x", "phone.key"] {
            assert!(new_key_file(dir, name).is_err(), "{name}");
        }
        assert_eq!(new_key_file(dir, "phone-2").unwrap(), Path::new("/keys/phone-2.key"));
        assert_eq!(key_file(dir, "my phone").unwrap(), Path::new("/keys/my phone.key"));
    }
}
