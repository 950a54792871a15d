//! What a person can do. Screens give [`Action`]s; the model answers with
//! [`Task`](super::task::Task)s, which take their time and are done elsewhere; what comes of them is a
//! [`Report`](super::task::Report).

use ruroco_client::profiles::Host;
use ruroco_keys::name::Name;

use super::preferences::Theme;

/// What a person wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    ShowHosts,
    ShowKeys,
    ShowHistory,
    ShowImport,
    /// Closes the dialog, or discards the form and shows the hosts.
    Back,
    /// The Escape key: asks before it discards a begun form.
    Escape,
    /// Discards a begun form.
    Leave,
    NewHost,
    EditHost(Name),
    SaveHost,
    RemoveHost(Name),
    /// Undoes a removal.
    RestoreHost(Name, Box<Host>),
    /// Puts the keyboard into the field to search in.
    Search,
    /// Shows all hosts again.
    EndSearch,
    /// Knocks, after a question if the command asks one.
    Knock(Name, String),
    /// The answer was yes.
    KnockSurely(Name, String),
    /// No longer waits.
    Cancel(Name),
    /// Dismisses the result of a knock.
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
    /// Reads everything again.
    Refresh,
    /// Dismisses the notice with this title.
    Dismiss(String),
}

/// What a file is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Invitation,
    Key,
}
