//! Tasks about keys.

use std::{fs, path::Path};

use ruroco_client::{
    export::{self, Form},
    key_store::{self, KeyReference, Place},
};
use ruroco_keys::{key::Key, name::Name};
use ruroco_seal::generate_key;

use super::Worker;
use crate::{notice::Notice, style::Tone, task::Report};

impl Worker {
    pub(super) fn make_key(&self, name: Name) {
        match generate_key() {
            Ok(key) => self.add_key(name, &key),
            Err(error) => self.report_not_saved("No key was made", &error),
        }
    }

    pub(super) fn add_key(&self, name: Name, key: &Key) {
        match self.folder.keys().add(&name, key, Place::File) {
            Ok(()) => self.report(Report::KeyAdded(name)),
            Err(key_store::Error::Exists(name)) => self.report(Report::NotSaved(Notice::new(
                Tone::Bad,
                "The key was not saved",
                format!("Key {name} already exists. Choose another name."),
            ))),
            Err(error) => self.report_not_saved("The key was not saved", &error),
        }
        self.read_keys_again();
    }

    pub(super) fn remove_key(&self, name: &Name) {
        if let Err(error) = self.folder.keys().remove(name) {
            self.report_failure("The key was not deleted", &error);
        }
        self.read_keys_again();
    }

    pub(super) fn read_key(&self, name: Name) {
        match self.folder.keys().read(&KeyReference::Named(name.clone())) {
            Ok(key) => self.report(Report::KeyRead(name, Box::new(key))),
            Err(error) => self.report_failure("Cannot read the key", &error),
        }
    }

    pub(super) fn export_key(&self, name: &Name) {
        let file = format!("{name}.key");
        let Some(path) = self.platform.choose_new_file("Export the key", &file) else { return };
        let key = match self.folder.keys().read(&KeyReference::Named(name.clone())) {
            Ok(key) => key,
            Err(error) => return self.report_failure("Cannot read the key", &error),
        };
        if let Err(error) = export::write(&key.to_text(), Form::Text, &path) {
            return self.report_failure("The key was not exported", &error);
        }
        let readers = if is_private(&path) {
            "Only you can read this file"
        } else {
            "Other users may be able to read this file: move it to a private place"
        };
        let text =
            format!("Saved as {}. {readers}. Anyone who has it can knock as you.", path.display());
        self.notify(Notice::new(Tone::Good, format!("Key {name} was exported"), text));
    }
}

/// Not every file system stores the permissions with which a file was created.
#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0)
}

/// Unknown on other systems.
#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    false
}
