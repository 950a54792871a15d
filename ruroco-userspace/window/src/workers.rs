//! The workers: threads that run tasks, so that no lock, disk or name server can block the thread that
//! draws. One thread runs the tasks about files one after the other, in the order of the actions. A task
//! that waits for the network, for the user, or for a keyring, which may prompt the user, runs in a
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
    platform::Platform,
    preferences::PreferencesFile,
    state_file::Damage,
    style::Tone,
    task::{Report, Task},
};

/// How long the window waits for unfinished tasks when it is closed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs tasks until it is closed or dropped.
#[derive(Debug)]
pub(super) struct Workers {
    worker: Worker,
    /// None after [`Workers::close`].
    running: Option<Running>,
    /// Disconnected when the thread for file tasks has ended.
    files_done: Receiver<()>,
}

/// Channels whose end stops the threads.
#[derive(Debug)]
struct Running {
    queue: Sender<Task>,
    /// The thread that watches files ends when this is dropped.
    _closing: Sender<()>,
}

/// Runs tasks. Each thread has its own clone.
#[derive(Clone, Debug)]
struct Worker {
    folder: Folder,
    history: History,
    preferences: PreferencesFile,
    platform: Arc<dyn Platform>,
    reports: Sender<Report>,
    context: Context,
}

impl Workers {
    pub(super) fn open(
        folder: &Folder,
        platform: Arc<dyn Platform>,
        reports: Sender<Report>,
        context: Context,
    ) -> Self {
        let worker = Worker {
            history: History::in_folder(folder.path()),
            preferences: PreferencesFile::in_folder(folder.path()),
            folder: folder.clone(),
            platform,
            reports,
            context,
        };
        let (queue, tasks) = mpsc::channel();
        let file_worker = worker.clone();
        let (done, files_done) = mpsc::channel();
        thread::spawn(move || {
            tasks.into_iter().for_each(|task| file_worker.run(task));
            drop(done);
        });
        let (closing, closed) = mpsc::channel();
        let (watch, watched) = (queue.clone(), Watched::of(folder));
        thread::spawn(move || watched.run(&watch, &closed));
        Self { worker, running: Some(Running { queue, _closing: closing }), files_done }
    }

    /// Accepts no more tasks, and waits up to [`PATIENCE`] for those that were submitted.
    pub(super) fn close(&mut self) {
        if self.running.take().is_some() {
            let _ = self.files_done.recv_timeout(PATIENCE);
        }
    }

    /// Runs a task in the current thread.
    pub(super) fn run_now(&self, task: Task) {
        self.worker.run(task);
    }

    /// Runs a task in another thread.
    pub(super) fn submit(&self, task: Task) {
        let Some(running) = &self.running else { return };
        // These may wait for a keyring that prompts the user.
        let changes_key = matches!(task, Task::RemoveKey(_) | Task::Accept(..));
        let needs_own_thread = changes_key
            || matches!(
                task,
                Task::Knock { .. }
                    | Task::ChooseFile(_)
                    | Task::ReadFile(..)
                    | Task::Plan(..)
                    | Task::ExportKey(_)
                    | Task::ReadKey(_)
            );
        if !needs_own_thread {
            // The receiver ends only with the queue.
            let _ = running.queue.send(task);
            return;
        }
        // The thread for file tasks ends with the last clone of the queue, so `close` waits for this
        // task, too.
        let queue = changes_key.then(|| running.queue.clone());
        let worker = self.worker.clone();
        thread::spawn(move || {
            worker.run(task);
            drop(queue);
        });
    }
}

impl Worker {
    fn run(&self, task: Task) {
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
                KnockTask { worker: self, host, command, number, stop }.make(&at);
            }
            Task::Reseed => self.reseed(),
            Task::ClearHistory => match self.history.clear() {
                Ok(entries) => self.report(Report::History(entries)),
                Err(error) => self.report_failure("The history was not cleared", &error),
            },
            Task::WritePreferences(preferences) => {
                if let Err(error) = self
                    .make_folder()
                    .and(self.preferences.write(preferences).map_err(|e| e.to_string()))
                {
                    self.report_failure("The window's settings were not saved", &error);
                }
            }
            Task::OpenFolder => self.open_folder(),
        }
    }

    fn report(&self, report: Report) {
        // Fails only after the window was closed.
        let _ = self.reports.send(report);
        self.context.request_repaint();
    }

    fn notify(&self, notice: Notice) {
        self.report(Report::Notice(notice));
    }

    fn report_failure(&self, title: &str, error: &impl ToString) {
        self.notify(Notice::new(Tone::Bad, title, sentence(&error.to_string())));
    }

    /// The same for a form that could not be saved.
    fn report_not_saved(&self, title: &str, error: &impl ToString) {
        let text = sentence(&error.to_string());
        self.report(Report::NotSaved(Notice::new(Tone::Bad, title, text)));
    }

    fn make_folder(&self) -> Result<(), String> {
        // Opening the counter creates the folder.
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
            self.notify(Notice::new(Tone::Warning, title, damage.to_string()));
        }
        self.report(Report::History(found.content));
        self.report(Report::ReadAgain);
    }

    /// Reads the keys again, and the hosts, whose state depends on the keys.
    fn read_keys_again(&self) {
        self.read_keys();
        self.read_hosts();
    }

    fn read_keys(&self) {
        match rows(&self.folder.keys()) {
            Ok(rows) => self.report(Report::Keys(rows)),
            Err(error) => self.notify(
                Notice::new(Tone::Bad, "Cannot list the keys", sentence(&error.to_string()))
                    .offering(Icon::Folder, "Open the folder", Action::OpenFolder),
            ),
        }
    }

    fn reseed(&self) {
        let counter = self.folder.counter();
        match counter.and_then(|counter| counter.reseed(SystemTime::now())) {
            Ok(_) => self.notify(Notice::new(
                Tone::Good,
                "The counter was reset",
                "It follows this computer's clock again. Repeat your knock.",
            )),
            Err(error) => self.report_failure("The counter was not reset", &error),
        }
    }

    fn open_folder(&self) {
        let path = self.folder.path();
        if let Err(error) = self.platform.open(path) {
            let text = format!("Running {} in your file manager ({error}).", path.display());
            self.notify(Notice::new(Tone::Warning, "Cannot open the folder", text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Desktop;
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
        let mut workers = Workers::open(&folder, Arc::new(Desktop), reports, Context::default());
        let host = Host::new("203.0.113.5".parse().unwrap(), "laptop".parse().unwrap());
        for number in 0..20 {
            let name = format!("host{number}").parse().unwrap();
            workers.submit(Task::AddHost(name, Box::new(host.clone())));
        }
        workers.close();
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
        let mut workers = Workers::open(&folder, Arc::new(Desktop), reports, Context::default());
        workers.submit(Task::RemoveKey(name));
        let (closed, is_closed) = mpsc::channel();
        let closing = thread::spawn(move || {
            workers.close();
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
            doors: Default::default(),
        };
        let plan = Plan::new(&folder, &invitation, None).unwrap();
        // As for as long as a keyring prompts for its password.
        let turn = instance::Lock::take(&place.path().join("changes.lock")).unwrap();
        let (reports, received) = mpsc::channel();
        let mut workers = Workers::open(&folder, Arc::new(Desktop), reports, Context::default());
        workers.submit(Task::Accept(Box::new(invitation), Box::new(plan)));
        workers.submit(Task::ReadAll);
        let read = received.recv_timeout(instance::PATIENCE / 2);
        assert!(matches!(read, Ok(Report::Hosts(..))), "{read:?}");
        drop(turn);
        workers.close();
        let saved = received.try_iter().any(|report| matches!(report, Report::HostSaved(_)));
        assert!(saved, "a window that is closed waits for it");
    }
}
