//! The tasks of the workers, and their reports.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use ruroco_client::{
    accept::Plan,
    profiles::{Host, Profiles},
};
use ruroco_invite::invitation::Invitation;
use ruroco_keys::{key::Key, name::Name};
use ruroco_messages::problems::Problems;

use super::{
    action::Purpose,
    history::Entries,
    import_form::Question,
    keys::KeyRow,
    knocking::{Step, Trouble},
    notice::Notice,
    preferences::Preferences,
    secret_text::SecretText,
};

/// Anything that takes time.
#[derive(Debug)]
pub(super) enum Task {
    ReadAll,
    AddHost(Name, Box<Host>),
    /// Undoes a removal.
    RestoreHost(Name, Box<Host>),
    ReplaceHost {
        old: Name,
        name: Name,
        host: Box<Host>,
    },
    RemoveHost(Name, Box<Host>),
    MakeKey(Name),
    AddKey(Name, Box<Key>),
    RemoveKey(Name),
    ReadKey(Name),
    ExportKey(Name),
    ChooseFile(Purpose),
    /// Reads a file. The report has the same number.
    ReadFile(u64, PathBuf),
    /// Plans to accept an invitation, under another name if the user has chosen one.
    Plan(Box<Question>, Box<Invitation>, Option<Name>),
    Accept(Box<Invitation>, Box<Plan>),
    Knock {
        host: Name,
        at: Box<Host>,
        command: String,
        number: u64,
        stop: Arc<AtomicBool>,
    },
    Reseed,
    ClearHistory,
    WritePreferences(Preferences),
    OpenFolder,
}

/// The report about a task.
#[derive(Debug)]
pub(super) enum Report {
    Hosts(Profiles, Problems),
    Keys(Vec<KeyRow>),
    /// The hosts that use each key.
    Users(BTreeMap<Name, Vec<Name>>),
    /// The hosts for which a knock would fail, with the reason.
    Troubles(BTreeMap<Name, Trouble>),
    History(Entries),
    /// All files were read again. A plan may be out of date, even if the shown hosts and keys have not
    /// changed.
    ReadAgain,
    /// The host of a form was saved.
    HostSaved(Name),
    /// A host was renamed: its old name, and its new one.
    HostRenamed(Name, Name),
    /// The removal of a host was undone.
    HostRestored(Name),
    /// A form could not be saved.
    NotSaved(Notice),
    KeyAdded(Name),
    KeyRead(Name, Box<Key>),
    FileChosen(Purpose, PathBuf),
    /// The text of the file with this number.
    FileRead(u64, Result<SecretText, Notice>),
    /// The plan for an invitation, or why it cannot be accepted.
    Planned(Box<Question>, Result<Box<Plan>, String>),
    /// A step of the knock with this number.
    Knock(u64, Step),
    Notice(Notice),
}
