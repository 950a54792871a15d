//! What the window knows and shows, and how a person's actions and the office's reports change it.
//! Nothing in here blocks: what takes time is given away as a [`Task`].

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

/// All of it.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) screen: Screen,
    pub(super) dialog: Option<Dialog>,
    pub(super) hosts: Profiles,
    /// What is wrong in `client.toml`.
    pub(super) faults: Problems,
    pub(super) keys: Vec<KeyRow>,
    /// The hosts that use each key.
    users: BTreeMap<Name, Vec<Name>>,
    /// Why hosts cannot be knocked at.
    pub(super) troubles: BTreeMap<Name, Trouble>,
    /// Counts how often hosts or keys have changed.
    pub(super) revision: u64,
    pub(super) search: Search,
    /// What the clock shows: how old something is depends on it.
    pub(super) now: SystemTime,
    pub(super) knockings: BTreeMap<Name, Knocking>,
    pub(super) history: Entries,
    /// The newest first.
    pub(super) notices: Vec<Notice>,
    pub(super) preferences: Preferences,
    /// What is to go into the clipboard.
    pub(super) to_copy: Option<SecretText>,
    knocks: u64,
    /// How many files were read.
    reads: u64,
    /// The file that is being read: one at a time, because a picture takes a process of up to 1 GiB.
    reading: Option<u64>,
}

/// What the window is filled with.
#[derive(Debug)]
pub(super) enum Screen {
    Hosts,
    Host(Box<HostForm>),
    Import(Box<ImportForm>),
    Keys,
    History,
}

/// What stands before it and has to be answered first.
#[derive(Debug)]
pub(super) enum Dialog {
    MakeKey(KeyForm),
    ImportKey(KeyForm),
    Key(ShownKey),
    RemoveKey(Name),
    /// A command that asks before it is sent.
    Knock(Name, String),
    ClearHistory,
    /// A begun form, for this screen.
    Leave(Box<Screen>),
}

/// One of the navigation's choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Hosts,
    Keys,
    History,
}

impl Screen {
    /// Where the navigation leads to it.
    pub(super) const fn section(&self) -> Section {
        match self {
            Self::Hosts | Self::Host(_) | Self::Import(_) => Section::Hosts,
            Self::Keys => Section::Keys,
            Self::History => Section::History,
        }
    }
}

/// Where a person is: on which screen, before which dialog.
pub(super) type Place = (Discriminant<Screen>, Option<Discriminant<Dialog>>);

/// A key that somebody wants to see.
#[derive(Debug)]
pub(super) struct ShownKey {
    pub(super) name: Name,
    pub(super) key: Box<Key>,
    pub(super) text: bool,
    /// Its QR code, or why there is none, while it is to be seen.
    pub(super) code: Option<Result<Code, String>>,
}

/// A picture that goes from the graphics memory with whoever holds it.
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

    /// What a person does; gives what has to be done about it.
    pub(super) fn act(&mut self, action: Action) -> Option<Task> {
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
            Action::Leave => {
                if let Some(Dialog::Leave(screen)) = self.dialog.take() {
                    self.go(*screen);
                }
            }
            Action::SaveHost => return self.save_host(),
            Action::RemoveHost(name) => return self.remove_host(name),
            Action::RestoreHost(name, host) => return Some(Task::RestoreHost(name, host)),
            Action::Knock(host, command) => return self.knock(host, command),
            Action::KnockSurely(host, command) => {
                self.dialog = None;
                return self.knock_surely(host, command);
            }
            Action::Cancel(host) => {
                if let Some(knocking) = self.knockings.get_mut(&host) {
                    knocking.give_up();
                }
            }
            Action::PutAway(host) => drop(self.knockings.remove(&host)),
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
            Action::EmptyClipboard => self.empty_clipboard(),
            Action::ChooseFile(purpose) => return Some(Task::ChooseFile(purpose)),
            Action::AcceptInvitation => return self.accept(),
            Action::AskClearHistory => self.dialog = Some(Dialog::ClearHistory),
            Action::ClearHistory => {
                self.dialog = None;
                return Some(Task::ClearHistory);
            }
            Action::Switch(theme) => {
                self.preferences.theme = theme;
                return Some(Task::WritePreferences(self.preferences));
            }
            Action::OpenFolder => return Some(Task::OpenFolder),
            Action::Refresh => return Some(Task::ReadAll),
            Action::Dismiss(title) => self.dismiss(&title),
        }
        None
    }

    /// What has come of a task; gives what has to be done about it.
    pub(super) fn take(&mut self, report: Report) -> Option<Task> {
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
                self.tell(notice);
            }
            Report::KeyAdded(name) => self.key_added(&name),
            // Whoever has gone on meanwhile asks again.
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
            Report::Knock(number, step) => self.knock_went_on(number, step),
            Report::Told(notice) => self.tell(notice),
        }
        None
    }

    /// A notice replaces an earlier one with the same title.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.dismiss(&notice.title);
        self.notices.insert(0, notice.told_in(self.screen.section()));
        self.notices.truncate(MAX_NOTICES);
    }

    /// Where the person is.
    pub(super) fn place(&self) -> Place {
        (mem::discriminant(&self.screen), self.dialog.as_ref().map(mem::discriminant))
    }

    /// Whether something moves of its own accord.
    pub(super) fn is_busy(&self) -> bool {
        self.knockings.values().any(Knocking::is_under_way)
    }

    /// When something that is shown is too old to be claimed any longer.
    pub(super) fn next_change(&self) -> Option<Duration> {
        self.knockings.values().filter_map(|knocking| knocking.fresh_for(self.now)).min()
    }

    /// Whether something that was written is not kept yet.
    pub(super) fn has_begun_form(&self) -> bool {
        match &self.screen {
            Screen::Host(form) => form.is_begun(&self.hosts),
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

    /// Asks first, if something would be lost.
    fn leave_for(&mut self, screen: Screen) {
        if self.has_begun_form() {
            self.dialog = Some(Dialog::Leave(Box::new(screen)));
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

/// Nobody reads more.
const MAX_NOTICES: usize = 4;
