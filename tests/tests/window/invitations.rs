//! A host comes from an invitation: pasted, given at the start, chosen as a file, or dropped.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use ruroco_invite::{invitation::Invitation, qr};
use ruroco_keys::key::Key;
use ruroco_seal::generate_key;

use crate::person::{Person, add_host, new_folder};

fn invitation(key: &Key) -> String {
    let invitation = Invitation {
        name: "home".parse().unwrap(),
        address: "203.0.113.5".parse().unwrap(),
        key: key.clone(),
        commands: vec!["open_ssh".to_owned()],
        wait: std::num::NonZero::new(22),
        doors: Default::default(),
    };
    invitation.to_text().to_string()
}

fn as_picture(text: &str, path: &Path) {
    const SCALE: usize = 4;
    let code = qr::squares(text).unwrap();
    let side = (code.side + 8) * SCALE;
    let picture = image::GrayImage::from_fn(side as u32, side as u32, |x, y| {
        let at = |pixel: u32| (pixel as usize / SCALE).checked_sub(4).filter(|at| *at < code.side);
        let dark = at(x).zip(at(y)).is_some_and(|(x, y)| code.dark[y * code.side + x]);
        image::Luma([if dark { 0 } else { 255 }])
    });
    picture.save(path).unwrap();
}

fn is_added(person: &mut Person, key: &Key) {
    person.sees("203.0.113.5:80");
    person.sees(&key.id.to_string());
    assert_eq!(person.reads("Name"), "home");
    person.presses("Add this host");
    person.sees("home was added");
    person.sees("Knock at home: open_ssh");
    person.sees("opens port 22");
    let kept = Key::read(&person.folder.path().join("keys/home.key")).unwrap();
    assert_eq!(*kept.to_text(), *key.to_text());
}

#[test]
fn a_pasted_invitation_is_looked_at_and_added() {
    let key = generate_key().unwrap();
    let mut person = Person::opens(new_folder());
    person.presses("Add from an invitation");
    person.writes("Invitation", &invitation(&key));
    is_added(&mut person, &key);
}

#[test]
fn the_doors_of_an_invitation_are_shown_before_they_are_saved() {
    let key = generate_key().unwrap();
    let line = invitation(&key) + "&door=ssh+tcp%2F22+30&open=ssh+open_ssh";
    let mut person = Person::opens(new_folder());
    person.presses("Add from an invitation");
    person.writes("Invitation", &line);
    person.sees("ssh (tcp/22) for 30 s");
    person.presses("Add this host");
    person.sees("opens ssh (tcp/22) for 30 s");
    person.sees("Connect to home");
}

#[test]
fn a_picture_of_an_invitation_is_read() {
    let key = generate_key().unwrap();
    let elsewhere = new_folder();
    let path = elsewhere.path().join("invitation.png");
    as_picture(&invitation(&key), &path);
    let mut person = Person::opens(new_folder());
    *person.desktop.chosen.lock().unwrap() = Some(path);
    person.presses("Add from an invitation");
    person.presses("Choose a file");
    is_added(&mut person, &key);
}

#[test]
fn a_file_that_is_dropped_onto_the_window_is_read() {
    let key = generate_key().unwrap();
    let elsewhere = new_folder();
    let path = elsewhere.path().join("invitation.txt");
    fs::write(&path, invitation(&key)).unwrap();
    let mut person = Person::opens(new_folder());
    person.drops(&path);
    is_added(&mut person, &key);
}

#[test]
fn what_is_no_invitation_is_told_in_words() {
    let key = generate_key().unwrap();
    let elsewhere = new_folder();
    let picture = elsewhere.path().join("cat.png");
    image::GrayImage::new(64, 64).save(&picture).unwrap();
    let mut person = Person::opens(new_folder());
    person.presses("Add from an invitation");
    person.writes("Invitation", "hello");
    assert!(person.description("Invitation").contains("Not an invitation"));
    let half = invitation(&key);
    person.writes("Invitation", &half[..half.len() / 2]);
    assert!(person.description("Invitation").contains("Copy the whole line again"));
    person.drops(&picture);
    person.sees("Cannot read the file");
    person.sees("no QR code was found in the picture");
}

#[test]
fn an_invitation_is_found_in_what_was_printed_around_it() {
    let key = generate_key().unwrap();
    let elsewhere = new_folder();
    let path = elsewhere.path().join("output.txt");
    fs::write(&path, format!("The gate is set up.\n\n  {}\n\nKeep it.\n", invitation(&key)))
        .unwrap();
    let mut person = Person::opens(new_folder());
    person.drops(&path);
    is_added(&mut person, &key);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let elsewhere = new_folder();
    let pipe = elsewhere.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut person = Person::opens(new_folder());
    for path in [pipe.as_path(), Path::new("/dev/zero"), elsewhere.path()] {
        person.drops(path);
        person.sees(&format!("{}: not a file", path.display()));
    }
}

#[test]
fn a_text_that_is_longer_than_any_with_an_invitation_is_not_looked_into() {
    let key = generate_key().unwrap();
    let elsewhere = new_folder();
    let long = format!("{}\n{}", invitation(&key), "x".repeat(64 << 10));
    let path = elsewhere.path().join("log.txt");
    fs::write(&path, &long).unwrap();
    let mut person = Person::opens(new_folder());
    person.drops(&path);
    person.sees("the text is longer than 64 KiB");
    assert_eq!(person.reads("Invitation"), "");
    person.writes("Invitation", &long);
    person.is_told("Invitation", "The text is longer than 64 KiB");
    assert!(!person.sees_now("Add this host"));
}

/// A program that reads pictures, and takes as long as somebody wants.
fn slow_reader(folder: &Path, pipe: &Path) -> std::path::PathBuf {
    let program = folder.join("reader");
    // Not written by this process, which starts others meanwhile: they would keep the file open for writing.
    let make = "mkfifo \"$1\" && printf '#!/bin/sh\\ncat > /dev/null\\nexec cat %s\\n' \"$1\" > \"$2\" && \
                chmod 755 \"$2\"";
    let mut shell = std::process::Command::new("sh");
    let made = shell.args(["-c", make, "sh"]).arg(pipe).arg(&program).status().unwrap();
    assert!(made.success());
    program
}

#[test]
fn while_a_picture_is_read_the_window_says_so_and_nothing_is_added() {
    let (key, other) = (generate_key().unwrap(), generate_key().unwrap());
    let elsewhere = new_folder();
    let (picture, pipe) = (elsewhere.path().join("a.png"), elsewhere.path().join("pipe"));
    as_picture("a", &picture);
    let mut person = Person::opens(new_folder());
    *person.desktop.reader.lock().unwrap() = Some(slow_reader(elsewhere.path(), &pipe));
    person.presses("Add from an invitation");
    person.writes("Invitation", &invitation(&other));
    person.sees("Add this host");
    person.drops(&picture);
    person.sees("Reading the file…");
    assert!(!person.sees_now("Add this host"));
    person.drops(&picture);
    person.sees("Another file is still being read.");
    fs::write(&pipe, invitation(&key)).unwrap();
    person.no_longer_sees("Reading the file…");
    is_added(&mut person, &key);
}

#[test]
fn of_several_files_that_are_dropped_at_once_none_is_read() {
    let key = generate_key().unwrap();
    let elsewhere = new_folder();
    let path = elsewhere.path().join("invitation.txt");
    fs::write(&path, invitation(&key)).unwrap();
    let mut person = Person::opens(new_folder());
    person.drops_all(&[path.as_path(); 20]);
    person.sees("Drop one file at a time.");
    person.drops(&path);
    is_added(&mut person, &key);
}

#[test]
fn enter_adds_the_host_of_an_invitation() {
    let key = generate_key().unwrap();
    let mut person = Person::opens(new_folder());
    person.presses("Add from an invitation");
    person.writes("Invitation", &invitation(&key));
    person.writes("Name", "house");
    person.sees("Add this host");
    person.types(egui::Modifiers::NONE, egui::Key::Enter);
    person.sees("house was added");
}

#[test]
fn a_host_that_was_removed_is_had_back_from_its_invitation() {
    let (key, other) = (generate_key().unwrap(), generate_key().unwrap());
    let mut person = Person::opens(new_folder());
    person.presses("Add from an invitation");
    person.writes("Invitation", &invitation(&key));
    is_added(&mut person, &key);
    person.presses("Edit home");
    person.presses("Remove home");
    person.sees("No host yet");
    person.presses("Add from an invitation");
    person.writes("Invitation", &invitation(&other));
    person.is_told("Name", "Key home already exists");
    person.writes("Invitation", &invitation(&key));
    is_added(&mut person, &key);
}

#[test]
fn another_key_with_the_id_of_an_invitations_is_left_alone() {
    let folder = new_folder();
    let kept = add_host(&folder, "home", |_| {});
    let client = ruroco_client::folder::Folder::at(folder.path());
    client.profiles().remove("home").unwrap();
    let forged = Key { secret: generate_key().unwrap().secret, ..kept };
    let mut person = Person::opens(folder);
    person.presses("Add from an invitation");
    person.writes("Invitation", &invitation(&forged));
    person.is_told(
        "Name",
        "Key home already exists and is not the key of this invitation. Enter another name.",
    );
    person.presses("Add this host");
    assert!(!person.sees_now("was added"));
}

#[test]
fn a_host_whose_key_cannot_be_read_is_not_said_to_have_another() {
    let folder = new_folder();
    let key = add_host(&folder, "home", |_| {});
    let path = folder.path().join("keys/home.key");
    let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let mut person = Person::opens(folder);
    for reference in ["home", path.to_str().unwrap()] {
        let profiles = person.client().profiles();
        let home = "home".parse().unwrap();
        let mut host = profiles.read().or_problems().unwrap().get("home").unwrap().clone();
        host.key = reference.parse().unwrap();
        profiles.replace(&home, &host).unwrap();
        set_mode(0o644);
        person.presses("From an invitation");
        person.writes("Invitation", &invitation(&key));
        person.is_told("Name", &format!("chmod 600 {}", path.display()));
        assert!(!person.description("Name").contains("another key"));
        // What another program mends is seen, too.
        set_mode(0o600);
        person.sees("home already exists. This invitation changes:");
        person.presses("Cancel");
    }
}

#[test]
fn a_second_host_of_the_same_name_gets_another() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let key = generate_key().unwrap();
    let mut person = Person::opens(folder);
    person.presses("From an invitation");
    person.writes("Invitation", &invitation(&key));
    person.is_told("Name", "Host home already exists");
    person.presses("Add this host");
    assert!(!person.sees_now("was added"));
    person.writes("Name", "home2");
    person.presses("Add this host");
    person.sees("Knock at home2: open_ssh");
}

#[test]
fn an_invitation_for_a_known_host_shows_what_it_changes_and_updates_it() {
    let folder = new_folder();
    let key = add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.presses("From an invitation");
    person.writes("Invitation", &invitation(&key));
    person.sees("home already exists. This invitation changes:");
    person.presses("Update home");
    person.sees("home was updated");
    person.presses("From an invitation");
    person.writes("Invitation", &invitation(&key));
    person.sees("home already exists with the same settings.");
    person.presses("Keep home");
    person.sees("home is unchanged");
    assert!(!person.sees_now("home was added"));
}

#[test]
fn a_pasted_invitation_is_shown_only_to_whoever_asks_for_it() {
    let key = generate_key().unwrap();
    let mut person = Person::opens(new_folder());
    person.presses("Add from an invitation");
    person.writes("Invitation", &invitation(&key));
    person.sees("203.0.113.5:80");
    assert!(!person.reads("Invitation").contains("ruroco"), "{}", person.reads("Invitation"));
    person.presses("Show the invitation");
    assert_eq!(person.reads("Invitation"), invitation(&key));
    person.presses("Hide the invitation");
    assert!(!person.reads("Invitation").contains("ruroco"));
}
