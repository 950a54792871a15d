//! One host of `client.toml`.

use std::{net::IpAddr, num::NonZero};

use ruroco_files::toml_file::nearest;
use ruroco_invite::destination::{Destination, Family};
use ruroco_keys::command_name::DEFAULT_COMMAND;

use crate::key_store::KeyReference;

/// A host to knock at, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where datagrams go.
    pub address: Destination,
    /// Which of its addresses may be used.
    pub family: Family,
    /// Whether to knock at every one of them; the command runs once for each that is reached.
    pub all_addresses: bool,
    /// The key that the host knows.
    pub key: KeyReference,
    /// What is asked for where no command is named.
    pub command: String,
    /// What else the host is known to do; [`Host::that_does`] keeps [`Host::command`] out of it, and
    /// each in it once, so that hosts that do the same are equal.
    pub commands: Vec<String>,
    /// Those of all commands that a person confirms before they are sent.
    pub confirm: Vec<String>,
    /// The TCP port that opens, if one does.
    pub wait: Option<NonZero<u16>>,
    /// The address to act for, if it is not the one that packets come from.
    pub ip: Option<IpAddr>,
    /// Whether [`Host::ip`] may be another than the one that packets come from.
    pub permissive: bool,
}

impl Host {
    /// A host of which no more is known than where it is and which key it knows.
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
            ip: None,
            permissive: false,
        }
    }

    /// The same host with these commands, the one that is asked for by default first; without any,
    /// that is [`DEFAULT_COMMAND`].
    pub fn that_does(self, commands: impl IntoIterator<Item = String>) -> Self {
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

    /// The listed command that a person probably meant by a name that is not listed.
    pub fn probably_meant(&self, command: &str) -> Option<&str> {
        let is_listed = self.all_commands().any(|listed| listed == command);
        if is_listed { None } else { nearest(command, self.all_commands()) }
    }

    /// All commands, the one that is asked for by default first.
    pub fn all_commands(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.command).chain(&self.commands).map(String::as_str)
    }
}
