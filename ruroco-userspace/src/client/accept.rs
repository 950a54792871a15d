//! Accepting an invitation: a host and its key, both or neither. What that would change of the hosts that are
//! there is a [`Plan`], which a person sees first and [carries out](Plan::carry_out) or not.

use std::fmt;

use super::{
    folder::Folder,
    key_store::{self, KeyReference, KeyStore, Place},
    profiles::{EditError, Host, Profiles},
};
use crate::{invitation::Invitation, name::Name, problems::Problems};

/// What accepting an invitation would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the host is called. Its key has the same name if it is new.
    pub name: Name,
    /// The host as it would be.
    pub host: Host,
    /// What would be done.
    pub step: Step,
    /// The other hosts with the same address: given that address, nobody could say which of them is meant.
    pub sharing: Vec<Name>,
    key: Known,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is the key of the invitation.
    Same,
    /// It is another key, or cannot be read.
    Other,
    /// Nothing: there is no such key.
    Missing,
}

/// A name that cannot be used, because it stands for something else.
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
        let keys = folder.keys();
        Ok(Self::beside(&hosts, invitation, name, |key| known(&keys, key, invitation))?)
    }

    /// The same beside these hosts, and keys of which this is known.
    ///
    /// A host is the one of the invitation if it has the same key and, unless another name is asked for,
    /// the same address or the same name.
    ///
    /// # Errors
    /// [`Conflict`].
    pub fn beside(
        hosts: &Profiles,
        invitation: &Invitation,
        name: Option<&Name>,
        known: impl Fn(&KeyReference) -> Known,
    ) -> Result<Self, Conflict> {
        let wanted = name.unwrap_or(&invitation.name);
        let own_key = KeyReference::Named(wanted.clone());
        let is_it = |host: &Host| match known(&host.key) {
            Known::Same => true,
            Known::Missing => host.key == own_key,
            Known::Other => false,
        };
        let named = hosts.iter().find(|(other, host)| *other == wanted && is_it(host));
        let there = |host: &Host| host.address == invitation.address && is_it(host);
        let found = named.or_else(|| match name {
            Some(_) => None,
            None => hosts.iter().find(|(_, host)| there(host)),
        });
        let (name, host, step) = match found {
            Some((name, old)) => {
                let host = updated(old, invitation);
                let mut changes = changes(old, &host);
                if known(&old.key) == Known::Missing {
                    let (old, new) = ("missing".to_owned(), invitation.key.label().to_string());
                    changes.push(Change { what: "key", old, new });
                }
                let step = if changes.is_empty() { Step::Nothing } else { Step::Update(changes) };
                (name, host, step)
            }
            None if hosts.is_taken(wanted.as_str()) => return Err(Conflict::Host(wanted.clone())),
            None if known(&own_key) == Known::Other => return Err(Conflict::Key(wanted.clone())),
            None => {
                let host = Host::new(invitation.address.clone(), own_key);
                (wanted, updated(&host, invitation), Step::Add)
            }
        };
        let sharing = hosts.sharing(name, &host.address).cloned().collect();
        Ok(Self { name: name.clone(), key: known(&host.key), host, step, sharing })
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
        let is_new_key = self.key == Known::Missing;
        if is_new_key {
            keys.add_in(&turn, &self.name, &invitation.key, place)?;
        }
        let written = match self.step {
            Step::Add => profiles.add_in(&turn, &self.name, &self.host),
            Step::Update(_) | Step::Nothing => profiles.replace_in(&turn, &self.name, &self.host),
        };
        if let Err(error) = written {
            if is_new_key {
                keys.remove_in(&turn, &self.name)?;
            }
            return Err(error.into());
        }
        Ok(())
    }
}

/// What is known of a key. The keyring is asked only if the key's id is the invitation's.
fn known(keys: &KeyStore, key: &KeyReference, invitation: &Invitation) -> Known {
    match keys.label(key) {
        Err(key_store::Error::Unknown { .. }) => Known::Missing,
        Ok(label) if label == invitation.key.label() => match keys.read(key) {
            Ok(key) if key.is(&invitation.key) => Known::Same,
            Ok(_) | Err(_) => Known::Other,
        },
        Ok(_) | Err(_) => Known::Other,
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
mod tests {
    use super::*;
    use crate::key::Key;
    use std::{fs, num::NonZero, sync::Barrier, thread};

    fn invitation() -> Invitation {
        Invitation {
            name: "home".parse().unwrap(),
            address: "203.0.113.5".parse().unwrap(),
            key: Key::generate().unwrap(),
            commands: vec!["open_ssh".to_owned(), "close_ssh".to_owned()],
            wait: NonZero::new(22),
        }
    }

    fn named(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn accept(folder: &Folder, invitation: &Invitation, name: Option<&str>) -> Result<Plan, Error> {
        let plan = Plan::new(folder, invitation, name.map(named).as_ref())?;
        plan.carry_out(folder, invitation, Place::File)?;
        Ok(plan)
    }

    fn accepted(folder: &Folder, invitation: &Invitation) -> Plan {
        accept(folder, invitation, None).unwrap()
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        (directory, folder)
    }

    fn told(plan: &Plan) -> Vec<String> {
        let Step::Update(changes) = &plan.step else { panic!("{plan:?}") };
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_invitation_is_accepted_once() {
        let (_directory, folder) = folder();
        let invitation = invitation();
        let first = accepted(&folder, &invitation);
        assert_eq!(first.step, Step::Add);
        let read = folder.profiles().read().or_problems().unwrap();
        assert_eq!(read.get("home"), Some(&first.host));
        assert_eq!(first.host.all_commands().collect::<Vec<_>>(), ["open_ssh", "close_ssh"]);
        assert!(folder.keys().read(&first.host.key).unwrap().is(&invitation.key));
        assert_eq!(accepted(&folder, &invitation).step, Step::Nothing);
    }

    #[test]
    fn an_invitation_is_accepted_again_whatever_commands_it_offers() {
        for commands in [&[][..], &["default"], &["a"], &["a", "b"], &["a", "a"], &["a", "b", "a"]]
        {
            let (_directory, folder) = folder();
            let commands = commands.iter().map(|&command| command.to_owned()).collect();
            let invitation = Invitation { commands, ..invitation() };
            assert_eq!(accepted(&folder, &invitation).step, Step::Add);
            assert_eq!(accepted(&folder, &invitation).step, Step::Nothing);
        }
    }

    #[test]
    fn a_second_invitation_to_a_known_host_updates_it_and_leaves_the_rest() {
        let (_directory, folder) = folder();
        let one = Invitation { wait: None, ..invitation() };
        let host = accepted(&folder, &one).host;
        let own = Host { permissive: true, ip: Some("198.51.100.1".parse().unwrap()), ..host };
        folder.profiles().replace(&one.name, &own).unwrap();
        let commands = ["open_ssh", "close_ssh", "status"].map(str::to_owned).to_vec();
        // The host calls itself something else by now.
        let more = Invitation { commands, wait: NonZero::new(22), name: named("web1"), ..one };
        let plan = Plan::new(&folder, &more, None).unwrap();
        assert_eq!(folder.profiles().read().or_problems().unwrap().get("home"), Some(&own));
        let changes =
            ["commands: open_ssh, close_ssh -> open_ssh, close_ssh, status", "wait: none -> 22"];
        assert_eq!(
            (plan.name.as_str(), told(&plan)),
            ("home", changes.map(str::to_owned).to_vec())
        );
        plan.carry_out(&folder, &more, Place::File).unwrap();
        let read = folder.profiles().read().or_problems().unwrap();
        assert_eq!(read.iter().count(), 1);
        let home = read.get("home").unwrap();
        assert!(home.permissive && home.ip == own.ip && home.wait == more.wait);
        assert_eq!(folder.keys().list().unwrap().len(), 1);
        // What the invitation does not say stays.
        assert_eq!(accepted(&folder, &Invitation { wait: None, ..more }).step, Step::Nothing);
    }

    #[test]
    fn commands_that_ask_before_they_are_sent_still_ask_after_an_update() {
        let (_directory, folder) = folder();
        let one = invitation();
        let host = accepted(&folder, &one).host;
        let confirm = ["open_ssh", "close_ssh"].map(str::to_owned).to_vec();
        folder.profiles().replace(&one.name, &Host { confirm, ..host }).unwrap();
        assert_eq!(accepted(&folder, &one).step, Step::Nothing);
        // One of them is no longer a command of this host.
        let commands = ["status", "open_ssh"].map(str::to_owned).to_vec();
        let other = accepted(&folder, &Invitation { commands, ..one });
        let confirm = "confirm: open_ssh, close_ssh -> open_ssh".to_owned();
        assert!(told(&other).contains(&confirm), "{other:?}");
        assert!(other.host.asks_before("open_ssh"));
        assert_eq!(folder.profiles().read().or_problems().unwrap().get("home"), Some(&other.host));
    }

    #[test]
    fn a_host_that_has_moved_is_updated_by_its_name_and_key() {
        let (_directory, folder) = folder();
        let one = invitation();
        accepted(&folder, &one);
        let moved = Invitation { address: "198.51.100.1:81".parse().unwrap(), ..one };
        let changes = told(&accepted(&folder, &moved));
        assert_eq!(changes, ["address: 203.0.113.5:80 -> 198.51.100.1:81"]);
    }

    #[test]
    fn hosts_with_one_address_are_named() {
        let (_directory, folder) = folder();
        accepted(&folder, &invitation());
        for address in ["203.0.113.5", "203.0.113.5:81"] {
            let second =
                Invitation { name: named("b"), address: address.parse().unwrap(), ..invitation() };
            let plan = Plan::new(&folder, &second, None).unwrap();
            assert_eq!((plan.step, plan.sharing), (Step::Add, vec![named("home")]));
        }
        let other = Invitation {
            name: named("b"),
            address: "203.0.113.6".parse().unwrap(),
            ..invitation()
        };
        assert!(accepted(&folder, &other).sharing.is_empty());
    }

    #[test]
    fn of_two_that_accept_an_invitation_at_once_neither_loses_its_key() {
        for _ in 0..50 {
            let (_directory, folder) = folder();
            let invitation = invitation();
            let begin = Barrier::new(2);
            let accept = || {
                let plan = Plan::new(&folder, &invitation, None).unwrap();
                begin.wait();
                plan.carry_out(&folder, &invitation, Place::File)
            };
            let both = thread::scope(|scope| {
                let other = scope.spawn(accept);
                [accept(), other.join().unwrap()]
            });
            assert_eq!(both.iter().filter(|done| done.is_ok()).count(), 1);
            assert!(
                both.iter()
                    .all(|done| !matches!(done, Err(error) if !matches!(error, Error::Changed)))
            );
            let key = KeyReference::Named(invitation.name.clone());
            assert!(folder.keys().read(&key).unwrap().is(&invitation.key));
            assert_eq!(accepted(&folder, &invitation).step, Step::Nothing);
        }
    }

    #[test]
    fn what_is_there_and_something_else_stays() {
        let (_directory, folder) = folder();
        let one = invitation();
        accepted(&folder, &one);
        let other = invitation();
        let refused = accept(&folder, &other, None);
        assert!(matches!(refused, Err(Error::Conflict(Conflict::Host(_)))), "{refused:?}");
        folder.keys().add(&named("work"), &Key::generate().unwrap(), Place::File).unwrap();
        let refused = accept(&folder, &other, Some("work"));
        assert!(matches!(refused, Err(Error::Conflict(Conflict::Key(_)))), "{refused:?}");
        assert_eq!(accept(&folder, &other, Some("office")).unwrap().step, Step::Add);
        assert!(folder.keys().read(&KeyReference::Named(one.name)).unwrap().is(&one.key));
    }

    #[test]
    fn what_was_not_shown_is_not_done() {
        let (_directory, folder) = folder();
        let one = invitation();
        accepted(&folder, &one);
        let more = Invitation { commands: vec!["a".to_owned()], ..one.clone() };
        let plan = Plan::new(&folder, &more, None).unwrap();
        let changed = Host { wait: None, ..plan.host.clone() };
        folder.profiles().replace(&one.name, &changed).unwrap();
        let done = plan.carry_out(&folder, &more, Place::File);
        assert!(matches!(done, Err(Error::Changed)), "{done:?}");
        assert_eq!(folder.profiles().read().or_problems().unwrap().get("home"), Some(&changed));
    }

    #[test]
    fn a_key_that_was_lost_comes_back_with_its_invitation() {
        let (_directory, folder) = folder();
        let one = invitation();
        accepted(&folder, &one);
        folder.keys().remove(&one.name).unwrap();
        let changes = told(&accepted(&folder, &one));
        assert!(changes.len() == 1 && changes[0].starts_with("key: missing -> "), "{changes:?}");
        assert!(folder.keys().read(&KeyReference::Named(one.name)).unwrap().is(&one.key));
    }

    #[test]
    fn a_host_that_cannot_be_added_leaves_no_key_behind() {
        let (directory, folder) = folder();
        // Nothing can be written to a file whose place a directory has.
        fs::create_dir(directory.path().join("client.toml.new")).unwrap();
        assert!(matches!(accept(&folder, &invitation(), None), Err(Error::Host(_))));
        assert!(folder.keys().list().unwrap().is_empty());
    }
}
