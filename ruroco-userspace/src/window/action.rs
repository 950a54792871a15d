//! What a person can do, and what that has others do. Screens give [`Action`]s; the model answers with
//! [`Task`]s, which take their time and are done elsewhere; what comes of them is a [`Report`].

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    history::Entries,
    keys::KeyRow,
    knocking::Ended,
    notice::Notice,
    preferences::{Preferences, Theme},
};
use crate::{
    client::profiles::{Host, Profiles},
    invitation::Invitation,
    key::Key,
    name::Name,
    problems::Problems,
};

/// What a person wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    ShowHosts,
    ShowKeys,
    ShowHistory,
    ShowImport,
    /// To where Escape leads: out of the dialog, or back to the hosts.
    Back,
    NewHost,
    EditHost(Name),
    SaveHost,
    RemoveHost(Name),
    /// Undoes a removal.
    RestoreHost(Name, Box<Host>),
    Knock(Name, String),
    /// No longer waits.
    Cancel(Name),
    /// Puts the result of a knock away.
    PutAway(Name),
    Reseed,
    /// The name of a new key is asked for.
    AskNewKey,
    MakeKey,
    AskImportKey,
    ImportKey,
    ShowKey(Name),
    ExportKey(Name),
    AskRemoveKey(Name),
    RemoveKey(Name),
    CopyKey,
    EmptyClipboard,
    ChooseFile(Purpose),
    AcceptInvitation,
    AskClearHistory,
    ClearHistory,
    Switch(Theme),
    OpenFolder,
    /// Reads everything anew.
    Refresh,
    /// Puts the notice with this title away.
    Dismiss(String),
}

/// What a file is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Invitation,
    Key,
}

/// What takes its time.
#[derive(Debug)]
pub(super) enum Task {
    ReadAll,
    AddHost(Name, Box<Host>),
    ReplaceHost { old: Name, name: Name, host: Box<Host> },
    RemoveHost(Name, Box<Host>),
    MakeKey(Name),
    AddKey(Name, Box<Key>),
    RemoveKey(Name),
    ReadKey(Name),
    ExportKey(Name),
    ChooseFile(Purpose),
    ReadFile(Purpose, PathBuf),
    Accept(Box<Invitation>, Name),
    Knock { host: Name, at: Box<Host>, command: String, number: u64, stop: Arc<AtomicBool> },
    Reseed,
    ClearHistory,
    WritePreferences(Preferences),
    OpenFolder,
    Copy(String),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Report {
    Hosts(Profiles, Problems),
    Keys(Vec<KeyRow>),
    History(Entries),
    /// A host is in the file.
    HostSaved(Name),
    KeyAdded(Name),
    KeyRead(Name, Box<Key>),
    /// The text in a file that was chosen.
    FileRead(Purpose, String),
    Knock {
        host: Name,
        number: u64,
        step: Step,
    },
    Told(Notice),
}

/// How far a knock is.
#[derive(Debug)]
pub(super) enum Step {
    LookingUp,
    Sent(SocketAddr),
    Waiting(SocketAddr),
    Ended(Ended),
}
