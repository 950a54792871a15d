//! Where tasks are done: never by the thread that draws, once the window is open, so that no lock, disk
//! or name server can block it. Tasks about files are done one after the other, in the order of the
//! actions; a task that waits for a network, for a person, or for a keyring that may ask one, has a
//! thread of its own.

mod files;
mod hosts;
mod keys;
mod knock;
mod watch;

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, SystemTime},
};

use eframe::egui::Context;
use ruroco_client::folder::Folder;

use self::{knock::KnockTask, watch::Watched};
use super::{
    action::Action,
    history::History,
    icons::Icon,
    keys::rows,
    notice::{Notice, sentence},
    preferences::PreferencesFile,
    state_file::Damage,
    style::Tone,
    surroundings::Surroundings,
    task::{Report, Task},
};

/// How long a window that is closed waits for what was to be written.
const PATIENCE: Duration = Duration::from_secs(3);

/// Does tasks, until it is dropped.
#[derive(Debug)]
pub(super) struct Office {
    desk: Desk,
    /// None once it is closed.
    open: Option<Open>,
    /// Ends with the clerk.
    clerk: Receiver<()>,
}

/// What ends with the office.
#[derive(Debug)]
struct Open {
    queue: Sender<Task>,
    /// The watch ends with it.
    _closing: Sender<()>,
}

/// What everybody in the office has at hand.
#[derive(Clone, Debug)]
struct Desk {
    folder: Folder,
    history: History,
    preferences: PreferencesFile,
    surroundings: Arc<dyn Surroundings>,
    reports: Sender<Report>,
    context: Context,
}

impl Office {
    pub(super) fn open(
        folder: &Folder,
        surroundings: Arc<dyn Surroundings>,
        reports: Sender<Report>,
        context: Context,
    ) -> Self {
        let desk = Desk {
            history: History::in_folder(folder.path()),
            preferences: PreferencesFile::in_folder(folder.path()),
            folder: folder.clone(),
            surroundings,
            reports,
            context,
        };
        let (queue, tasks) = mpsc::channel();
        let clerk = desk.clone();
        let (at_work, ended) = mpsc::channel();
        thread::spawn(move || {
            tasks.into_iter().for_each(|task| clerk.do_it(task));
            drop(at_work);
        });
        let (closing, closed) = mpsc::channel();
        let (watch, watched) = (queue.clone(), Watched::of(folder));
        thread::spawn(move || watched.keep_watch(&watch, &closed));
        Self { desk, open: Some(Open { queue, _closing: closing }), clerk: ended }
    }

    /// Takes no more tasks, and waits until those that were given are done, but not for long.
    pub(super) fn close(&mut self) {
        if self.open.take().is_some() {
            let _ = self.clerk.recv_timeout(PATIENCE);
        }
    }

    /// Has a task done in this thread, which waits for it.
    pub(super) fn do_now(&self, task: Task) {
        self.desk.do_it(task);
    }

    /// Has a task done.
    pub(super) fn give(&self, task: Task) {
        let Some(open) = &self.open else { return };
        // A keyring may ask a person meanwhile.
        let changes_key = matches!(task, Task::RemoveKey(_) | Task::Accept(..));
        let of_its_own = changes_key
            || matches!(
                task,
                Task::Knock { .. }
                    | Task::ChooseFile(_)
                    | Task::ReadFile(..)
                    | Task::Plan(..)
                    | Task::ExportKey(_)
                    | Task::ReadKey(_)
            );
        if !of_its_own {
            // The clerk ends only with the office.
            let _ = open.queue.send(task);
            return;
        }
        // The clerk ends with the last queue: so a window that is closed waits for this change, too.
        let queue = changes_key.then(|| open.queue.clone());
        let desk = self.desk.clone();
        thread::spawn(move || {
            desk.do_it(task);
            drop(queue);
        });
    }
}

impl Desk {
    fn do_it(&self, task: Task) {
        match task {
            Task::ReadAll => self.read_all(),
            Task::AddHost(name, host) => self.add_host(&name, &host),
            Task::RestoreHost(name, host) => self.restore_host(&name, &host),
            Task::ReplaceHost { old, name, host } => self.replace_host(&old, &name, &host),
            Task::RemoveHost(name, host) => self.remove_host(name, host),
            Task::MakeKey(name) => self.make_key(name),
            Task::AddKey(name, key) => self.add_key(name, &key),
            Task::RemoveKey(name) => self.remove_key(&name),
            Task::ReadKey(name) => self.read_key(name),
            Task::ExportKey(name) => self.export_key(&name),
            Task::ChooseFile(purpose) => self.choose_file(purpose),
            Task::ReadFile(number, path) => self.read_file(number, &path),
            Task::Plan(question, invitation, name) => {
                self.plan(question, &invitation, name.as_ref());
            }
            Task::Accept(invitation, plan) => self.accept(&invitation, &plan),
            Task::Knock { host, at, command, number, stop } => {
                KnockTask { desk: self, host, command, number, stop }.make(&at);
            }
            Task::Reseed => self.reseed(),
            Task::ClearHistory => match self.history.clear() {
                Ok(entries) => self.report(Report::History(entries)),
                Err(error) => self.tell_failure("The history was not cleared", &error),
            },
            Task::WritePreferences(preferences) => {
                if let Err(error) = self
                    .make_folder()
                    .and(self.preferences.write(preferences).map_err(|e| e.to_string()))
                {
                    self.tell_failure("The window's settings were not saved", &error);
                }
            }
            Task::OpenFolder => self.open_folder(),
        }
    }

    fn report(&self, report: Report) {
        // There is nobody to report to once the window is closed.
        let _ = self.reports.send(report);
        self.context.request_repaint();
    }

    fn tell(&self, notice: Notice) {
        self.report(Report::Told(notice));
    }

    fn tell_failure(&self, title: &str, error: &impl ToString) {
        self.tell(Notice::new(Tone::Bad, title, sentence(&error.to_string())));
    }

    /// The same, of what a form was to keep.
    fn report_not_saved(&self, title: &str, error: &impl ToString) {
        let text = sentence(&error.to_string());
        self.report(Report::NotSaved(Notice::new(Tone::Bad, title, text)));
    }

    fn make_folder(&self) -> Result<(), String> {
        // Opening the counter makes the folder.
        self.folder.counter().map(drop).map_err(|error| error.to_string())
    }

    fn read_all(&self) {
        self.read_hosts();
        self.read_keys();
        let found = self.history.read();
        if let Some(damage) = found.damage {
            let title = match damage {
                Damage::Kept { .. } => "A new history was started",
                Damage::Unreadable { .. } => "The history cannot be read",
            };
            self.tell(Notice::new(Tone::Warning, title, damage.to_string()));
        }
        self.report(Report::History(found.content));
        self.report(Report::ReadAgain);
    }

    /// What keys there are now, and which hosts can be knocked at with them.
    fn read_keys_again(&self) {
        self.read_keys();
        self.read_hosts();
    }

    fn read_keys(&self) {
        match rows(&self.folder.keys()) {
            Ok(rows) => self.report(Report::Keys(rows)),
            Err(error) => self.tell(
                Notice::new(Tone::Bad, "Cannot list the keys", sentence(&error.to_string()))
                    .offering(Icon::Folder, "Open the folder", Action::OpenFolder),
            ),
        }
    }

    fn reseed(&self) {
        let counter = self.folder.counter();
        match counter.and_then(|counter| counter.reseed(SystemTime::now())) {
            Ok(_) => self.tell(Notice::new(
                Tone::Good,
                "The counter was reset",
                "It follows this computer's clock again. Repeat your knock.",
            )),
            Err(error) => self.tell_failure("The counter was not reset", &error),
        }
    }

    fn open_folder(&self) {
        let path = self.folder.path();
        if let Err(error) = self.surroundings.open(path) {
            let text = format!("Open {} in your file manager ({error}).", path.display());
            self.tell(Notice::new(Tone::Warning, "Cannot open the folder", text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::Desktop;
    use ruroco_client::{accept::Plan, key_store::Place, profiles::Host};
    use ruroco_files::instance;
    use ruroco_invite::invitation::Invitation;
    use ruroco_keys::name::Name;
    use ruroco_seal::generate_key;

    #[test]
    fn what_was_asked_for_is_done_before_the_window_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        let (reports, _kept) = mpsc::channel();
        let mut office = Office::open(&folder, Arc::new(Desktop), reports, Context::default());
        let host = Host::new("203.0.113.5".parse().unwrap(), "laptop".parse().unwrap());
        for number in 0..20 {
            let name = format!("host{number}").parse().unwrap();
            office.give(Task::AddHost(name, Box::new(host.clone())));
        }
        office.close();
        assert_eq!(folder.profiles().read().or_problems().unwrap().iter().count(), 20);
    }

    #[test]
    fn what_does_not_wait_in_the_queue_is_done_before_the_window_is_gone_too() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        let name: Name = "home".parse().unwrap();
        folder.keys().add(&name, &generate_key().unwrap(), Place::File).unwrap();
        let turn = instance::Lock::take(&place.path().join("changes.lock")).unwrap();
        let (reports, _kept) = mpsc::channel();
        let mut office = Office::open(&folder, Arc::new(Desktop), reports, Context::default());
        office.give(Task::RemoveKey(name));
        let (closed, is_closed) = mpsc::channel();
        let closing = thread::spawn(move || {
            office.close();
            closed.send(())
        });
        is_closed.recv_timeout(PATIENCE / 10).unwrap_err();
        drop(turn);
        closing.join().unwrap().unwrap();
        assert!(folder.keys().list().unwrap().is_empty());
    }

    #[test]
    fn an_invitation_that_waits_for_its_turn_holds_up_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        let invitation = Invitation {
            name: "home".parse().unwrap(),
            address: "203.0.113.5".parse().unwrap(),
            key: generate_key().unwrap(),
            commands: Vec::new(),
            wait: None,
        };
        let plan = Plan::new(&folder, &invitation, None).unwrap();
        // As for as long as a keyring prompts for its password.
        let turn = instance::Lock::take(&place.path().join("changes.lock")).unwrap();
        let (reports, told) = mpsc::channel();
        let mut office = Office::open(&folder, Arc::new(Desktop), reports, Context::default());
        office.give(Task::Accept(Box::new(invitation), Box::new(plan)));
        office.give(Task::ReadAll);
        let read = told.recv_timeout(instance::PATIENCE / 2);
        assert!(matches!(read, Ok(Report::Hosts(..))), "{read:?}");
        drop(turn);
        office.close();
        let saved = told.try_iter().any(|report| matches!(report, Report::HostSaved(_)));
        assert!(saved, "a window that is closed waits for it");
    }
}
