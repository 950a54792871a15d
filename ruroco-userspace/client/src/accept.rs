//! Accepting an invitation: adds a host and its key, both or neither. A [`Plan`] contains the changes,
//! which the user reviews before the plan is [carried out](Plan::carry_out).
//!
//! Rationale: decision 0033.

use std::fmt;

use ruroco_common::doors::DoorName;
use ruroco_invite::{
    door::{self, Door},
    invitation::Invitation,
};
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;

use super::{
    folder::Folder,
    key_store::{self, KeyReference, KeyStore, Place},
    profiles::{EditError, Host, Profiles},
};

/// The changes that accepting an invitation makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The name of the host. If the host is new, its key has the same name.
    pub name: Name,
    /// The host after the change.
    pub host: Host,
    /// What to do.
    pub step: Step,
    /// The other hosts with the same address, which then no longer identifies one host.
    pub sharing: Vec<Name>,
    /// The name of the key to store, if it is new.
    new_key: Option<Name>,
}

/// What to do with a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the host already exists with these settings.
    Nothing,
    /// Add the host.
    Add,
    /// Make these changes, at least one.
    Update(Vec<Change>),
}

/// One changed setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The setting.
    pub what: &'static str,
    /// The old value.
    pub old: String,
    /// The new value.
    pub new: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, old, new } = self;
        write!(f, "{what}: {old} -> {new}")
    }
}

/// How a key of this computer compares with the key of the invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// The same key.
    Same,
    /// Another key.
    Other,
    /// Unknown, because no key has this name.
    Missing(Name),
    /// Unknown, because the key cannot be read; with the error.
    Unreadable(String),
}

/// A name is already used for something else, or may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A host of this name has another key.
    #[error(
        "host {0} already exists with another key. If the host has a new key, first remove the old entry with \
         `ruroco-client host remove {0}`. To keep the entry and add another host, pass --name NAME"
    )]
    Host(Name),
    /// Another key has this name.
    #[error(
        "key {0} already exists and is not the key of this invitation. If you no longer need it, first remove it \
         with `ruroco-client key remove {0}`. To keep it, pass --name NAME to give the host and its key another name"
    )]
    Key(Name),
    /// The invitation may be for this host, but the host's key is missing, so the keys cannot be compared.
    #[error(
        "key {key} of host {host} is missing, so it cannot be compared with the key of this invitation. If \
         you have a copy of it, run `ruroco-client key import {key}`. Otherwise pass --name NAME to add a second \
         host"
    )]
    KeyMissing {
        /// The host.
        host: Name,
        /// The name of its key.
        key: Name,
    },
    /// The invitation may be for this host, but the host's key cannot be read.
    #[error("cannot compare the key of host {host} with the key of this invitation: {why}")]
    HostUnclear {
        /// The host.
        host: Name,
        /// Why its key cannot be read, and the remedy.
        why: String,
    },
    /// The key of this name may be the key of the invitation, but it cannot be read.
    #[error("cannot compare key {key} with the key of this invitation: {why}")]
    KeyUnclear {
        /// The key.
        key: Name,
        /// Why it cannot be read, and the remedy.
        why: String,
    },
}

/// The invitation was not accepted. No host and no key was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `client.toml` cannot be read.
    #[error("{0}")]
    Profiles(Problems),
    /// The name is in use.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The plan is out of date.
    #[error("client.toml or a key has changed in the meantime. Nothing was written. Try again")]
    Changed,
    /// The key could not be read or stored.
    #[error(transparent)]
    Key(#[from] key_store::Error),
    /// The host could not be written.
    #[error(transparent)]
    Host(#[from] EditError),
}

impl Plan {
    /// Plans to accept an invitation, under its own name or another one.
    ///
    /// The invitation is for an existing host if they have the same key and, unless another name is
    /// chosen, the same address or name. If the host's key was deleted from this computer, the keys
    /// cannot be compared. Then the key is restored only if the address is the same and no other host
    /// uses the key, and nothing else of the host is changed.
    ///
    /// # Errors
    /// [`Error::Profiles`], [`Error::Conflict`].
    pub fn new(
        folder: &Folder,
        invitation: &Invitation,
        name: Option<&Name>,
    ) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let hosts = problems.good_of(folder.profiles().read());
        let hosts = hosts.ok_or_else(|| Error::Profiles(problems.sorted()))?;
        Ok(Planner { hosts: &hosts, keys: folder.keys(), invitation }.plan(name)?)
    }

    /// Whether the plan restores the missing key of an existing host.
    pub fn restores_key(&self) -> bool {
        self.new_key.is_some() && self.step != Step::Add
    }

    /// Makes the changes, if the plan is still up to date.
    ///
    /// # Errors
    /// [`Error`].
    pub fn carry_out(
        &self,
        folder: &Folder,
        invitation: &Invitation,
        place: Place,
    ) -> Result<(), Error> {
        let (profiles, keys) = (folder.profiles(), folder.keys());
        // One lock for all changes: otherwise another process could use a key that this one removes again.
        let lock = profiles.lock()?;
        if Self::new(folder, invitation, Some(&self.name))? != *self {
            return Err(Error::Changed);
        }
        if self.step == Step::Nothing {
            return Ok(());
        }
        if let Some(key) = &self.new_key {
            keys.add_in(&lock, key, &invitation.key, place)?;
        }
        let written = match self.step {
            Step::Add => profiles.add_in(&lock, &self.name, &self.host),
            Step::Update(_) | Step::Nothing => profiles.replace_in(&lock, &self.name, &self.host),
        };
        if let Err(error) = written {
            if let Some(key) = &self.new_key {
                keys.remove_in(&lock, key)?;
            }
            return Err(error.into());
        }
        Ok(())
    }
}

/// An invitation, and the existing hosts and keys.
struct Planner<'a> {
    hosts: &'a Profiles,
    keys: KeyStore,
    invitation: &'a Invitation,
}

/// A host that the invitation may be for.
struct Candidate<'a> {
    name: &'a Name,
    host: &'a Host,
    key: Known,
}

impl<'a> Planner<'a> {
    fn plan(&self, chosen: Option<&Name>) -> Result<Plan, Conflict> {
        let wanted = chosen.unwrap_or(&self.invitation.name);
        let Some(Candidate { name, host: old, key }) = self.find(wanted, chosen.is_none())? else {
            return self.addition(wanted);
        };
        let (host, changes, new_key) = match key {
            Known::Missing(key) => {
                let (old_key, new) =
                    ("missing".to_owned(), self.invitation.key.label().to_string());
                let change = Change { what: "key", old: old_key, new };
                (old.clone(), vec![change], Some(key))
            }
            Known::Same | Known::Other | Known::Unreadable(_) => {
                let host = updated(old, self.invitation);
                let changes = changes(old, &host);
                (host, changes, None)
            }
        };
        let step = if changes.is_empty() { Step::Nothing } else { Step::Update(changes) };
        Ok(self.resulting(name, host, step, new_key))
    }

    fn addition(&self, name: &Name) -> Result<Plan, Conflict> {
        let own_key = KeyReference::Named(name.clone());
        let new_key = match self.known(&own_key) {
            Known::Same => None,
            Known::Missing(_) => Some(name.clone()),
            Known::Other => return Err(Conflict::Key(name.clone())),
            Known::Unreadable(why) => return Err(Conflict::KeyUnclear { key: name.clone(), why }),
        };
        let host = Host::new(self.invitation.address.clone(), own_key);
        Ok(self.resulting(name, updated(&host, self.invitation), Step::Add, new_key))
    }

    fn resulting(&self, name: &Name, host: Host, step: Step, new_key: Option<Name>) -> Plan {
        let sharing = self.hosts.sharing(name, &host.address).cloned().collect();
        Plan { name: name.clone(), host, step, sharing, new_key }
    }

    /// The existing host that the invitation is for: the host with the wanted name, or a host with its
    /// address.
    ///
    /// # Errors
    /// If another host has this name, or it is unclear whether the invitation is for it.
    fn find(&self, wanted: &Name, by_address: bool) -> Result<Option<Candidate<'a>>, Conflict> {
        let named = self.hosts.iter().filter(|(name, _)| *name == wanted);
        let there = self.hosts.iter().filter(|(name, host)| {
            by_address && *name != wanted && host.address == self.invitation.address
        });
        let mut unclear = Vec::new();
        for (name, host) in named.chain(there) {
            let candidate = Candidate { name, host, key: self.known(&host.key) };
            match candidate.key {
                Known::Same => return Ok(Some(candidate)),
                Known::Missing(_) | Known::Unreadable(_) => unclear.push(candidate),
                Known::Other => {}
            }
        }
        let is_only = unclear.len() == 1;
        match unclear.into_iter().next() {
            Some(lost) if self.has_lost_its_key(&lost) && (is_only || lost.name == wanted) => {
                Ok(Some(lost))
            }
            Some(Candidate { name, key: Known::Missing(key), .. }) => {
                Err(Conflict::KeyMissing { host: name.clone(), key })
            }
            Some(Candidate { name, key: Known::Unreadable(why), .. }) => {
                Err(Conflict::HostUnclear { host: name.clone(), why })
            }
            Some(_) | None => self.is_free(wanted).map(|()| None),
        }
    }

    /// # Errors
    /// If another host has this name in any case, or an invalid entry has it.
    fn is_free(&self, name: &Name) -> Result<(), Conflict> {
        let Some(namesake) = self.hosts.namesake(name.as_str()) else { return Ok(()) };
        Err(match self.hosts.known(namesake.as_str()) {
            Ok(_) => Conflict::Host(namesake),
            Err(invalid) => Conflict::HostUnclear { host: namesake, why: invalid.to_string() },
        })
    }

    /// Whether the key of the invitation can replace the missing key of this host.
    fn has_lost_its_key(&self, Candidate { name, host, key }: &Candidate<'_>) -> bool {
        let Known::Missing(key) = key else { return false };
        let mut others = self.hosts.iter().filter(|(other, _)| other != name);
        host.address == self.invitation.address
            && !others.any(|(_, other)| self.keys.is_meant(key, &other.key))
    }

    /// Compares a key with the key of the invitation. Uses the keyring only if the key ids are equal.
    fn known(&self, key: &KeyReference) -> Known {
        match self.keys.label(key) {
            Err(key_store::Error::Unknown { name, .. }) => Known::Missing(name),
            Err(error) => Known::Unreadable(error.to_string()),
            Ok(label) if label != self.invitation.key.label() => Known::Other,
            Ok(_) => match self.keys.read(key) {
                Ok(key) if key.is(&self.invitation.key) => Known::Same,
                Ok(_) => Known::Other,
                Err(error) => Known::Unreadable(error.to_string()),
            },
        }
    }
}

/// The host with the settings of the invitation. Other settings are not changed.
fn updated(host: &Host, invitation: &Invitation) -> Host {
    let host = Host { address: invitation.address.clone(), ..host.clone() };
    let host = host.with_commands(invitation.commands.iter().cloned());
    let is_left = |name: &&String| host.all_commands().any(|command| command == *name);
    let confirm = host.confirm.iter().filter(is_left).cloned().collect();
    // An invitation of an earlier version of the host names no doors.
    let doors =
        if invitation.doors.is_empty() { host.doors.clone() } else { invitation.doors.clone() };
    Host { confirm, wait: invitation.wait.or(host.wait), doors, ..host }
}

fn changes(old: &Host, new: &Host) -> Vec<Change> {
    let address = |host: &Host| host.address.to_string();
    let commands = |host: &Host| host.all_commands().collect::<Vec<_>>().join(", ");
    let confirm = |host: &Host| match host.confirm.as_slice() {
        [] => "none".to_owned(),
        commands => commands.join(", "),
    };
    let port = |host: &Host| host.wait.map_or_else(|| "none".to_owned(), |port| port.to_string());
    let doors = |host: &Host| match host.doors.iter().map(in_words).collect::<Vec<_>>() {
        doors if doors.is_empty() => "none".to_owned(),
        doors => doors.join("; "),
    };
    let sides = [
        ("address", address(old), address(new)),
        ("commands", commands(old), commands(new)),
        ("confirm", confirm(old), confirm(new)),
        ("wait", port(old), port(new)),
        ("doors", doors(old), doors(new)),
    ];
    let different = sides.into_iter().filter(|(_, old, new)| old != new);
    different.map(|(what, old, new)| Change { what, old, new }).collect()
}

/// A door with everything that an invitation says of it.
fn in_words((name, door): (&DoorName, &Door)) -> String {
    let Door { port, duration, open, close } = door;
    let by = |verb: &str, commands: &[String]| match commands {
        [] => String::new(),
        commands => format!(", {verb} by {}", commands.join(" and ")),
    };
    let duration = door::in_words(*duration);
    format!("{name} ({port}) for {duration}{}{}", by("opened", open), by("closed", close))
}

#[cfg(test)]
mod tests;
