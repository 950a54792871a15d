//! The user's actions. Screens return [`Action`]s, the model turns them into
//! [`Task`](super::task::Task)s for the workers, and the workers send [`Report`](super::task::Report)s
//! back.

use ruroco_client::profiles::Host;
use ruroco_keys::name::Name;

use super::preferences::Theme;

/// An action of the user.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    ShowHosts,
    ShowKeys,
    ShowHistory,
    ShowImport,
    /// Closes the dialog, or discards the form and shows the hosts.
    Back,
    /// The Escape key: prompts before it discards a form with changes.
    Escape,
    /// Discards a form with changes.
    DiscardForm,
    NewHost,
    EditHost(Name),
    SaveHost,
    RemoveHost(Name),
    /// Undoes a removal.
    RestoreHost(Name, Box<Host>),
    /// Moves the keyboard focus to the search field.
    Search,
    /// Shows all hosts again.
    EndSearch,
    /// Sends a knock, after a confirmation if the command requires one.
    Knock(Name, String),
    /// Sends a knock that the user has confirmed.
    KnockConfirmed(Name, String),
    /// Copies the command line that connects to a host, and knocks first unless its port is open.
    Connect(Name),
    /// Stops waiting for the result of a knock.
    StopKnock(Name),
    /// Dismisses the result of a knock.
    DismissResult(Name),
    Reseed,
    /// Prompts for the name of a new key.
    AskNewKey,
    MakeKey,
    AskImportKey,
    ImportKey,
    ShowKey(Name),
    ExportKey(Name),
    AskRemoveKey(Name),
    RemoveKey(Name),
    CopyKey,
    ClearClipboard,
    ChooseFile(Purpose),
    AcceptInvitation,
    AskClearHistory,
    ClearHistory,
    SwitchTheme(Theme),
    OpenFolder,
    /// Reads everything again.
    Refresh,
    /// Dismisses the notice with this title.
    Dismiss(String),
}

/// What a chosen file should contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Invitation,
    Key,
}
