//! What a key may do: the rules in `[keys.NAME]`, ready to be applied to knocks and orders.
//!
//! The server applies all of them to each knock. The commander applies those again that it can check by an
//! order, so that a server under an attacker's control gains nothing.

use ruroco_common::{address::Address, command::CommandHash};

use crate::{KeyRules, expiry::Expiry, network::Network};

/// The rules of a key. Without any, it may do everything.
#[derive(Clone, Debug, Default)]
pub struct KeyPolicy {
    commands: Option<Box<[CommandHash]>>,
    expires: Option<Expiry>,
    sources: Option<Box<[Network]>>,
    requires_address: bool,
}

impl KeyPolicy {
    /// By these rules; `hash` gives the hash of a command's name. The gate reads rules, too, and links no hash.
    pub fn of(rules: Option<&KeyRules>, hash: impl Fn(&str) -> CommandHash) -> Self {
        let Some(rules) = rules else { return Self::default() };
        let hashes = |names: &Vec<String>| names.iter().map(|name| hash(name)).collect();
        Self {
            commands: rules.commands.as_ref().map(hashes),
            expires: rules.expires,
            sources: rules.sources.as_deref().map(Into::into),
            requires_address: rules.require_address,
        }
    }

    /// Whether the key is no longer accepted at this time, in nanoseconds since 1970.
    pub fn has_expired(&self, epoch: u128) -> bool {
        self.expires.is_some_and(|expiry| expiry.is_past(epoch))
    }

    /// Whether a knock must name the address that its command runs for.
    pub const fn requires_address(&self) -> bool {
        self.requires_address
    }

    /// Whether knocks may come from this address, and commands may run for it.
    pub fn admits(&self, address: Address) -> bool {
        let sources = self.sources.as_ref();
        sources.is_none_or(|sources| sources.iter().any(|network| network.contains(address)))
    }

    /// Whether the key may request this command.
    pub fn allows(&self, command: CommandHash) -> bool {
        self.commands.as_ref().is_none_or(|commands| commands.contains(&command))
    }
}
