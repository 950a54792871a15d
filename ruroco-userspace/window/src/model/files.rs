//! Files that the user drops or chooses: one at a time, for the current form.

use std::path::{Path, PathBuf};

use super::{Dialog, Model, Screen};
use crate::{
    action::Purpose, notice::Notice, secret_field::SecretField, secret_text::SecretText,
    style::Tone, task::Task,
};

impl Model {
    /// Files dropped onto the window at once.
    pub(crate) fn dropped<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a Path>,
    ) -> Option<Task> {
        let mut files = files.into_iter();
        let path = files.next()?;
        if files.next().is_some() {
            return self.notify_not_read("Drop one file at a time.");
        }
        let purpose = match (&self.dialog, &self.screen) {
            (Some(Dialog::ImportKey(form)), _) if form.saving.is_none() => Purpose::Key,
            (Some(_), _) => {
                return self.notify_not_read("Close the dialog first, then drop the file again.");
            }
            (None, Screen::Import(form)) if form.saving.is_some() => {
                return self
                    .notify_not_read("Wait until the host is saved, then drop the file again.");
            }
            (None, Screen::Import(_)) => Purpose::Invitation,
            (None, _) if self.has_unsaved_form() => {
                let text = "Save or discard your changes, then drop the file again.";
                return self.notify_not_read(text);
            }
            (None, _) if self.reading.is_some() => Purpose::Invitation,
            (None, _) => {
                self.go(Screen::Import(Box::default()));
                Purpose::Invitation
            }
        };
        self.read(purpose, path.to_owned())
    }

    /// Reads a file that the user chose, unless the user has left the form in the meantime.
    pub(super) fn file_chosen(&mut self, purpose: Purpose, path: PathBuf) -> Option<Task> {
        self.field_for(purpose)?;
        self.read(purpose, path)
    }

    pub(super) fn file_read(&mut self, number: u64, read: Result<SecretText, Notice>) {
        self.reading.take_if(|reading| *reading == number);
        let is_for_invitation =
            self.field_for(Purpose::Invitation).is_some_and(|field| field.end_reading(number));
        let is_for_key =
            self.field_for(Purpose::Key).is_some_and(|field| field.end_reading(number));
        let text = match read {
            Ok(text) => text,
            Err(notice) => return self.notify(notice),
        };
        if let Screen::Import(form) = &mut self.screen
            && is_for_invitation
        {
            form.secret.text = text;
            form.follow_text();
        } else if let Some(field) = self.field_for(Purpose::Key)
            && is_for_key
        {
            field.text = text;
        }
    }

    fn read(&mut self, purpose: Purpose, path: PathBuf) -> Option<Task> {
        if self.reading.is_some() {
            return self.notify_not_read("Another file is still being read. Wait, then try again.");
        }
        let number = self.reads.wrapping_add(1);
        self.field_for(purpose)?.wait_for(number);
        (self.reads, self.reading) = (number, Some(number));
        Some(Task::ReadFile(number, path))
    }

    /// The field for the text of a file.
    fn field_for(&mut self, purpose: Purpose) -> Option<&mut SecretField> {
        match (purpose, &mut self.dialog, &mut self.screen) {
            (Purpose::Key, Some(Dialog::ImportKey(form)), _) => Some(&mut form.secret),
            (Purpose::Invitation, _, Screen::Import(form)) => Some(&mut form.secret),
            (Purpose::Key | Purpose::Invitation, ..) => None,
        }
    }

    fn notify_not_read(&mut self, why: &str) -> Option<Task> {
        self.notify(Notice::new(Tone::Warning, "The file was not read", why));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{action::Action, preferences::Preferences, task::Report};

    fn model() -> Model {
        Model::new(Preferences::default())
    }

    fn dropped(model: &mut Model, files: &[&str]) -> Option<u64> {
        match model.dropped(files.iter().map(Path::new)) {
            Some(Task::ReadFile(number, _)) => Some(number),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    fn field(model: &mut Model) -> &mut SecretField {
        let is_key = matches!(model.dialog, Some(Dialog::ImportKey(_)));
        model.field_for(if is_key { Purpose::Key } else { Purpose::Invitation }).unwrap()
    }

    fn read(model: &mut Model, number: u64, text: &str) {
        model.handle_report(Report::FileRead(number, Ok(text.into())));
    }

    fn notices(model: &Model) -> Vec<&str> {
        model.notices.iter().map(|notice| notice.text.as_str()).collect()
    }

    #[test]
    fn a_picture_that_was_read_late_replaces_nothing_that_was_written_meanwhile() {
        for form in [Action::ShowImport, Action::AskImportKey] {
            let mut model = model();
            model.handle_action(form);
            let number = dropped(&mut model, &["a.png"]).unwrap();
            assert!(field(&mut model).is_waiting());
            field(&mut model).text = "pasted".into();
            assert!(!field(&mut model).is_waiting());
            read(&mut model, number, "read");
            assert_eq!(**field(&mut model).text, *"pasted");
            // The next one is for the text that is there now.
            let number = dropped(&mut model, &["a.png"]).unwrap();
            read(&mut model, number, "read");
            assert_eq!(**field(&mut model).text, *"read");
        }
    }

    #[test]
    fn a_picture_that_was_read_late_does_not_go_into_the_next_form() {
        for (form, leave) in
            [(Action::ShowImport, Action::Back), (Action::AskImportKey, Action::Escape)]
        {
            let mut model = model();
            model.handle_action(form.clone());
            let number = dropped(&mut model, &["a.png"]).unwrap();
            model.handle_action(leave);
            model.handle_action(form);
            read(&mut model, number, "read");
            assert!(field(&mut model).text.is_empty());
        }
    }

    #[test]
    fn nothing_is_accepted_while_a_file_is_read_that_replaces_it() {
        let mut model = model();
        model.handle_action(Action::AskImportKey);
        let Some(Dialog::ImportKey(form)) = &mut model.dialog else { panic!("no dialog") };
        form.name = "laptop".to_owned();
        form.secret.text = ruroco_seal::generate_key().unwrap().to_text().into();
        let number = dropped(&mut model, &["a.png"]).unwrap();
        assert!(model.handle_action(Action::ImportKey).is_none());
        let notice = Notice::new(Tone::Bad, "Cannot read the file", "");
        model.handle_report(Report::FileRead(number, Err(notice)));
        assert!(model.handle_action(Action::ImportKey).is_some());
    }

    #[test]
    fn one_file_is_read_at_a_time() {
        let mut model = model();
        let many = vec!["a.png"; 200];
        assert_eq!(dropped(&mut model, &many), None);
        assert_eq!(notices(&model), ["Drop one file at a time."]);
        assert!(matches!(model.screen, Screen::Hosts));
        let number = dropped(&mut model, &["a.png"]).unwrap();
        for _ in 0..3 {
            assert_eq!(dropped(&mut model, &["b.png"]), None);
        }
        let chosen = Report::FileChosen(Purpose::Invitation, "c.png".into());
        assert!(model.handle_report(chosen).is_none());
        // Leaving the form does not end the process.
        model.handle_action(Action::Back);
        assert_eq!(dropped(&mut model, &["b.png"]), None);
        assert!(
            notices(&model).contains(&"Another file is still being read. Wait, then try again.")
        );
        read(&mut model, number, "read");
        assert!(dropped(&mut model, &["b.png"]).is_some());
    }

    #[test]
    fn a_file_is_not_read_before_what_it_would_replace_is_closed() {
        let mut model = model();
        model.handle_action(Action::AskNewKey);
        assert_eq!(dropped(&mut model, &["a.png"]), None);
        assert_eq!(notices(&model), ["Close the dialog first, then drop the file again."]);
        model.handle_action(Action::Back);
        model.handle_action(Action::NewHost);
        let Screen::Host(form) = &mut model.screen else { panic!("no form") };
        form.name = "home".to_owned();
        assert_eq!(dropped(&mut model, &["a.png"]), None);
        assert_eq!(notices(&model), ["Save or discard your changes, then drop the file again."]);
    }
}
