//! The state of the window, and how the user's actions and the workers' reports change it. Nothing in
//! this module blocks: it returns a [`Task`] for anything that takes time.

mod files;
mod hosts;
mod keys;

use std::{
    collections::BTreeMap,
    fmt,
    mem::{self, Discriminant},
    time::{Duration, SystemTime},
};

use eframe::egui::TextureHandle;
use ruroco_client::profiles::Profiles;
use ruroco_keys::{key::Key, name::Name};
use ruroco_messages::problems::Problems;

use super::{
    action::Action,
    forms::{HostForm, KeyForm},
    history::Entries,
    import_form::ImportForm,
    keys::KeyRow,
    knocking::{Knocking, Trouble},
    notice::Notice,
    preferences::Preferences,
    search::Search,
    secret_text::SecretText,
    task::{Report, Task},
};

/// The state of the window.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) screen: Screen,
    pub(super) dialog: Option<Dialog>,
    pub(super) hosts: Profiles,
    /// The errors in `client.toml`.
    pub(super) faults: Problems,
    pub(super) keys: Vec<KeyRow>,
    /// The hosts that use each key.
    users: BTreeMap<Name, Vec<Name>>,
    /// The hosts for which a knock would fail, with the reason.
    pub(super) troubles: BTreeMap<Name, Trouble>,
    /// Increases whenever hosts or keys change.
    pub(super) revision: u64,
    pub(super) search: Search,
    /// The current time.
    pub(super) now: SystemTime,
    pub(super) knockings: BTreeMap<Name, Knocking>,
    pub(super) history: Entries,
    /// The newest first.
    pub(super) notices: Vec<Notice>,
    pub(super) preferences: Preferences,
    /// The text to copy to the clipboard.
    pub(super) to_copy: Option<SecretText>,
    knocks: u64,
    /// The number of files that were read.
    reads: u64,
    /// The file that is being read. Only one at a time, because reading a picture may take 1 GiB of memory.
    reading: Option<u64>,
}

/// The content of the window.
#[derive(Debug)]
pub(super) enum Screen {
    Hosts,
    Host(Box<HostForm>),
    Import(Box<ImportForm>),
    Keys,
    History,
}

/// A dialog, which the user must answer first.
#[derive(Debug)]
pub(super) enum Dialog {
    MakeKey(KeyForm),
    ImportKey(KeyForm),
    Key(ShownKey),
    RemoveKey(Name),
    /// Confirms a command.
    Knock(Name, String),
    ClearHistory,
    /// Confirms discarding a form with changes, to show this screen.
    DiscardForm(Box<Screen>),
}

/// One of the navigation's choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Hosts,
    Keys,
    History,
}

impl Screen {
    /// The section of the navigation to which it belongs.
    pub(super) const fn section(&self) -> Section {
        match self {
            Self::Hosts | Self::Host(_) | Self::Import(_) => Section::Hosts,
            Self::Keys => Section::Keys,
            Self::History => Section::History,
        }
    }
}

/// The current screen and dialog.
pub(super) type Place = (Discriminant<Screen>, Option<Discriminant<Dialog>>);

/// A key that the user has asked to see.
#[derive(Debug)]
pub(super) struct ShownKey {
    pub(super) name: Name,
    pub(super) key: Box<Key>,
    pub(super) text: bool,
    /// Its QR code while it is shown, or why it cannot be drawn.
    pub(super) code: Option<Result<Code, String>>,
}

/// A picture that is deleted from the graphics memory when it is dropped.
pub(super) struct Code(pub(super) TextureHandle);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl Model {
    pub(super) fn new(preferences: Preferences) -> Self {
        Self {
            screen: Screen::Hosts,
            dialog: None,
            hosts: Profiles::default(),
            faults: Problems::default(),
            keys: Vec::new(),
            users: BTreeMap::new(),
            troubles: BTreeMap::new(),
            revision: 0,
            search: Search::default(),
            now: SystemTime::now(),
            knockings: BTreeMap::new(),
            history: Entries::new(),
            notices: Vec::new(),
            preferences,
            to_copy: None,
            knocks: 0,
            reads: 0,
            reading: None,
        }
    }

    /// Handles an action of the user. Returns the task to run, if any.
    pub(super) fn handle_action(&mut self, action: Action) -> Option<Task> {
        match action {
            Action::ShowHosts => self.leave_for(Screen::Hosts),
            Action::ShowKeys => self.leave_for(Screen::Keys),
            Action::ShowHistory => self.leave_for(Screen::History),
            Action::ShowImport => self.leave_for(Screen::Import(Box::default())),
            Action::Back => self.back(),
            Action::Escape => self.escape(),
            Action::Search => {
                self.leave_for(Screen::Hosts);
                self.search.open();
            }
            Action::EndSearch => self.search = Search::default(),
            Action::NewHost => {
                let form = HostForm::new(self.keys.first().map(|key| &key.name));
                self.leave_for(Screen::Host(Box::new(form)));
            }
            Action::EditHost(name) => {
                if let Some(host) = self.hosts.get(name.as_str()) {
                    let form = HostForm::of(&name, host);
                    self.leave_for(Screen::Host(Box::new(form)));
                }
            }
            Action::DiscardForm => {
                if let Some(Dialog::DiscardForm(screen)) = self.dialog.take() {
                    self.go(*screen);
                }
            }
            Action::SaveHost => return self.save_host(),
            Action::RemoveHost(name) => return self.remove_host(name),
            Action::RestoreHost(name, host) => return Some(Task::RestoreHost(name, host)),
            Action::Knock(host, command) => return self.knock(host, command),
            Action::KnockConfirmed(host, command) => {
                self.dialog = None;
                return self.send_knock(host, command);
            }
            Action::Connect(host) => return self.connect(host),
            Action::StopKnock(host) => {
                if let Some(knocking) = self.knockings.get_mut(&host) {
                    knocking.give_up();
                }
            }
            Action::DismissResult(host) => drop(self.knockings.remove(&host)),
            Action::Reseed => return Some(Task::Reseed),
            Action::AskNewKey => self.dialog = Some(Dialog::MakeKey(KeyForm::default())),
            Action::AskImportKey => self.dialog = Some(Dialog::ImportKey(KeyForm::default())),
            Action::MakeKey | Action::ImportKey => return self.keep_key(),
            Action::ShowKey(name) => return Some(Task::ReadKey(name)),
            Action::ExportKey(name) => return Some(Task::ExportKey(name)),
            Action::AskRemoveKey(name) => self.dialog = Some(Dialog::RemoveKey(name)),
            Action::RemoveKey(name) => {
                self.dialog = None;
                return Some(Task::RemoveKey(name));
            }
            Action::CopyKey => self.copy_key(),
            Action::ClearClipboard => self.clear_clipboard(),
            Action::ChooseFile(purpose) => return Some(Task::ChooseFile(purpose)),
            Action::AcceptInvitation => return self.accept(),
            Action::AskClearHistory => self.dialog = Some(Dialog::ClearHistory),
            Action::ClearHistory => {
                self.dialog = None;
                return Some(Task::ClearHistory);
            }
            Action::SwitchTheme(theme) => {
                self.preferences.theme = theme;
                return Some(Task::WritePreferences(self.preferences));
            }
            Action::OpenFolder => return Some(Task::OpenFolder),
            Action::Refresh => return Some(Task::ReadAll),
            Action::Dismiss(title) => self.dismiss(&title),
        }
        None
    }

    /// Handles the report of a worker. Returns the next task to run, if any.
    pub(super) fn handle_report(&mut self, report: Report) -> Option<Task> {
        match report {
            Report::Hosts(hosts, faults) => self.hosts_read(hosts, faults),
            Report::Keys(keys) => {
                self.count_change(self.keys != keys);
                self.keys = keys;
            }
            Report::Users(users) => self.users = users,
            Report::Troubles(troubles) => {
                self.count_change(self.troubles != troubles);
                self.troubles = troubles;
            }
            Report::History(entries) => self.history = entries,
            Report::ReadAgain => self.count_change(true),
            Report::HostSaved(name) => self.host_saved(&name),
            Report::HostRenamed(old, name) => self.host_renamed(&old, name),
            Report::HostRestored(name) => {
                self.dismiss(&format!("{name} was removed"));
                self.search = Search::default();
            }
            Report::NotSaved(notice) => {
                self.no_longer_saving();
                self.notify(notice);
            }
            Report::KeyAdded(name) => self.key_added(&name),
            // The user has opened another dialog in the meantime.
            Report::KeyRead(..) if self.dialog.is_some() => {}
            Report::KeyRead(name, key) => {
                self.dialog = Some(Dialog::Key(ShownKey { name, key, text: false, code: None }));
            }
            Report::FileChosen(purpose, path) => return self.file_chosen(purpose, path),
            Report::FileRead(number, read) => self.file_read(number, read),
            Report::Planned(question, plan) => {
                if let Screen::Import(form) = &mut self.screen {
                    form.answer(*question, plan.map(|plan| *plan));
                }
            }
            Report::Knock(number, step) => self.knock_step(number, step),
            Report::Notice(notice) => self.notify(notice),
        }
        None
    }

    /// Shows a notice. It replaces an earlier one with the same title.
    pub(super) fn notify(&mut self, notice: Notice) {
        self.dismiss(&notice.title);
        self.notices.insert(0, notice.in_section(self.screen.section()));
        self.notices.truncate(MAX_NOTICES);
    }

    /// The current screen and dialog.
    pub(super) fn place(&self) -> Place {
        (mem::discriminant(&self.screen), self.dialog.as_ref().map(mem::discriminant))
    }

    /// Whether the window must be drawn repeatedly.
    pub(super) fn is_busy(&self) -> bool {
        self.knockings.values().any(Knocking::is_running)
    }

    /// When the window must be drawn again because a shown result is out of date.
    pub(super) fn next_change(&self) -> Option<Duration> {
        self.knockings.values().filter_map(|knocking| knocking.next_change(self.now)).min()
    }

    /// Whether the current form contains unsaved changes.
    pub(super) fn has_unsaved_form(&self) -> bool {
        match &self.screen {
            Screen::Host(form) => form.has_changes(&self.hosts),
            Screen::Import(form) => !form.secret.text.is_empty(),
            Screen::Hosts | Screen::Keys | Screen::History => false,
        }
    }

    /// The hosts that use a key.
    pub(super) fn users_of(&self, key: &Name) -> impl Iterator<Item = &str> {
        self.users.get(key).into_iter().flatten().map(Name::as_str)
    }

    fn count_change(&mut self, is_one: bool) {
        self.revision = self.revision.wrapping_add(u64::from(is_one));
    }

    fn go(&mut self, screen: Screen) {
        self.dialog = None;
        if screen.section() != self.screen.section() {
            self.notices.retain(|notice| notice.section.is_none());
        }
        self.screen = screen;
    }

    /// Shows another screen. Prompts first if unsaved changes would be lost.
    fn leave_for(&mut self, screen: Screen) {
        if self.has_unsaved_form() {
            self.dialog = Some(Dialog::DiscardForm(Box::new(screen)));
        } else {
            self.go(screen);
        }
    }

    fn back(&mut self) {
        if self.dialog.take().is_none() && !matches!(self.screen, Screen::Hosts) {
            self.go(Screen::Hosts);
        }
    }

    fn escape(&mut self) {
        if self.dialog.take().is_some() {
            return;
        }
        if matches!(self.screen, Screen::Hosts) {
            self.search = Search::default();
        }
        self.leave_for(Screen::Hosts);
    }

    fn no_longer_saving(&mut self) {
        match &mut self.screen {
            Screen::Host(form) => form.saving = None,
            Screen::Import(form) => form.saving = None,
            Screen::Hosts | Screen::Keys | Screen::History => {}
        }
        if let Some(Dialog::MakeKey(form) | Dialog::ImportKey(form)) = &mut self.dialog {
            form.saving = None;
        }
    }

    fn dismiss(&mut self, title: &str) {
        self.notices.retain(|notice| notice.title != title);
    }
}

/// The maximum number of notices.
const MAX_NOTICES: usize = 4;
