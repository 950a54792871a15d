//! What a person can do. Screens give [`Action`]s; the model answers with
//! [`Task`](super::task::Task)s, which take their time and are done elsewhere; what comes of them is a
//! [`Report`](super::task::Report).

use crate::{client::profiles::Host, name::Name};

use super::preferences::Theme;

/// What a person wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    ShowHosts,
    ShowKeys,
    ShowHistory,
    ShowImport,
    /// Out of the dialog, or back to the hosts, whatever was begun.
    Back,
    /// The same by a key that one is quick to press: not out of a begun form.
    Escape,
    /// Gives up a begun form.
    Leave,
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
