//! Keys are made, shown when somebody asks for it, taken over, given away and removed.

use std::{fs, os::unix::fs::PermissionsExt};

use egui::{Key, Modifiers};
use ruroco_keys::key::Key as Secret;

use crate::person::{Person, add_host, new_folder};

#[test]
fn a_key_is_made_and_kept_from_others() {
    let mut person = Person::opens(new_folder());
    person.types(Modifiers::COMMAND, Key::Num2);
    person.sees("No keys yet");
    person.presses("Make a key");
    person.presses("Make the key");
    assert!(person.description("Name").contains("Enter a name."));
    person.writes("Name", "laptop");
    person.presses("Make the key");
    person.sees("Key laptop was saved");
    let path = person.folder.path().join("keys/laptop.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = Secret::read(&path).unwrap();
    person.sees(&format!("id {}", key.id));
}

#[test]
fn a_key_is_seen_only_by_whoever_asks_for_it() {
    let folder = new_folder();
    let key = add_host(&folder, "home", |_| {});
    let text = key.to_text().to_string();
    let mut person = Person::opens(folder);
    person.presses("Keys");
    person.sees("For home");
    person.presses("Show the key home");
    person.sees("Anyone with this key can knock.");
    assert!(!person.everything().contains(&text));
    person.presses("Show the text");
    person.sees(&text);
    person.presses("Show the QR code");
    person.sees("The key as a QR code");
    person.presses("Copy");
    let copied = person.copies();
    assert_eq!(copied, text);
    person.sees("The key was copied to the clipboard");
    assert!(!person.everything().contains(&text));
    person.presses("Clear the clipboard");
    assert_eq!(person.copies(), " ");
    person.no_longer_sees("The key was copied to the clipboard");
}

/// As a file on a server that is away.
#[test]
fn what_hangs_elsewhere_keeps_no_key_from_being_seen_and_removed() {
    let folder = new_folder();
    let key = add_host(&folder, "home", |_| {});
    let path = folder.path().join("keys/home.key");
    let hangs = folder.path().join("keys/hangs.keyring");
    let mut person = Person::opens(folder);
    person.presses("Keys");
    let made = std::process::Command::new("mkfifo").arg(&hangs).status().unwrap();
    assert!(made.success());
    person.types(Modifiers::NONE, Key::F5);
    person.presses("Show the key home");
    person.presses("Copy");
    assert_eq!(person.copies(), *key.to_text());
    person.presses("Clear the clipboard");
    assert_eq!(person.copies(), " ");
    person.presses("Delete the key home");
    person.presses("Delete home");
    ruroco_lab::wait::until("the key to be gone", || (!path.exists()).then_some(()));
}

#[test]
fn a_key_that_was_exported_can_be_imported() {
    let folder = new_folder();
    let key = add_host(&folder, "home", |_| {});
    let elsewhere = new_folder();
    let mut person = Person::opens(folder);
    *person.desktop.chosen.lock().unwrap() = Some(elsewhere.path().to_owned());
    person.presses("Keys");
    person.presses("Export the key home to a file");
    person.sees("Key home was exported");
    let path = elsewhere.path().join("home.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    *person.desktop.chosen.lock().unwrap() = Some(path);
    person.presses("Import a key");
    person.writes("Name", "copy");
    person.presses("Choose a file");
    person.waits_for_field("Key");
    person.presses("Import the key");
    person.sees("Key copy was saved");
    let copy = Secret::read(&person.folder.path().join("keys/copy.key")).unwrap();
    assert_eq!(*copy.to_text(), *key.to_text());
}

#[test]
fn an_export_takes_the_place_of_no_file() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let elsewhere = new_folder();
    for name in ["home.key", "home.key.new"] {
        fs::write(elsewhere.path().join(name), "another").unwrap();
    }
    let mut person = Person::opens(folder);
    *person.desktop.chosen.lock().unwrap() = Some(elsewhere.path().to_owned());
    person.presses("Keys");
    person.presses("Export the key home to a file");
    person.sees("The key was not exported");
    person.sees("already exists and was not changed");
    for name in ["home.key", "home.key.new"] {
        assert_eq!(fs::read_to_string(elsewhere.path().join(name)).unwrap(), "another");
    }
}

#[test]
fn enter_does_what_the_first_button_of_a_dialog_does() {
    let key = ruroco_seal::generate_key().unwrap();
    let mut person = Person::opens(new_folder());
    person.presses("Keys");
    person.presses("Make a key");
    person.types(Modifiers::NONE, Key::Enter);
    person.sees("Enter a name.");
    person.writes("Name", "laptop");
    person.types(Modifiers::NONE, Key::Enter);
    person.sees("Key laptop was saved");
    // The new row moves what is below it.
    person.sees("Show the key laptop");
    person.presses("Import a key");
    person.writes("Name", "copy");
    person.writes("Key", &key.to_text());
    person.types(Modifiers::NONE, Key::Enter);
    person.sees("Key copy was saved");
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let mut person = Person::opens(new_folder());
    person.presses("Keys");
    person.presses("Import a key");
    person.writes("Name", "laptop");
    person.writes("Key", "chacha20poly1305:AAAA");
    person.presses("Import the key");
    assert!(person.description("Key").contains("Not a key"), "{}", person.description("Key"));
    assert!(!person.everything().contains("AAAA"));
    person.types(Modifiers::NONE, Key::Escape);
    person.types(Modifiers::NONE, Key::Escape);
    person.no_longer_sees("Import the key");
}

#[test]
fn nothing_brings_a_key_back_that_was_written_into_a_form() {
    let mut person = Person::opens(new_folder());
    person.presses("Keys");
    person.presses("Import a key");
    person.writes("Key", "chacha20poly1305:AAAA");
    person.types(Modifiers::COMMAND, Key::Z);
    assert_eq!(person.reads("Key"), "", "what was written can be undone while it is written");
    person.writes("Key", "chacha20poly1305:AAAA");
    person.presses("Cancel");
    person.no_longer_sees("Import the key");
    person.presses("Import a key");
    person.goes_to("Key");
    person.types(Modifiers::COMMAND, Key::Z);
    assert_eq!(person.reads("Key"), "");
    person.writes("Key", "chacha20poly1305:AAAA");
    person.types(Modifiers::COMMAND, Key::A);
    person.types(Modifiers::NONE, Key::Backspace);
    assert_eq!(person.reads("Key"), "");
    person.goes_to("Name");
    person.goes_to("Key");
    person.types(Modifiers::COMMAND, Key::Z);
    assert_eq!(person.reads("Key"), "");
}

#[test]
fn a_key_that_a_host_has_by_the_path_of_its_file_is_in_use() {
    let folder = new_folder();
    let path = folder.path().join("keys/home.key");
    add_host(&folder, "home", |host| host.key = path.to_str().unwrap().parse().unwrap());
    let mut person = Person::opens(folder);
    person.presses("Keys");
    person.sees("For home");
    person.presses("Delete the key home");
    person.sees("You will no longer be able to knock at home.");
}

#[test]
fn a_key_is_removed_only_by_whoever_is_sure() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let path = folder.path().join("keys/home.key");
    let mut person = Person::opens(folder);
    person.presses("Keys");
    person.presses("Delete the key home");
    person.sees("You will no longer be able to knock at home.");
    person.types(Modifiers::NONE, Key::Escape);
    assert!(path.exists());
    person.presses("Delete the key home");
    person.presses("Delete home");
    person.sees("No keys yet");
    assert!(!path.exists());
}

#[test]
fn what_went_well_is_not_told_on_every_screen() {
    let mut person = Person::opens(new_folder());
    person.presses("Keys");
    person.presses("Make a key");
    person.writes("Name", "laptop");
    person.presses("Make the key");
    person.sees("Key laptop was saved");
    for screen in ["Hosts", "Keys"] {
        person.presses(screen);
        assert!(!person.sees_now("Key laptop was saved"), "{screen}");
    }
    person.presses("Make a key");
    person.writes("Name", "phone");
    person.presses("Make the key");
    person.presses("Dismiss: Key phone was saved");
    person.no_longer_sees("Key phone was saved");
}
