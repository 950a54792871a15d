//! What is done with keys.

use std::{fs, path::Path};

use super::Desk;
use crate::{
    client::{
        export::{self, Form},
        key_store::{self, KeyReference, Place},
    },
    key::Key,
    name::Name,
    window::{notice::Notice, style::Tone, task::Report},
};

impl Desk {
    pub(super) fn make_key(&self, name: Name) {
        match Key::generate() {
            Ok(key) => self.add_key(name, &key),
            Err(error) => self.report_not_saved("There is no new key", &error),
        }
    }

    pub(super) fn add_key(&self, name: Name, key: &Key) {
        match self.folder.keys().add(&name, key, Place::File) {
            Ok(()) => self.report(Report::KeyAdded(name)),
            Err(key_store::Error::Exists(name)) => self.report(Report::NotSaved(Notice::new(
                Tone::Bad,
                "The key was not kept",
                format!("There is a key {name} already, and it stays. Choose another name."),
            ))),
            Err(error) => self.report_not_saved("The key was not kept", &error),
        }
        self.read_keys();
    }

    pub(super) fn remove_key(&self, name: &Name) {
        if let Err(error) = self.folder.keys().remove(name) {
            self.tell_failure("The key was not removed", &error);
        }
        self.read_keys();
    }

    pub(super) fn read_key(&self, name: Name) {
        match self.folder.keys().read(&KeyReference::Named(name.clone())) {
            Ok(key) => self.report(Report::KeyRead(name, Box::new(key))),
            Err(error) => self.tell_failure("The key could not be read", &error),
        }
    }

    pub(super) fn export_key(&self, name: &Name) {
        let file = format!("{name}.key");
        let Some(path) = self.surroundings.choose_new_file("Export the key", &file) else { return };
        let key = match self.folder.keys().read(&KeyReference::Named(name.clone())) {
            Ok(key) => key,
            Err(error) => return self.tell_failure("The key could not be read", &error),
        };
        if let Err(error) = export::write(&key.to_text(), Form::Text, &path) {
            return self.tell_failure("The key was not exported", &error);
        }
        let readers = if is_private(&path) {
            "which only you can read"
        } else {
            "which others on this computer may be able to read: keep it elsewhere"
        };
        let text = format!("It is in {}, {readers}. Who has this file can knock.", path.display());
        self.tell(Notice::new(Tone::Good, format!("{name} was exported"), text));
    }
}

/// Not every file system keeps what a file was made with.
#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0)
}

/// Nobody says so there.
#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    false
}
