//! Keyboard shortcuts. Every control can also be reached with Tab and activated with Enter or Space.

use eframe::egui::{Context, Key, KeyboardShortcut, Modifiers, Popup};

use super::{
    action::Action,
    model::{Model, Screen},
};

pub(super) const HOSTS: KeyboardShortcut = with_control(Key::Num1);
pub(super) const KEYS: KeyboardShortcut = with_control(Key::Num2);
pub(super) const HISTORY: KeyboardShortcut = with_control(Key::Num3);
/// The shortcut to add something on the current screen.
pub(super) const NEW: KeyboardShortcut = with_control(Key::N);
pub(super) const IMPORT: KeyboardShortcut = with_control(Key::I);
pub(super) const SEARCH: KeyboardShortcut = with_control(Key::F);
pub(super) const SAVE: KeyboardShortcut = with_control(Key::S);
pub(super) const REFRESH: KeyboardShortcut = KeyboardShortcut::new(Modifiers::NONE, Key::F5);
const ESCAPE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::NONE, Key::Escape);

const fn with_control(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

/// The actions for the keys that were pressed.
pub(super) fn pressed(context: &Context, model: &Model, was_typing: bool) -> Vec<Action> {
    let pressed = |shortcut| context.input_mut(|input| input.consume_shortcut(&shortcut));
    // The first Escape in a form only leaves the field, so that it does not discard the form by accident.
    let leaves_field = was_typing && model.dialog.is_none() && model.has_unsaved_form();
    // Escape closes an open list; egui does that.
    if !Popup::is_any_open(context) && pressed(ESCAPE) && !leaves_field {
        return vec![Action::Escape];
    }
    if model.dialog.is_some() {
        return Vec::new();
    }
    let (new, import, save) = match &model.screen {
        Screen::Keys => (Action::AskNewKey, Action::AskImportKey, None),
        Screen::Host(_) => (Action::NewHost, Action::ShowImport, Some(Action::SaveHost)),
        Screen::Import(_) => (Action::NewHost, Action::ShowImport, Some(Action::AcceptInvitation)),
        Screen::Hosts | Screen::History => (Action::NewHost, Action::ShowImport, None),
    };
    let is_form = save.is_some();
    let mut actions = Vec::new();
    for (shortcut, action) in [
        (HOSTS, Some(Action::ShowHosts)),
        (KEYS, Some(Action::ShowKeys)),
        (HISTORY, Some(Action::ShowHistory)),
        (SEARCH, Some(Action::Search)),
        (NEW, (!is_form).then_some(new)),
        (IMPORT, (!is_form).then_some(import)),
        (SAVE, save),
        (REFRESH, Some(Action::Refresh)),
    ] {
        if let Some(action) = action
            && pressed(shortcut)
        {
            actions.push(action);
        }
    }
    actions
}

/// The text with its shortcut, for a tooltip.
pub(super) fn with_keys(context: &Context, text: &str, shortcut: &KeyboardShortcut) -> String {
    format!("{text} ({})", context.format_shortcut(shortcut))
}
