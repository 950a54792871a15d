//! Hosts and knocks.

use std::sync::{Arc, atomic::AtomicBool};

use ruroco_client::{accept::Step as Change, profiles::Profiles};
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;

use super::{Dialog, Model, Screen};
use crate::{
    knocking::{Knocking, State, Step},
    notice::Notice,
    search::Search,
    style::Tone,
    task::Task,
};

impl Model {
    pub(super) fn save_host(&mut self) -> Option<Task> {
        let Screen::Host(form) = &mut self.screen else { return None };
        if form.saving.is_some() {
            return None;
        }
        form.tried = true;
        let (name, host) = form.check(&self.hosts).ok()?;
        form.saving = Some(name.clone());
        let host = Box::new(host);
        Some(match form.original.clone() {
            Some(old) => Task::ReplaceHost { old, name, host },
            None => Task::AddHost(name, host),
        })
    }

    /// Closes the form of the host that was saved. The user may have opened another form in the meantime.
    pub(super) fn host_saved(&mut self, name: &Name) {
        match &self.screen {
            Screen::Host(form) if form.saving.as_ref() == Some(name) => self.show_all_hosts(),
            Screen::Import(form) if form.saving.as_ref().is_some_and(|plan| plan.name == *name) => {
                let title = match form.saving.as_ref().map(|plan| &plan.step) {
                    Some(Change::Add) | None => format!("{name} was added"),
                    Some(Change::Update(_)) => format!("{name} was updated"),
                    Some(Change::Nothing) => format!("{name} is unchanged"),
                };
                self.show_all_hosts();
                let text = "Delete the invitation: anyone who has it can knock as you.";
                self.notify(Notice::new(Tone::Good, title, text));
            }
            Screen::Hosts
            | Screen::Host(_)
            | Screen::Import(_)
            | Screen::Keys
            | Screen::History => {}
        }
    }

    /// Ends the search, so that the host that was just changed is visible.
    fn show_all_hosts(&mut self) {
        self.go(Screen::Hosts);
        self.search = Search::default();
    }

    /// Removes a host and stops its knock, because the user could no longer stop it.
    pub(super) fn remove_host(&mut self, name: Name) -> Option<Task> {
        let host = self.hosts.get(name.as_str())?.clone();
        if let Some(knocking) = self.knockings.get_mut(&name) {
            knocking.give_up();
        }
        self.go(Screen::Hosts);
        Some(Task::RemoveHost(name, Box::new(host)))
    }

    pub(super) fn host_renamed(&mut self, old: &Name, name: Name) {
        if let Some(mut knocking) = self.knockings.remove(old) {
            knocking.host_renamed(old, &name);
            self.knockings.insert(name, knocking);
        }
    }

    /// Updates the hosts from the file. Knocks of removed hosts are stopped.
    pub(super) fn hosts_read(&mut self, hosts: Profiles, faults: Problems) {
        // An invalid entry is missing from `hosts`, but it has not been removed.
        if faults.is_empty() {
            self.knockings.retain(|name, knocking| {
                let is_there = hosts.get(name.as_str()).is_some();
                if !is_there {
                    knocking.give_up();
                }
                is_there
            });
        }
        self.count_change(self.hosts != hosts || self.faults != faults);
        (self.hosts, self.faults) = (hosts, faults);
    }

    pub(super) fn accept(&mut self) -> Option<Task> {
        let Screen::Import(form) = &mut self.screen else { return None };
        if form.saving.is_some() || form.secret.is_waiting() {
            return None;
        }
        form.tried = true;
        let invitation = form.invitation().ok()?;
        let plan = Box::new(form.plan(self.revision)?.ok()?.clone());
        form.saving = Some(plan.clone());
        Some(Task::Accept(Box::new(invitation), plan))
    }

    /// The next task for the form of an invitation, if any.
    pub(crate) fn plan_due(&mut self) -> Option<Task> {
        let Screen::Import(form) = &mut self.screen else { return None };
        let (question, invitation, name) = form.ask(self.revision)?;
        Some(Task::Plan(Box::new(question), Box::new(invitation), name))
    }

    /// Sends a knock, or prompts for a confirmation first. Shows the hosts, where its result appears.
    pub(super) fn knock(&mut self, host: Name, command: String) -> Option<Task> {
        if matches!(self.screen, Screen::History) {
            self.show_all_hosts();
        }
        if self.hosts.get(host.as_str())?.needs_confirmation(&command) {
            self.dialog = Some(Dialog::Knock(host, command));
            return None;
        }
        self.send_knock(host, command)
    }

    /// Copies the command line that connects to a host. Knocks first if no lease lasts long enough.
    pub(super) fn connect(&mut self, name: Name) -> Option<Task> {
        let host = self.hosts.get(name.as_str())?;
        let (line, command) = (host.connecting()?, host.opening()?.to_owned());
        self.to_copy = Some(line.as_str().into());
        let last = self.knockings.get(&name);
        let admits = last.is_some_and(|knocking| knocking.admits(&command, self.now));
        let when = if admits { "" } else { " as soon as the port is open" };
        let text = format!("Paste it into a terminal{when}: {line}");
        self.notify(Notice::new(Tone::Information, "The command to connect was copied", text));
        if admits { None } else { self.knock(name, command) }
    }

    pub(super) fn send_knock(&mut self, host: Name, command: String) -> Option<Task> {
        let at = Box::new(self.hosts.get(host.as_str())?.clone());
        if let Some(earlier) = self.knockings.get_mut(&host) {
            earlier.give_up();
        }
        self.knocks = self.knocks.wrapping_add(1);
        let (number, stop) = (self.knocks, Arc::new(AtomicBool::new(false)));
        let knocking = Knocking {
            number,
            command: command.clone(),
            stop: Arc::clone(&stop),
            state: State::LookingUp,
        };
        self.knockings.insert(host.clone(), knocking);
        Some(Task::Knock { host, at, command, number, stop })
    }

    pub(super) fn knock_step(&mut self, number: u64, step: Step) {
        if let Some(knocking) = self.knockings.values_mut().find(|one| one.number == number) {
            knocking.update(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        action::Action, forms::HostForm, knocking::Ended, preferences::Preferences, task::Report,
    };
    use ruroco_client::{folder::Folder, profiles::Host};
    use ruroco_messages::problems::Problem;
    use std::{net::SocketAddr, path::Path, sync::atomic::Ordering};

    fn model() -> Model {
        Model::new(Preferences::default())
    }

    fn form(name: &str) -> Screen {
        let mut form = HostForm::new(None);
        form.name = name.to_owned();
        form.address = "203.0.113.5".to_owned();
        form.key = "laptop".to_owned();
        Screen::Host(Box::new(form))
    }

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    #[test]
    fn a_host_that_is_saved_late_closes_no_other_form() {
        let mut model = Model { screen: form("home"), ..model() };
        assert!(model.handle_action(Action::SaveHost).is_some());
        assert!(model.handle_action(Action::SaveHost).is_none(), "it is saved once");
        model.screen = form("workers");
        model.handle_report(Report::HostSaved(name("home")));
        assert!(matches!(model.screen, Screen::Host(_)));
        assert!(model.handle_action(Action::SaveHost).is_some());
        model.handle_report(Report::HostSaved(name("workers")));
        assert!(matches!(model.screen, Screen::Hosts));
    }

    #[test]
    fn a_search_is_over_once_a_host_is_shown_that_it_could_hide() {
        for shown in ["saved", "restored", "knocked at"] {
            let mut model = model();
            model.handle_report(Report::Hosts(hosts(&["home"]), Problems::default()));
            model.search.text = "workers".to_owned();
            match shown {
                "saved" => {
                    model.screen = form("nas");
                    model.handle_action(Action::SaveHost);
                    model.handle_report(Report::HostSaved(name("nas")));
                }
                "restored" => _ = model.handle_report(Report::HostRestored(name("nas"))),
                _ => {
                    model.handle_action(Action::ShowHistory);
                    model.handle_action(Action::Knock(name("home"), "open".to_owned()));
                }
            }
            assert!(matches!(model.screen, Screen::Hosts));
            assert!(model.search.text.is_empty(), "{shown}");
        }
    }

    fn hosts(names: &[&str]) -> Profiles {
        let folder = tempfile::tempdir().unwrap();
        let profiles = Folder::at(folder.path()).profiles();
        let host = Host::new("203.0.113.5".parse().unwrap(), "laptop".parse().unwrap());
        names.iter().for_each(|text| profiles.add(&name(text), &host).unwrap());
        profiles.read().or_problems().unwrap()
    }

    /// A window with this host, and a knock that is under way there.
    fn knocking_at(host: &str) -> (Model, Arc<AtomicBool>) {
        let mut model = model();
        model.handle_report(Report::Hosts(hosts(&[host]), Problems::default()));
        let task = model.handle_action(Action::Knock(name(host), "open".to_owned()));
        let Some(Task::Knock { stop, .. }) = task else { panic!("{task:?}") };
        (model, stop)
    }

    #[test]
    fn a_knock_at_a_host_that_is_removed_is_given_up() {
        let (mut model, stop) = knocking_at("home");
        assert!(model.handle_action(Action::RemoveHost(name("home"))).is_some());
        assert!(stop.load(Ordering::Relaxed));
        for names in [&[][..], &["home"]] {
            model.handle_report(Report::Hosts(hosts(names), Problems::default()));
            assert!(model.knockings.is_empty(), "the next one of the name is another");
        }
    }

    #[test]
    fn a_knock_at_a_host_that_another_program_has_removed_is_given_up() {
        let (mut model, stop) = knocking_at("home");
        model.handle_report(Report::Hosts(hosts(&["workers"]), Problems::default()));
        assert!(stop.load(Ordering::Relaxed) && model.knockings.is_empty());
    }

    #[test]
    fn a_mistake_in_client_toml_ends_no_knock() {
        let (mut model, stop) = knocking_at("home");
        let mut faults = Problems::default();
        faults.add(Problem::error(Path::new("client.toml"), "a mistake"));
        model.handle_report(Report::Hosts(Profiles::default(), faults));
        assert!(!stop.load(Ordering::Relaxed) && !model.knockings.is_empty());
    }

    #[test]
    fn a_knock_goes_with_its_host_to_another_name() {
        let (mut model, stop) = knocking_at("home");
        model.handle_report(Report::HostRenamed(name("home"), name("house")));
        model.handle_report(Report::Hosts(hosts(&["house"]), Problems::default()));
        assert!(!stop.load(Ordering::Relaxed));
        let to = SocketAddr::from(([203, 0, 113, 5], 80));
        model.handle_report(Report::Knock(1, Step::Sent(to)));
        let knocking = model.knockings.get(&name("house")).unwrap();
        assert!(matches!(knocking.state, State::Sent(_)), "{knocking:?}");
    }

    #[test]
    fn what_is_offered_after_a_knock_is_offered_for_the_host_by_its_new_name() {
        let (mut model, _) = knocking_at("home");
        let folder = tempfile::tempdir().unwrap();
        let missing = Folder::at(folder.path()).keys().read(&"laptop".parse().unwrap());
        let ended = Ended::without_key(&missing.unwrap_err(), &name("home"));
        model.handle_report(Report::Knock(1, Step::Ended(ended)));
        model.handle_report(Report::HostRenamed(name("home"), name("house")));
        let knocking = model.knockings.get(&name("house")).unwrap();
        let State::Ended(ended) = &knocking.state else { panic!("{knocking:?}") };
        let offered = |action| ended.offers.iter().any(|offer| offer.action == action);
        assert!(
            offered(Action::EditHost(name("house"))) && !offered(Action::EditHost(name("home")))
        );
    }
}
