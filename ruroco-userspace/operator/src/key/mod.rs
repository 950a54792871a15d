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
use ruroco_config::{Config, key_directory};
use ruroco_files::toml_file::nearest;
use ruroco_keys::named_key::can_be_a_name;
use ruroco_messages::problems::Problems;
use ruroco_trust::private_directory;
use rustix::fs::{FlockOperation, flock};

use super::completion;

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
    /// Create a key for a client, reload the daemons and show the invitation
    ///
    /// The daemons accept the key from then on. The invitation contains the key, so it is shown only at a
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
    /// From then on, the host rejects knocks with the key. Commands that it has started continue. A revoked key
    /// cannot be restored: create a new one for the client. Run this as root.
    Revoke {
        /// Name of the key
        #[arg(value_name = "KEY", add = completion::keys())]
        key: String,
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
        Action::Revoke { key } => revoke::run(&host, &key, out),
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

    /// The same for a name that a key is to get. A file whose name begins with a dot is easily overlooked.
    fn new_key_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        match name.starts_with('.') {
            true => Err(not_a_name(name)),
            false => self.key_file(name),
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

fn not_a_name(name: &str) -> anyhow::Error {
    anyhow::anyhow!("{name:?} is not a valid key name. Use a file name, such as laptop")
}

/// Prints a line. If nothing reads it, the action goes on: a key must not stay in force for that.
fn tell(out: &mut impl Write, line: impl Display) {
    let _ = writeln!(out, "{line}");
}
