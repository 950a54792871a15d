//! Accepting an invitation: a host and its key, both or neither.

use super::{
    folder::Folder,
    key_store::{self, KeyReference, Place},
    profiles::{EditError, Host},
};
use crate::{invitation::Invitation, name::Name, problems::Problems};

/// What an invitation has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What the host, and its key, is called.
    pub name: Name,
    /// The host.
    pub host: Host,
    /// Whether it was there before, with this key.
    pub was_there: bool,
}

/// An invitation that was not accepted. Hosts and keys are as they were.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `client.toml` is wrong.
    #[error("{0}")]
    Profiles(Problems),
    /// There is another host of this name.
    #[error("there is another host {0} already; give this one another name: --name")]
    HostExists(Name),
    /// There is another key of this name.
    #[error("there is another key {0} already; give host and key another name: --name")]
    KeyExists(Name),
    /// The key could not be looked at, or not be kept.
    #[error(transparent)]
    Key(#[from] key_store::Error),
    /// The host could not be added.
    #[error(transparent)]
    Host(#[from] EditError),
}

/// Makes host and key of an invitation, under its name or another. What is there already and the
/// same is taken as it is.
///
/// # Errors
/// [`Error`].
pub fn accept(
    folder: &Folder,
    invitation: &Invitation,
    name: Option<&Name>,
    place: Place,
) -> Result<Accepted, Error> {
    let name = name.unwrap_or(&invitation.name);
    let (profiles, keys) = (folder.profiles(), folder.keys());
    let host = host(invitation, name);
    // One turn for all of it: else another run could take up a key that this one takes back.
    let turn = profiles.turn()?;
    let there = profiles.read().or_problems().map_err(Error::Profiles)?;
    let there = there.get(name.as_str());
    // What a person has marked for confirmation here, no invitation knows.
    let is_other = |there: &Host| *there != Host { confirm: there.confirm.clone(), ..host.clone() };
    if there.is_some_and(is_other) {
        return Err(Error::HostExists(name.clone()));
    }
    let is_new_key = match keys.read(&host.key) {
        Ok(known) if known.is(&invitation.key) => false,
        Ok(_) => return Err(Error::KeyExists(name.clone())),
        Err(key_store::Error::Unknown { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    let was_there = there.is_some();
    if is_new_key {
        keys.add_in(&turn, name, &invitation.key, place)?;
    }
    if !was_there && let Err(error) = profiles.add_in(&turn, name, &host) {
        if is_new_key {
            keys.remove_in(&turn, name)?;
        }
        return Err(error.into());
    }
    Ok(Accepted { name: name.clone(), host, was_there: was_there && !is_new_key })
}

fn host(invitation: &Invitation, name: &Name) -> Host {
    let host = Host::new(invitation.address.clone(), KeyReference::Named(name.clone()));
    Host { wait: invitation.wait, ..host.that_does(invitation.commands.iter().cloned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use std::{fs, sync::Barrier, thread};

    fn invitation() -> Invitation {
        Invitation {
            name: "home".parse().unwrap(),
            address: "203.0.113.5".parse().unwrap(),
            key: Key::generate().unwrap(),
            commands: vec!["open_ssh".to_owned(), "close_ssh".to_owned()],
            wait: std::num::NonZero::new(22),
        }
    }

    fn accepted(folder: &Folder, invitation: &Invitation) -> Result<Accepted, Error> {
        accept(folder, invitation, None, Place::File)
    }

    #[test]
    fn an_invitation_is_accepted_once() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        let invitation = invitation();
        let first = accepted(&folder, &invitation).unwrap();
        assert!(!first.was_there);
        let read = folder.profiles().read().or_problems().unwrap();
        assert_eq!(read.get("home"), Some(&first.host));
        assert_eq!(first.host.all_commands().collect::<Vec<_>>(), ["open_ssh", "close_ssh"]);
        assert!(folder.keys().read(&first.host.key).unwrap().is(&invitation.key));
        assert!(accepted(&folder, &invitation).unwrap().was_there);
    }

    #[test]
    fn an_invitation_is_accepted_again_whatever_commands_it_offers() {
        for commands in [&[][..], &["default"], &["a"], &["a", "b"], &["a", "a"], &["a", "b", "a"]]
        {
            let directory = tempfile::tempdir().unwrap();
            let folder = Folder::at(directory.path());
            let commands = commands.iter().map(|&command| command.to_owned()).collect();
            let invitation = Invitation { commands, ..invitation() };
            let first = accepted(&folder, &invitation).unwrap();
            let again = accepted(&folder, &invitation).unwrap();
            assert!(!first.was_there && again.was_there, "{:?}", invitation.commands);
        }
    }

    #[test]
    fn of_two_that_accept_an_invitation_at_once_neither_loses_its_key() {
        for _ in 0..50 {
            let directory = tempfile::tempdir().unwrap();
            let folder = Folder::at(directory.path());
            let invitation = invitation();
            let begin = Barrier::new(2);
            let accept = || {
                begin.wait();
                accepted(&folder, &invitation).unwrap()
            };
            let (one, other) = thread::scope(|scope| {
                let other = scope.spawn(accept);
                (accept(), other.join().unwrap())
            });
            assert!(one.was_there != other.was_there);
            assert!(folder.keys().read(&one.host.key).unwrap().is(&invitation.key));
        }
    }

    #[test]
    fn what_is_there_and_something_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        let one = invitation();
        accepted(&folder, &one).unwrap();
        let other_host = Invitation { wait: None, ..one.clone() };
        assert!(matches!(accepted(&folder, &other_host), Err(Error::HostExists(_))));
        let other_key = invitation();
        assert!(matches!(accepted(&folder, &other_key), Err(Error::KeyExists(_))));
        let name = "work".parse().unwrap();
        assert!(!accept(&folder, &other_key, Some(&name), Place::File).unwrap().was_there);
        assert!(folder.keys().read(&KeyReference::Named(one.name)).unwrap().is(&one.key));
    }

    #[test]
    fn a_host_that_cannot_be_added_leaves_no_key_behind() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        // Nothing can be written to a file whose place a directory has.
        fs::create_dir(directory.path().join("client.toml.new")).unwrap();
        assert!(matches!(accepted(&folder, &invitation()), Err(Error::Host(_))));
        assert!(folder.keys().list().unwrap().is_empty());
    }
}
