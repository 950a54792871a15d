//! What the window knows and shows, and how a person's actions and the office's reports change it.
//! Nothing in here blocks: what takes time is given away as a [`Task`].

mod hosts;
mod keys;

use std::{
    collections::BTreeMap,
    fmt,
    mem::{self, Discriminant},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use eframe::egui::TextureHandle;

use super::{
    action::{Action, Purpose},
    forms::{HostForm, ImportForm, KeyForm},
    history::Entries,
    keys::KeyRow,
    knocking::{Knocking, Trouble},
    notice::Notice,
    preferences::Preferences,
    search::Search,
    secret_text::SecretText,
    style::Tone,
    task::{Report, Task},
};
use crate::{client::profiles::Profiles, key::Key, name::Name, problems::Problems};

/// All of it.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) screen: Screen,
    pub(super) dialog: Option<Dialog>,
    pub(super) hosts: Profiles,
    /// What is wrong in `client.toml`.
    pub(super) faults: Problems,
    pub(super) keys: Vec<KeyRow>,
    /// Why hosts cannot be knocked at.
    pub(super) troubles: BTreeMap<Name, Trouble>,
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
            troubles: BTreeMap::new(),
            search: Search::default(),
            now: SystemTime::now(),
            knockings: BTreeMap::new(),
            history: Entries::new(),
            notices: Vec::new(),
            preferences,
            to_copy: None,
            knocks: 0,
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

    /// What has come of a task.
    pub(super) fn take(&mut self, report: Report) {
        match report {
            Report::Hosts(hosts, faults) => self.hosts_read(hosts, faults),
            Report::Keys(keys) => self.keys = keys,
            Report::Troubles(troubles) => self.troubles = troubles,
            Report::History(entries) => self.history = entries,
            Report::HostSaved(name) => self.host_saved(&name),
            Report::HostRenamed(old, name) => self.host_renamed(&old, name),
            Report::HostRestored(name) => self.dismiss(&format!("{name} was removed")),
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
            Report::FileRead(purpose, text) => self.file_read(purpose, text),
            Report::Knock(number, step) => self.knock_went_on(number, step),
            Report::Told(notice) => self.tell(notice),
        }
    }

    /// A file dropped onto the window.
    pub(super) fn dropped(&mut self, path: PathBuf) -> Option<Task> {
        match (&self.dialog, &self.screen) {
            (Some(Dialog::ImportKey(_)), _) => return Some(Task::ReadFile(Purpose::Key, path)),
            (None, Screen::Import(form)) if form.saving.is_none() => {}
            (None, _) if !self.has_begun_form() => self.go(Screen::Import(Box::default())),
            _ => {
                let text = "Save or discard your changes, then drop the file again.";
                self.tell(Notice::new(Tone::Warning, "The file was not read", text));
                return None;
            }
        }
        Some(Task::ReadFile(Purpose::Invitation, path))
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
            Screen::Import(form) => !form.text.is_empty(),
            Screen::Hosts | Screen::Keys | Screen::History => false,
        }
    }

    /// The hosts that use a key.
    pub(super) fn users_of<'a>(&'a self, key: &'a Name) -> impl Iterator<Item = &'a str> {
        use crate::client::key_store::KeyReference;
        let uses = move |reference: &KeyReference| matches!(reference, KeyReference::Named(name) if name == key);
        self.hosts.iter().filter(move |(_, host)| uses(&host.key)).map(|(name, _)| name.as_str())
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

    fn file_read(&mut self, purpose: Purpose, text: SecretText) {
        match (purpose, &mut self.dialog, &mut self.screen) {
            (Purpose::Key, Some(Dialog::ImportKey(form)), _) => form.text = text,
            (Purpose::Invitation, _, Screen::Import(form)) => form.set_text(text),
            // The person has gone on meanwhile.
            _ => {}
        }
    }

    fn dismiss(&mut self, title: &str) {
        self.notices.retain(|notice| notice.title != title);
    }
}

/// Nobody reads more.
const MAX_NOTICES: usize = 4;
