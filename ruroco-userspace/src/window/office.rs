//! Where tasks are done: never by the thread that draws, once the window is open, so that no lock, disk
//! or name server can block it. Tasks about files are done one after the other, in the order of the
//! actions; a task that waits for a network, for a person, or for a keyring that may ask one, has a
//! thread of its own.

mod keys;
mod knock;
mod watch;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, SystemTime},
};

use eframe::egui::Context;
use zeroize::Zeroizing;

use self::{knock::KnockTask, watch::Watched};
use super::{
    action::{Action, Purpose},
    history::History,
    icons::Icon,
    keys::rows,
    knocking::Trouble,
    notice::{Notice, sentence},
    preferences::PreferencesFile,
    secret_text::SecretText,
    state_file::Damage,
    style::Tone,
    surroundings::Surroundings,
    task::{Report, Task},
};
use crate::{
    client::{
        accept::{self, Conflict, Plan},
        folder::Folder,
        key_store::Place,
        profiles::{EditError, Host},
    },
    invitation::Invitation,
    name::Name,
    problems::Problems,
    qr::{picture, reader},
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
        let changes_key = matches!(task, Task::RemoveKey(_));
        let of_its_own = changes_key
            || matches!(
                task,
                Task::Knock { .. }
                    | Task::ChooseFile(_)
                    | Task::ReadFile(..)
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
            Task::ChooseFile(purpose) => {
                if let Some(path) = self.surroundings.choose_file(purpose.title()) {
                    self.read_file(purpose, &path);
                }
            }
            Task::ReadFile(purpose, path) => self.read_file(purpose, &path),
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
    }

    fn read_hosts(&self) {
        let mut problems = Problems::default();
        let profiles = problems.good_of(self.folder.profiles().read()).unwrap_or_default();
        let keys = self.folder.keys();
        let trouble = |(name, host): (&Name, &Host)| {
            let error = keys.label(&host.key).err()?;
            Some((name.clone(), Trouble::of_key(&error, name)))
        };
        let troubles = profiles.iter().filter_map(trouble).collect();
        self.report(Report::Hosts(profiles, problems.sorted()));
        self.report(Report::Troubles(troubles));
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

    fn add_host(&self, name: &Name, host: &Host) {
        match self.folder.profiles().add(name, host) {
            Ok(()) => self.report(Report::HostSaved(name.clone())),
            Err(error) => self.not_saved(&error),
        }
        self.read_hosts();
    }

    fn restore_host(&self, name: &Name, host: &Host) {
        match self.folder.profiles().add(name, host) {
            Ok(()) => self.report(Report::HostRestored(name.clone())),
            Err(error) => self.tell(told_of(&error)),
        }
        self.read_hosts();
    }

    fn replace_host(&self, old: &Name, name: &Name, host: &Host) {
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
        self.report(Report::NotSaved(told_of(error)));
    }

    fn remove_host(&self, name: Name, host: Box<Host>) {
        match self.folder.profiles().remove(name.as_str()) {
            Ok(()) => {
                let title = format!("{name} was removed");
                let text = "Its key was kept.";
                let undo = Action::RestoreHost(name, host);
                let notice = Notice::new(Tone::Information, title, text);
                self.tell(notice.offering(Icon::Undo, "Undo", undo));
            }
            Err(error) => self.tell_failure("The host was not removed", &error),
        }
        self.read_hosts();
    }

    /// A picture with a QR code, or a text.
    fn read_file(&self, purpose: Purpose, path: &Path) {
        match self.text_in(path) {
            Ok(text) => self.report(Report::FileRead(purpose, text)),
            Err(why) => {
                let text = format!("{}: {why}", path.display());
                self.tell(Notice::new(Tone::Bad, "Cannot read the file", text));
            }
        }
    }

    fn text_in(&self, path: &Path) -> Result<SecretText, String> {
        let failed = |error: io::Error| error.to_string();
        // Before it is opened: that of a pipe waits for whoever writes into it.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err("not a file".to_owned());
        }
        let mut content = Zeroizing::new(Vec::new());
        let limit = picture::MAX_SIZE.saturating_add(1);
        let file = File::open(path).map_err(failed)?;
        let read = file.take(limit).read_to_end(&mut content).map_err(failed)?;
        if u64::try_from(read).is_ok_and(|read| read >= limit) {
            return Err("the file is too large".to_owned());
        }
        match str::from_utf8(&content) {
            Ok(text) => Ok(text.into()),
            Err(_) => {
                let program = self.surroundings.picture_reader().map_err(failed)?;
                let text = reader::read(&program, &content).map_err(|error| error.to_string())?;
                Ok(text.into())
            }
        }
    }

    fn accept(&self, invitation: &Invitation, plan: &Plan) {
        match plan.carry_out(&self.folder, invitation, Place::File) {
            Ok(()) => self.report(Report::HostSaved(plan.name.clone())),
            Err(accept::Error::Host(error)) => self.not_saved(&error),
            Err(accept::Error::Conflict(Conflict::Host(name))) => {
                self.not_saved(&EditError::Exists(name));
            }
            Err(accept::Error::Conflict(Conflict::Key(name))) => {
                self.report(Report::NotSaved(Notice::new(
                    Tone::Bad,
                    "The host was not added",
                    format!("Another key is already called {name}. Choose another name."),
                )))
            }
            Err(error) => self.report_not_saved("The host was not added", &error),
        }
        self.read_keys();
        self.read_hosts();
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

impl Purpose {
    const fn title(self) -> &'static str {
        match self {
            Self::Invitation => "Choose an invitation: a text file, or a picture of its QR code",
            Self::Key => "Choose a key: a text file, or a picture of its QR code",
        }
    }
}

/// Why `client.toml` is as it was.
fn told_of(error: &EditError) -> Notice {
    match error {
        EditError::Exists(name) => Notice::new(
            Tone::Bad,
            "The host was not saved",
            format!("Host {name} already exists. Choose another name."),
        ),
        EditError::Mistakable { .. } => {
            Notice::new(Tone::Bad, "The host was not saved", sentence(&error.to_string()))
        }
        EditError::Unknown(host) => Notice::new(
            Tone::Bad,
            "The host was not saved",
            format!("Another program has removed host {} in the meantime.", host.name()),
        ),
        EditError::Refused(_) => Notice::new(
            Tone::Bad,
            "The host was not saved",
            "client.toml has errors. Fix them first.",
        )
        .offering(Icon::Folder, "Open the folder", Action::OpenFolder),
        EditError::Lock(_) | EditError::Write(..) => Notice::new(
            Tone::Bad,
            "The host was not saved",
            format!("{} Nothing was changed.", sentence(&error.to_string())),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{instance, key::Key, window::surroundings::Desktop};

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
        folder.keys().add(&name, &Key::generate().unwrap(), Place::File).unwrap();
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
}
