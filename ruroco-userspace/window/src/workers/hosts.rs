//! Tasks about hosts and invitations.

use std::collections::BTreeMap;

use ruroco_client::{
    accept::{self, Conflict, Plan},
    key_store::{KeyStore, Place},
    profiles::{EditError, Host, Profiles},
};
use ruroco_invite::invitation::Invitation;
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;

use super::Worker;
use crate::{
    action::Action,
    icons::Icon,
    import_form::Question,
    knocking::Trouble,
    notice::{Notice, sentence},
    style::Tone,
    task::Report,
};

impl Worker {
    pub(super) fn read_hosts(&self) {
        let mut problems = Problems::default();
        let profiles = problems.good_of(self.folder.profiles().read()).unwrap_or_default();
        let keys = self.folder.keys();
        let trouble = |(name, host): (&Name, &Host)| {
            let error = keys.label(&host.key).err()?;
            Some((name.clone(), Trouble::of_key(&error, name)))
        };
        let troubles = profiles.iter().filter_map(trouble).collect();
        let users = users(&keys, &profiles);
        self.report(Report::Hosts(profiles, problems.sorted()));
        self.report(Report::Users(users));
        self.report(Report::Troubles(troubles));
    }

    pub(super) fn add_host(&self, name: &Name, host: &Host) {
        match self.folder.profiles().add(name, host) {
            Ok(()) => self.report(Report::HostSaved(name.clone())),
            Err(error) => self.not_saved(&error),
        }
        self.read_hosts();
    }

    pub(super) fn restore_host(&self, name: &Name, host: &Host) {
        match self.folder.profiles().add(name, host) {
            Ok(()) => self.report(Report::HostRestored(name.clone())),
            Err(error) => self.notify(notice_of(&error)),
        }
        self.read_hosts();
    }

    pub(super) fn replace_host(&self, old: &Name, name: &Name, host: &Host) {
        match self.folder.profiles().rename(old, name, host) {
            Ok(()) => {
                self.report(Report::HostRenamed(old.clone(), name.clone()));
                self.report(Report::HostSaved(name.clone()));
            }
            Err(error) => self.not_saved(&error),
        }
        self.read_hosts();
    }

    fn not_saved(&self, error: &EditError) {
        self.report(Report::NotSaved(notice_of(error)));
    }

    pub(super) fn remove_host(&self, name: Name, host: Box<Host>) {
        match self.folder.profiles().remove(name.as_str()) {
            Ok(()) => {
                let title = format!("{name} was removed");
                let text = "Its key was kept.";
                let undo = Action::RestoreHost(name, host);
                let notice = Notice::new(Tone::Information, title, text);
                self.notify(notice.offering(Icon::Undo, "Undo", undo));
            }
            Err(error) => self.report_failure("The host was not removed", &error),
        }
        self.read_hosts();
    }

    /// Plans to accept an invitation. Uses the keyring only for a key with the same id.
    pub(super) fn plan(
        &self,
        question: Box<Question>,
        invitation: &Invitation,
        name: Option<&Name>,
    ) {
        let plan = Plan::new(&self.folder, invitation, name);
        let plan = plan.map(Box::new).map_err(|error| not_accepted(&error));
        self.report(Report::Planned(question, plan));
    }

    pub(super) fn accept(&self, invitation: &Invitation, plan: &Plan) {
        match plan.carry_out(&self.folder, invitation, Place::File) {
            Ok(()) => self.report(Report::HostSaved(plan.name.clone())),
            Err(accept::Error::Host(error)) => self.not_saved(&error),
            Err(error) => {
                let notice = Notice::new(Tone::Bad, NOT_SAVED, not_accepted(&error));
                self.report(Report::NotSaved(notice));
            }
        }
        self.read_keys_again();
    }
}

/// The hosts that use each key, by its name or by the path of its file.
fn users(keys: &KeyStore, hosts: &Profiles) -> BTreeMap<Name, Vec<Name>> {
    let users = |key: &Name| {
        let users = hosts.iter().filter(|(_, host)| keys.is_meant(key, &host.key));
        users.map(|(host, _)| host.clone()).collect()
    };
    let names = keys.names().unwrap_or_default();
    names.into_iter().map(|(key, _)| (key.clone(), users(&key))).collect()
}

const NOT_SAVED: &str = "The host was not saved";

/// Why an invitation cannot be accepted.
fn not_accepted(error: &accept::Error) -> String {
    match error {
        accept::Error::Conflict(Conflict::Host(name)) => {
            format!("Host {name} already exists with another key. Enter another name.")
        }
        accept::Error::Conflict(Conflict::Key(name)) => {
            format!(
                "Key {name} already exists and is not the key of this invitation. Enter another name."
            )
        }
        accept::Error::Conflict(Conflict::KeyMissing { host, key }) => format!(
            "Key {key} of host {host} is missing, so it is not clear whether the invitation is for that host. \
             If you have a copy of the key, import it. Otherwise enter another name."
        ),
        accept::Error::Profiles(problems) => format!("Fix client.toml first. {}", listed(problems)),
        accept::Error::Conflict(Conflict::HostUnclear { .. } | Conflict::KeyUnclear { .. })
        | accept::Error::Changed
        | accept::Error::Key(_)
        | accept::Error::Host(_) => sentence(&error.to_string()),
    }
}

/// Why `client.toml` was not changed.
fn notice_of(error: &EditError) -> Notice {
    let notice = |text: String| Notice::new(Tone::Bad, NOT_SAVED, text);
    match error {
        EditError::Exists(name) => {
            notice(format!("Host {name} already exists. Choose another name."))
        }
        EditError::Confusable { .. } => notice(sentence(&error.to_string())),
        EditError::Unknown(host) => {
            notice(format!("Another program has removed host {} in the meantime.", host.name()))
        }
        EditError::Invalid(problems) => notice(format!(
            "Nothing was changed in client.toml. {}",
            listed(problems)
        ))
        .offering(Icon::Folder, "Open the folder", Action::OpenFolder),
        EditError::Lock(_) | EditError::Write(..) => {
            notice(format!("{} Nothing was changed.", sentence(&error.to_string())))
        }
    }
}

/// The errors in `client.toml` before or after the change, without line numbers, which the change may
/// have moved.
fn listed(problems: &Problems) -> String {
    let sentences = problems.iter().map(|problem| sentence(problem.message()));
    sentences.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_messages::problems::Problem;
    use std::path::Path;

    #[test]
    fn a_change_that_the_file_cannot_contain_is_reported_with_its_reason() {
        let mut problems = Problems::default();
        problems.add(Problem::error(Path::new("client.toml"), "`wait` is not a port").at_line(7));
        let text = notice_of(&EditError::Invalid(problems)).text;
        assert_eq!(text, "Nothing was changed in client.toml. `wait` is not a port.");
    }
}
