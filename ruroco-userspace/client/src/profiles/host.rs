//! One host of `client.toml`.

use std::{net::IpAddr, num::NonZero};

use ruroco_files::toml_file::nearest;
use ruroco_invite::{
    destination::{Destination, Family},
    door::Doors,
};
use ruroco_keys::command_name::DEFAULT_COMMAND;

use crate::key_store::KeyReference;

/// A host: an entry in `client.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where knocks go.
    pub address: Destination,
    /// Which of its addresses may be used.
    pub family: Family,
    /// Whether to send a knock to every address. The command runs once for each knock that arrives.
    pub all_addresses: bool,
    /// The key to knock with.
    pub key: KeyReference,
    /// The default command.
    pub command: String,
    /// The other commands, each once and without [`Host::command`], so that hosts with the same commands
    /// are equal. Use [`Host::with_commands`] to set them.
    pub commands: Vec<String>,
    /// The commands that require a confirmation before they are sent.
    pub confirm: Vec<String>,
    /// The TCP port that the default command opens, if any.
    pub wait: Option<NonZero<u16>>,
    /// The doors that the commands open and close.
    pub doors: Doors,
    /// The command line that connects to the host, if it is not the usual one. [`Host::connecting`] returns the one
    /// to use.
    pub connect: Option<String>,
    /// The address to run the command for, if it is not the address that the knock comes from.
    pub ip: Option<IpAddr>,
    /// Whether [`Host::ip`] may differ from the address that the knock comes from.
    pub permissive: bool,
}

impl Host {
    /// A host with this address and key, and the defaults for everything else.
    pub fn new(address: Destination, key: KeyReference) -> Self {
        Self {
            address,
            family: Family::Any,
            all_addresses: false,
            key,
            command: DEFAULT_COMMAND.to_owned(),
            commands: Vec::new(),
            confirm: Vec::new(),
            wait: None,
            doors: Doors::new(),
            connect: None,
            ip: None,
            permissive: false,
        }
    }

    /// The same host with these commands, of which the first is the default one. Without any, the default is
    /// [`DEFAULT_COMMAND`].
    pub fn with_commands(self, commands: impl IntoIterator<Item = String>) -> Self {
        let mut commands = commands.into_iter();
        let command = commands.next().unwrap_or_else(|| DEFAULT_COMMAND.to_owned());
        let mut others: Vec<String> = Vec::new();
        for other in commands {
            if other != command && !others.contains(&other) {
                others.push(other);
            }
        }
        Self { command, commands: others, ..self }
    }

    /// A listed command with a name similar to this one, if this one is not listed.
    pub fn probably_meant(&self, command: &str) -> Option<&str> {
        let is_listed = self.all_commands().any(|listed| listed == command);
        if is_listed { None } else { nearest(command, self.all_commands()) }
    }

    /// All commands, the default one first.
    pub fn all_commands(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.command).chain(&self.commands).map(String::as_str)
    }
}
