//! What is done elsewhere, because it takes its time, and what comes of it.

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

/// What takes its time.
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
    /// Reads the file, under this number.
    ReadFile(u64, PathBuf),
    /// Finds out what accepting an invitation would do, under another name if one is chosen.
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

/// What came of it.
#[derive(Debug)]
pub(super) enum Report {
    Hosts(Profiles, Problems),
    Keys(Vec<KeyRow>),
    /// The hosts that use each key.
    Users(BTreeMap<Name, Vec<Name>>),
    /// Why hosts cannot be knocked at.
    Troubles(BTreeMap<Name, Trouble>),
    History(Entries),
    /// All files were read again. What a plan was made of may have changed, even if hosts and keys are as they
    /// were shown last.
    ReadAgain,
    /// The host of a form is in the file.
    HostSaved(Name),
    /// A host was renamed: its old name, and its new one.
    HostRenamed(Name, Name),
    /// A removal is undone.
    HostRestored(Name),
    /// What a form was to keep is not kept.
    NotSaved(Notice),
    KeyAdded(Name),
    KeyRead(Name, Box<Key>),
    FileChosen(Purpose, PathBuf),
    /// The text in the file that was read under this number.
    FileRead(u64, Result<SecretText, Notice>),
    /// What accepting an invitation would do, or why it cannot be accepted.
    Planned(Box<Question>, Result<Box<Plan>, String>),
    /// A step of the knock with this number.
    Knock(u64, Step),
    Told(Notice),
}
