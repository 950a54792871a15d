//! Creating, importing and copying keys.

use ruroco_keys::name::Name;

use super::{Dialog, Model, Screen};
use crate::{action::Action, icons::Icon, notice::Notice, style::Tone, task::Task};

/// The title of the notice after a key was copied. The key may no longer be in the clipboard.
const COPIED: &str = "The key was copied to the clipboard";

impl Model {
    pub(super) fn keep_key(&mut self) -> Option<Task> {
        match &mut self.dialog {
            Some(Dialog::MakeKey(form)) if form.saving.is_none() => {
                form.tried = true;
                let name = form.name(&self.keys).ok()?;
                form.saving = Some(name.clone());
                Some(Task::MakeKey(name))
            }
            Some(Dialog::ImportKey(form)) if form.saving.is_none() && !form.secret.is_waiting() => {
                form.tried = true;
                let (name, key) = form.check(&self.keys).ok()?;
                form.saving = Some(name.clone());
                Some(Task::AddKey(name, Box::new(key)))
            }
            Some(
                Dialog::MakeKey(_)
                | Dialog::ImportKey(_)
                | Dialog::Key(_)
                | Dialog::RemoveKey(_)
                | Dialog::Knock(..)
                | Dialog::ClearHistory
                | Dialog::DiscardForm(_),
            )
            | None => None,
        }
    }

    pub(super) fn key_added(&mut self, name: &Name) {
        let of_dialog = match &self.dialog {
            Some(Dialog::MakeKey(form) | Dialog::ImportKey(form)) => {
                form.saving.as_ref() == Some(name)
            }
            Some(
                Dialog::Key(_)
                | Dialog::RemoveKey(_)
                | Dialog::Knock(..)
                | Dialog::ClearHistory
                | Dialog::DiscardForm(_),
            )
            | None => false,
        };
        if of_dialog {
            self.dialog = None;
        }
        if let Screen::Host(form) = &mut self.screen
            && of_dialog
        {
            form.key = name.to_string();
        } else {
            let text = "The host needs the same key.";
            self.notify(Notice::new(Tone::Good, format!("Key {name} was saved"), text).offering(
                Icon::Shown,
                "Show the key",
                Action::ShowKey(name.clone()),
            ));
        }
    }

    pub(super) fn copy_key(&mut self) {
        let Some(Dialog::Key(shown)) = &self.dialog else { return };
        self.to_copy = Some(shown.key.to_text().into());
        let why = "Other programs can read it until you copy something else.";
        self.notify(Notice::new(Tone::Warning, COPIED, why).offering(
            Icon::Delete,
            "Clear the clipboard",
            Action::ClearClipboard,
        ));
        self.dialog = None;
    }

    pub(super) fn clear_clipboard(&mut self) {
        self.dismiss(COPIED);
        // Not every clipboard accepts an empty text.
        self.to_copy = Some(" ".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{preferences::Preferences, task::Report};
    use ruroco_seal::generate_key;

    fn model() -> Model {
        Model::new(Preferences::default())
    }

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    #[test]
    fn a_key_is_made_once_however_often_the_button_is_pressed() {
        let mut model = model();
        model.handle_action(Action::AskNewKey);
        if let Some(Dialog::MakeKey(form)) = &mut model.dialog {
            form.name = "laptop".to_owned();
        }
        assert!(model.handle_action(Action::MakeKey).is_some());
        assert!(model.handle_action(Action::MakeKey).is_none());
        let notice = Notice::new(Tone::Bad, "The key was not kept", "");
        model.handle_report(Report::NotSaved(notice));
        assert!(
            model.handle_action(Action::MakeKey).is_some(),
            "after a failure it is tried again"
        );
        model.handle_report(Report::KeyAdded(name("laptop")));
        assert!(model.dialog.is_none());
    }

    #[test]
    fn a_key_that_was_read_late_takes_the_place_of_no_other_dialog() {
        let mut model = model();
        model.handle_action(Action::ShowKey(name("home")));
        model.handle_action(Action::AskNewKey);
        let key = Box::new(generate_key().unwrap());
        model.handle_report(Report::KeyRead(name("home"), key));
        assert!(matches!(model.dialog, Some(Dialog::MakeKey(_))));
    }
}
