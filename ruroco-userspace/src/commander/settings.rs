//! All that the commander reads from files, as one: a start takes it, and a reload takes it anew or
//! not at all.

use anyhow::Context;

use super::{arguments::Arguments, command_file, commands::Commands, keys::Keys};
use crate::{
    config::{Config, Fixed},
    users,
};

/// What the socket was made for.
const FIXED: [Fixed; 3] = [Fixed::SocketDir, Fixed::AuditDir, Fixed::SocketUser];

/// The checked content of all files.
#[derive(Debug)]
pub struct Settings {
    /// What gate, server and commander share.
    pub config: Config,
    /// The uid of `socket_user`.
    pub server: u32,
    /// The keys, without their secrets.
    pub keys: Keys,
    /// The commands.
    pub commands: Commands,
}

impl Settings {
    /// Reads and checks everything there is to check.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        Self::of(Config::read(&arguments.config)?, arguments)
    }

    /// The same for a commander that runs with another configuration.
    ///
    /// # Errors
    /// As [`Settings::read`], or if something has changed that takes a restart.
    pub fn read_anew(arguments: &Arguments, running: &Config) -> anyhow::Result<Self> {
        let config = Config::read(&arguments.config)?;
        config.check_unchanged(running, &FIXED)?;
        Self::of(config, arguments)
    }

    fn of(config: Config, arguments: &Arguments) -> anyhow::Result<Self> {
        let server = users::find(&config.socket_user)
            .with_context(|| format!("socket_user in {}", arguments.config.display()))?;
        let server = server.uid.as_raw();
        let keys = Keys::read(&config, server)?;
        let commands = command_file::read(&arguments.commands, &keys)?;
        Ok(Self { config, server, keys, commands })
    }

    /// The commands' names, for a line of the log.
    pub fn command_names(&self) -> String {
        self.commands.names().collect::<Vec<_>>().join(" ")
    }
}
