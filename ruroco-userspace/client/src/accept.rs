//! Accepting an invitation: a host and its key, both or neither. What that would change of the hosts that are
//! there is a [`Plan`], which a person sees first and [carries out](Plan::carry_out) or not.
//!
//! Rationale: decision 0033.

use std::fmt;

use ruroco_invite::invitation::Invitation;
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;

use super::{
    folder::Folder,
    key_store::{self, KeyReference, KeyStore, Place},
    profiles::{EditError, Host, Profiles},
};

/// What accepting an invitation would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the host is called. Its key has the same name if the host is new.
    pub name: Name,
    /// The host as it would be.
    pub host: Host,
    /// What would be done.
    pub step: Step,
    /// The other hosts with the same address: given that address, nobody could say which of them is meant.
    pub sharing: Vec<Name>,
    /// The name for the key, if it would be stored.
    new_key: Option<Name>,
}

/// What would be done about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is known as the invitation describes it.
    Nothing,
    /// It is added.
    Add,
    /// It is changed; there is at least one change.
    Update(Vec<Change>),
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub what: &'static str,
    /// What it is now.
    pub old: String,
    /// What it would be.
    pub new: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, old, new } = self;
        write!(f, "{what}: {old} -> {new}")
    }
}

/// What is known of a key that a name or a file stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It is the key of the invitation.
    Same,
    /// It is another key.
    Other,
    /// Nothing, because no key has this name.
    Missing(Name),
    /// Nothing, because it cannot be read; with the error.
    Unreadable(String),
}

/// A name that cannot be used, because it stands for something else, or may do so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A host of this name is there that has another key.
    #[error(
        "host {0} already exists with another key, so it may be another host. Use --name NAME to add a \
         second host"
    )]
    Host(Name),
    /// A key of this name is there that is another one.
    #[error(
        "key {0} already exists and is not the key of this invitation. Use --name NAME to give host and \
         key another name"
    )]
    Key(Name),
    /// The host may be the one of the invitation: its key, which would show that, is missing.
    #[error(
        "key {key} of host {host} is missing, so it cannot be compared with the key of this invitation. If \
         you have a copy of it, run `ruroco-client key import {key}`. Otherwise use --name NAME to add a second \
         host"
    )]
    KeyMissing {
        /// The host.
        host: Name,
        /// What it calls its key.
        key: Name,
    },
    /// The host may be the one of the invitation: its key, which would show that, cannot be read.
    #[error("cannot compare the key of host {host} with the key of this invitation: {why}")]
    HostUnclear {
        /// The host.
        host: Name,
        /// Why its key cannot be read, and what helps.
        why: String,
    },
    /// The key of this name may be the one of the invitation, and cannot be read.
    #[error("cannot compare key {key} with the key of this invitation: {why}")]
    KeyUnclear {
        /// The key.
        key: Name,
        /// Why it cannot be read, and what helps.
        why: String,
    },
}

/// An invitation that was not accepted. Hosts and keys are as they were.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `client.toml` cannot be read.
    #[error("{0}")]
    Profiles(Problems),
    /// The name is in use.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// What was planned is no longer what would be done.
    #[error("client.toml or a key has changed in the meantime; nothing was written. Try again")]
    Changed,
    /// The key could not be read or stored.
    #[error(transparent)]
    Key(#[from] key_store::Error),
    /// The host could not be written.
    #[error(transparent)]
    Host(#[from] EditError),
}

impl Plan {
    /// What accepting an invitation would do here, under the name that it has or another one.
    ///
    /// A host is the one of the invitation if it has the same key and, unless another name is asked for,
    /// the same address or the same name. Of a host whose key was deleted from this computer, nothing shows
    /// whether its key was that of the invitation. So it gets the key back only if it has the same address
    /// and no other host uses the key, and nothing else of it is changed.
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

    /// Whether it stores the key of the invitation for a host whose own key is missing.
    pub fn restores_key(&self) -> bool {
        self.new_key.is_some() && self.step != Step::Add
    }

    /// Does it, if it still is what would be done.
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
        // One turn for all of it: otherwise another run could take up a key that this one takes back.
        let turn = profiles.turn()?;
        if Self::new(folder, invitation, Some(&self.name))? != *self {
            return Err(Error::Changed);
        }
        if self.step == Step::Nothing {
            return Ok(());
        }
        if let Some(key) = &self.new_key {
            keys.add_in(&turn, key, &invitation.key, place)?;
        }
        let written = match self.step {
            Step::Add => profiles.add_in(&turn, &self.name, &self.host),
            Step::Update(_) | Step::Nothing => profiles.replace_in(&turn, &self.name, &self.host),
        };
        if let Err(error) = written {
            if let Some(key) = &self.new_key {
                keys.remove_in(&turn, key)?;
            }
            return Err(error.into());
        }
        Ok(())
    }
}

/// An invitation, and what there is already.
struct Planner<'a> {
    hosts: &'a Profiles,
    keys: KeyStore,
    invitation: &'a Invitation,
}

/// A host that may be the one of the invitation.
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

    /// The host of the invitation, if it is known: the host with the wanted name, or a host with its address.
    ///
    /// # Errors
    /// A host that may be it, or is called so and is another.
    fn find(&self, wanted: &Name, by_address: bool) -> Result<Option<Candidate<'a>>, Conflict> {
        let named = self.hosts.iter().filter(|(name, _)| *name == wanted);
        let there = self.hosts.iter().filter(|(name, host)| {
            by_address && *name != wanted && host.address == self.invitation.address
        });
        let mut open = Vec::new();
        for (name, host) in named.chain(there) {
            let candidate = Candidate { name, host, key: self.known(&host.key) };
            match candidate.key {
                Known::Same => return Ok(Some(candidate)),
                Known::Missing(_) | Known::Unreadable(_) => open.push(candidate),
                Known::Other => {}
            }
        }
        let is_only = open.len() == 1;
        match open.into_iter().next() {
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
    /// Another host is called so, in whatever case, or an entry with a mistake.
    fn is_free(&self, name: &Name) -> Result<(), Conflict> {
        let Some(namesake) = self.hosts.namesake(name.as_str()) else { return Ok(()) };
        Err(match self.hosts.known(namesake.as_str()) {
            Ok(_) => Conflict::Host(namesake),
            Err(invalid) => Conflict::HostUnclear { host: namesake, why: invalid.to_string() },
        })
    }

    /// Whether the key of the invitation can take the place of a missing one.
    fn has_lost_its_key(&self, Candidate { name, host, key }: &Candidate<'_>) -> bool {
        let Known::Missing(key) = key else { return false };
        let mut others = self.hosts.iter().filter(|(other, _)| other != name);
        host.address == self.invitation.address
            && !others.any(|(_, other)| self.keys.is_meant(key, &other.key))
    }

    /// What is known of a key. The keyring is asked only if the key's id is the invitation's.
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

/// The host as the invitation describes it. What an invitation does not say stays as the person chose it.
fn updated(host: &Host, invitation: &Invitation) -> Host {
    let host = Host { address: invitation.address.clone(), ..host.clone() };
    let host = host.that_does(invitation.commands.iter().cloned());
    let is_left = |name: &&String| host.all_commands().any(|command| command == *name);
    let confirm = host.confirm.iter().filter(is_left).cloned().collect();
    Host { confirm, wait: invitation.wait.or(host.wait), ..host }
}

fn changes(old: &Host, new: &Host) -> Vec<Change> {
    let address = |host: &Host| host.address.to_string();
    let commands = |host: &Host| host.all_commands().collect::<Vec<_>>().join(", ");
    let confirm = |host: &Host| match host.confirm.as_slice() {
        [] => "none".to_owned(),
        commands => commands.join(", "),
    };
    let port = |host: &Host| host.wait.map_or_else(|| "none".to_owned(), |port| port.to_string());
    let sides = [
        ("address", address(old), address(new)),
        ("commands", commands(old), commands(new)),
        ("confirm", confirm(old), confirm(new)),
        ("wait", port(old), port(new)),
    ];
    let different = sides.into_iter().filter(|(_, old, new)| old != new);
    different.map(|(what, old, new)| Change { what, old, new }).collect()
}

#[cfg(test)]
mod tests;
