//! Hosts are added, changed, removed and had back.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use egui::{Key, Modifiers};

use crate::person::{Person, add_host, new_folder};

#[test]
fn an_empty_window_says_how_to_begin() {
    let mut person = Person::opens(new_folder());
    person.sees("No host yet");
    person.presses("Add from an invitation");
    person.sees("It begins with ruroco:// and contains a key.");
}

#[test]
fn a_host_is_added_with_a_new_key() {
    let mut person = Person::opens(new_folder());
    person.presses("Add a host by hand");
    person.writes("Name", "home");
    person.writes("Address", "203.0.113.5");
    person.writes("Commands", "open_ssh, close_ssh");
    person.writes("Port that opens", "22");
    person.presses("Make a key");
    person.sees("Name the key after this computer");
    person.types(Modifiers::NONE, Key::Escape);
    person.presses("Save");
    person.sees("Choose a key, or make one.");
    person.presses("Make a key");
    person.sees("the host logs keys by name");
    person.writes("Name", "laptop");
    person.presses("Make the key");
    // It is chosen at once.
    person.no_longer_sees("the host logs keys by name");
    person.presses("Save");
    person.sees("Knock at home: open_ssh");
    person.sees("Knock at home: close_ssh");
    let profiles = person.client().profiles().read().or_problems().unwrap();
    let host = profiles.get("home").unwrap();
    assert_eq!(
        (host.address.to_string(), host.key.to_string()),
        ("203.0.113.5:80".into(), "laptop".into())
    );
    assert_eq!(host.wait.map(std::num::NonZero::get), Some(22));
    assert_eq!(host.command, "open_ssh");
}

#[test]
fn each_field_says_what_is_wrong_with_it_and_nothing_is_saved() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let before = fs::read_to_string(folder.path().join("client.toml")).unwrap();
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.writes("Name", "a b");
    person.writes("Address", "host:99999");
    person.writes("Port that opens", "0");
    person.presses("More settings");
    person.writes("Run commands for another address", "10.0.0.0/8");
    assert!(!person.sees_now("Not saved"), "nobody is told off while still writing");
    person.presses("Save");
    person.sees("Not saved. Correct the fields that are marked above.");
    assert!(person.description("Name").contains("is not a valid name"));
    assert!(person.description("Address").contains("is not a port"));
    assert!(person.description("Port that opens").contains("from 1 to 65535"));
    assert!(person.description("Run commands for another address").contains("IPv4 or IPv6"));
    person.presses("Cancel");
    person.sees("Knock at home: default");
    let after = fs::read_to_string(person.folder.path().join("client.toml")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_host_that_is_changed_keeps_what_somebody_wrote_beside_it() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let path = folder.path().join("client.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("# My hosts.\n{text}")).unwrap();
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.writes("Address", "198.51.100.7:81");
    person.types(Modifiers::COMMAND, Key::S);
    person.sees("198.51.100.7:81");
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("# My hosts.") && text.contains("198.51.100.7:81"), "{text}");
}

#[test]
fn what_was_written_for_one_host_is_not_undone_into_another() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    add_host(&folder, "office", |host| host.address = "198.51.100.7".parse().unwrap());
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.writes("Address", "203.0.113.5");
    person.presses("Cancel");
    person.presses("Edit office");
    person.goes_to("Address");
    person.types(Modifiers::COMMAND, Key::Z);
    assert_eq!(person.reads("Address"), "198.51.100.7:80");
}

#[test]
fn a_host_can_be_called_otherwise() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    add_host(&folder, "office", |_| {});
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.writes("Name", "office");
    person.presses("Save");
    assert!(person.description("Name").contains("Host office already exists"));
    person.writes("Name", "house");
    person.presses("Save");
    person.sees("Knock at house: default");
    assert!(!person.sees_now("Knock at home: default"));
}

#[test]
fn enter_saves_a_host() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    for (field, text, seen) in [
        ("Name", "house", "Knock at house: default"),
        ("Address", "198.51.100.7", "198.51.100.7:80"),
        ("Commands", "open_ssh", "Knock at house: open_ssh"),
        ("Port that opens", "22", "opens port 22"),
    ] {
        person.presses(if field == "Name" { "Edit home" } else { "Edit house" });
        person.writes(field, text);
        person.types(Modifiers::NONE, Key::Enter);
        person.sees(seen);
    }
}

#[test]
fn commands_that_the_form_cannot_say_are_left_to_the_file() {
    let folder = new_folder();
    add_host(&folder, "home", |host| host.command = "open, then close".to_owned());
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.sees("Edit it in client.toml.");
    person.writes("Address", "198.51.100.7");
    person.presses("Save");
    person.sees("198.51.100.7:80");
    person.sees("Knock at home: open, then close");
}

#[test]
fn a_begun_form_is_left_only_by_whoever_is_sure() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let dropped = folder.path().join("dropped.txt");
    fs::write(&dropped, "hello").unwrap();
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.writes("Address", "198.51.100.7");
    person.drops(&dropped);
    person.sees("The file was not read");
    person.types(Modifiers::COMMAND, Key::Num2);
    person.sees("Discard your changes?");
    person.types(Modifiers::NONE, Key::Escape);
    person.no_longer_sees("Discard your changes?");
    assert_eq!(person.reads("Address"), "198.51.100.7");
    person.presses("Keys");
    person.presses("Discard");
    person.sees("Show the key home");
}

#[test]
fn a_list_is_closed_by_escape_and_the_form_stays() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    add_host(&folder, "office", |_| {});
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.writes("Address", "198.51.100.7");
    person.presses("Key");
    person.sees("office");
    person.types(Modifiers::NONE, Key::Escape);
    person.no_longer_sees("office");
    assert_eq!(person.reads("Address"), "198.51.100.7");
    assert!(!person.sees_now("Discard your changes?"));
}

#[test]
fn escape_asks_before_a_begun_form_is_lost() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.presses("More settings");
    person.writes("Address", "198.51.100.7");
    // The first leaves the field.
    person.types(Modifiers::NONE, Key::Escape);
    assert_eq!(person.focused(), None);
    person.presses("IPv4 only");
    person.types(Modifiers::NONE, Key::Escape);
    person.sees("Discard your changes?");
    person.types(Modifiers::NONE, Key::Escape);
    person.no_longer_sees("Discard your changes?");
    assert_eq!(person.reads("Address"), "198.51.100.7");
}

#[test]
fn whatever_is_changed_in_a_form_is_not_lost_without_a_question() {
    let folder = new_folder();
    add_host(&folder, "home", |host| host.ip = Some([192, 0, 2, 1].into()));
    add_host(&folder, "office", |_| {});
    let mut person = Person::opens(folder);
    for choice in [
        "The knock may come from another address",
        "IPv4 only",
        "Knock at every address of the host",
        "office",
    ] {
        person.presses("Edit home");
        if choice == "office" {
            person.presses("Key");
        }
        person.presses(choice);
        person.presses("Keys");
        person.sees("Discard your changes?");
        person.presses("Discard");
        person.presses("Hosts");
    }
    for untouched in ["Edit home", "Add a host"] {
        person.presses(untouched);
        person.presses("Keys");
        person.sees("Show the key home");
        assert!(!person.sees_now("Discard your changes?"), "{untouched}");
        person.presses("Hosts");
    }
}

#[test]
fn to_have_a_host_back_closes_no_form() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.presses("Remove home");
    person.sees("home was removed");
    person.presses("Add a host by hand");
    person.writes("Name", "office");
    person.presses("Undo");
    person.no_longer_sees("home was removed");
    assert_eq!(person.reads("Name"), "office");
}

#[test]
fn a_host_that_was_removed_can_be_had_back() {
    let folder = new_folder();
    add_host(&folder, "home", |host| host.commands = vec!["open_ssh".to_owned()]);
    let mut person = Person::opens(folder);
    let before = person.client().profiles().read().or_problems().unwrap();
    person.presses("Edit home");
    person.presses("Remove home");
    person.sees("home was removed");
    person.sees("No host yet");
    person.presses("Undo");
    person.sees("Edit home");
    person.no_longer_sees("home was removed");
    assert_eq!(person.client().profiles().read().or_problems().unwrap(), before);
}

#[test]
fn one_host_among_many_is_found() {
    let folder = new_folder();
    for letter in 'a'..='z' {
        add_host(&folder, &format!("host-{letter}"), |host| {
            host.commands = vec![format!("open_{letter}")];
        });
    }
    let mut person = Person::opens(folder);
    person.types(Modifiers::COMMAND, Key::F);
    assert_eq!(person.focused().as_deref(), Some("Search hosts"));
    person.writes("Search hosts", "OPEN_q");
    person.sees("Knock at host-q: open_q");
    assert!(!person.sees_now("Knock at host-a"));
    person.writes("Search hosts", "attic");
    person.sees("No host matches “attic”.");
    person.presses("Show all hosts");
    person.sees("Knock at host-a");
    person.writes("Search hosts", "host-b");
    person.types(Modifiers::NONE, Key::Escape);
    person.sees("Knock at host-a");
}

#[test]
fn a_few_hosts_are_searched_only_by_whoever_asks_for_it() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    assert!(!person.has_field("Search hosts"));
    person.types(Modifiers::COMMAND, Key::Num2);
    person.types(Modifiers::COMMAND, Key::F);
    assert_eq!(person.focused().as_deref(), Some("Search hosts"));
}

#[test]
fn a_host_whose_key_cannot_be_used_says_so_before_anybody_knocks() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    add_host(&folder, "office", |_| {});
    let keys = folder.path().join("keys");
    let path = keys.join("home.key");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(keys.join("office.key")).unwrap();
    let mut person = Person::opens(folder);
    person.sees("Cannot knock at home: ");
    person.sees(&format!("chmod 600 {}", path.display()));
    person.sees("Cannot knock at office: Key office not found.");
    // What another program mends is seen, too.
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    person.no_longer_sees("Cannot knock at home");
    person.presses("Import a key");
    person.sees("Import the key");
}

#[test]
fn a_command_name_with_a_no_break_space_is_a_fault_of_its_field() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.writes("Commands", "open\u{a0}ssh");
    person.presses("Save");
    assert!(person.description("Commands").contains("A command name must not"));
    assert!(!person.sees_now("client.toml"), "{}", person.everything());
    person.writes("Commands", "open_ssh");
    person.presses("Save");
    person.sees("Knock at home: open_ssh");
}

#[test]
fn a_search_does_not_hide_the_host_that_was_just_added() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.types(Modifiers::COMMAND, Key::F);
    person.writes("Search hosts", "home");
    person.presses("Add a host");
    person.writes("Name", "office");
    person.writes("Address", "198.51.100.7");
    person.presses("Save");
    person.sees("Knock at office: default");
}

#[test]
fn which_commands_ask_is_written_in_the_form() {
    let folder = new_folder();
    add_host(&folder, "nas", |host| host.commands = vec!["shut_down".to_owned()]);
    let mut person = Person::opens(folder);
    person.presses("Edit nas");
    person.writes("Ask before sending", "shut_donw");
    person.presses("Save");
    assert!(person.description("Ask before sending").contains("not one of the commands"));
    person.writes("Ask before sending", "shut_down");
    person.presses("Save");
    person.presses("Knock at nas: shut_down");
    person.sees("Send shut_down to nas?");
    let profiles = person.client().profiles().read().or_problems().unwrap();
    assert_eq!(profiles.get("nas").unwrap().confirm, ["shut_down"]);
}
