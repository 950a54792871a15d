//! All rules for the commander: everything that its operator has approved, checked as a whole. A start needs
//! it to be valid. A reload replaces all of it or nothing.

use std::{collections::BTreeSet, mem, path::Path};

use ruroco_config::{Config, Daemon, Place, key_directory::Occasion, settings::Settings};
use ruroco_files::toml_file::nearest;
use ruroco_messages::problems::{Checked, Problem, Problems};

use super::{
    command_file::{self, Known},
    commands::Commands,
    keys::Keys,
};

/// Both files and the keys.
#[derive(Debug)]
pub struct Approved {
    /// The content of `config.toml`.
    pub config: Config,
    /// The uid of `server_user`.
    pub server_uid: u32,
    /// Names and ids of the keys.
    pub keys: Keys,
    /// The content of `commands.toml`.
    pub commands: Commands,
}

impl Approved {
    /// Reads all of it. An error in one file hides no error in the other.
    pub fn read(config: &Path, commands: &Path, occasion: Occasion) -> Checked<Self> {
        Self::of(Settings::read(config, occasion), commands)
    }

    /// The same for a commander that runs with this configuration, for the server's user with this uid:
    /// what takes a restart must not have changed.
    pub fn read_anew(running: &Config, server_uid: u32, commands: &Path) -> Checked<Self> {
        let settings = Settings::read_anew(running, server_uid, Daemon::Commander);
        Self::of(settings, commands)
    }

    fn of(settings: Checked<Settings>, commands: &Path) -> Checked<Self> {
        let mut problems = Problems::default();
        let settings = problems.good_of(settings);
        let settings = settings.map(|mut settings| {
            let keys = Keys::of(mem::take(&mut settings.keys));
            (settings.config, settings.server_uid, keys)
        });
        let known = settings.as_ref().map(|(config, _, keys)| Known { keys, config });
        let commands = problems.good_of(command_file::read(commands, known));
        let (Some((config, server_uid, keys)), Some(commands)) = (settings, commands) else {
            return problems.of_nothing();
        };
        problems.extend(commands_that_are_not_there(&config, &commands));
        problems.of(Self { config, server_uid, keys, commands })
    }

    /// The commands' names, for a line of the log.
    pub fn command_names(&self) -> String {
        self.commands.names().collect::<Vec<_>>().join(" ")
    }
}

/// A key that may ask for what there is not is no danger, but hardly what was meant.
fn commands_that_are_not_there(config: &Config, commands: &Commands) -> Vec<Problem> {
    let named = config.rules().flat_map(|(key, rules)| {
        rules.commands.iter().flatten().map(move |command| (key, command.as_str()))
    });
    let known: BTreeSet<&str> = commands.names().collect();
    let missing = named.filter(|(_, command)| !known.contains(command));
    let problem = |(key, command): (&str, &str)| {
        let mut message =
            format!("`commands` of {key} contains `{command}`, which is not in commands.toml");
        if let Some(meant) = nearest(command, commands.names()) {
            message = format!("{message}; did you mean `{meant}`?");
        }
        config.problem(Place::Key(key), message).as_warning()
    };
    missing.map(problem).collect()
}
