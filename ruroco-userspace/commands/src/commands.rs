//! The commands that knocks may request, as the operator approved them in `commands.toml`.
//!
//! This is the checked, immutable form; [`command_file`](super::command_file) creates it from the text.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ruroco_common::{command::CommandHash, datagram::KeyId};

use crate::{notify::Notify, task::Task};

/// Where `commands.toml` is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/ruroco/commands.toml";

/// Where commands look for programs, unless their `env` says otherwise.
pub const SAFE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All commands by the hash that an order names them by, and the program that tells people about events.
#[derive(Debug)]
pub struct Commands {
    by_hash: BTreeMap<CommandHash, Arc<Command>>,
    notify: Option<Arc<Notify>>,
}

/// One command with everything that its runs need.
#[derive(Debug)]
pub struct Command {
    /// What people call it; clients send its hash.
    pub name: String,
    /// What it does.
    pub task: Task,
    /// The uid to run it as, if not the commander's own.
    pub uid: Option<u32>,
    /// The gid to run it as, if not the commander's own.
    pub gid: Option<u32>,
    /// How long a run may take before it is ended.
    pub timeout: Duration,
    /// The directory it starts in.
    pub cwd: PathBuf,
    /// The variables of its environment, in addition to those that every command gets.
    pub env: BTreeMap<String, String>,
    /// The only keys that may call it; `None` lets every key do so.
    pub keys: Option<BTreeSet<KeyId>>,
}

impl Command {
    /// Whether the key with this id may call it.
    pub fn allows(&self, key: KeyId) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.contains(&key))
    }
}

impl Commands {
    /// The same commands with this program for events.
    #[must_use]
    pub fn with_notify(self, notify: Option<Notify>) -> Self {
        Self { notify: notify.map(Arc::new), ..self }
    }

    /// The program that tells people about events, if there is one.
    pub fn notify(&self) -> Option<&Arc<Notify>> {
        self.notify.as_ref()
    }

    /// The command with this hash.
    pub fn get(&self, hash: CommandHash) -> Option<&Arc<Command>> {
        self.by_hash.get(&hash)
    }

    /// The names of those that the key with this id may call, sorted by hash.
    pub fn allowed(&self, key: KeyId) -> impl Iterator<Item = &str> {
        let allowed = self.by_hash.values().filter(move |command| command.allows(key));
        allowed.map(|command| command.name.as_str())
    }

    /// The commands' names, sorted by hash.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_hash.values().map(|command| command.name.as_str())
    }
}

impl FromIterator<Command> for Commands {
    /// The names' hashes must have been found to differ, see [`collisions`].
    fn from_iter<I: IntoIterator<Item = Command>>(commands: I) -> Self {
        let by_hash = |command: Command| (CommandHash::of(&command.name), Arc::new(command));
        Self { by_hash: commands.into_iter().map(by_hash).collect(), notify: None }
    }
}

/// The pairs of names, earlier and later, that one hash stands for. An order could not say which of
/// the two it means.
pub fn collisions<N: Copy>(names: impl IntoIterator<Item = (CommandHash, N)>) -> Vec<(N, N)> {
    let mut seen = BTreeMap::new();
    let pair = |(hash, name)| seen.insert(hash, name).map(|earlier| (earlier, name));
    names.into_iter().filter_map(pair).collect()
}

#[cfg(test)]
use crate::task::Program;

#[cfg(test)]
impl Command {
    /// A command that does nothing.
    fn example(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            task: Task::new(
                Vec::new(),
                Some(Program { path: "/bin/true".to_owned(), arguments: Vec::new() }),
            )
            .unwrap(),
            uid: None,
            gid: None,
            timeout: Duration::from_secs(30),
            cwd: "/".into(),
            env: BTreeMap::new(),
            keys: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_the_hash_of_its_name() {
        let commands = Commands::from_iter([Command::example("open"), Command::example("close")]);
        assert_eq!(commands.get(CommandHash::of("open")).unwrap().name, "open");
        assert!(commands.get(CommandHash::of("Open")).is_none());
    }

    #[test]
    fn two_names_with_one_hash_are_found() {
        let [a, b] = [1, 2].map(|byte| CommandHash::from_bytes([byte; 8]));
        assert_eq!(collisions([(a, "x"), (b, "y")]), []);
        assert_eq!(collisions([(a, "x"), (b, "y"), (a, "z"), (b, "w")]), [("x", "z"), ("y", "w")]);
    }
}
