//! `ruroco-client invite`.

use std::fs;

use crate::{
    person::{INVITATION, KEY, KEY_ID, Person, expect_no_secret, mode},
    terminal,
};

#[test]
fn an_invitation_becomes_a_host_and_a_key() {
    let person = Person::new();
    // There is always a way to oneself.
    let invitation = INVITATION.replace("203.0.113.5", "127.0.0.1");
    let said = person.say(&["invite"], &invitation);
    assert!(said.starts_with("added host home (127.0.0.1:80)") && said.contains(KEY_ID), "{said}");
    for told in ["would ask home for open_ssh", "to 127.0.0.1:80", "port 22 to open"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(said.trim_end().ends_with("ruroco-client send home"), "{said}");
    assert_eq!(mode(person.folder().join("keys/home.key")), 0o600);
    assert!(!person.folder().join("counter").exists(), "nothing was sent");
    let listed = person.run(&["host", "list"]);
    assert!(listed.contains("open_ssh close_ssh  (key home, port 22)"), "{listed}");

    let before = person.hosts();
    let again = person.say(&["invite"], &invitation);
    assert!(again.starts_with("there already: host home"), "{again}");
    assert_eq!(person.hosts(), before);
}

#[test]
fn an_invitation_is_found_in_what_the_host_has_printed() {
    let person = Person::new();
    let printed =
        format!("█▀▀█ ▄▀█\n\n{INVITATION}\n\nIt holds the key laptop\n  ruroco-client invite\n");
    person.say(&["invite", "-"], &printed);
    assert!(person.run(&["host", "list"]).starts_with("home "));
}

#[test]
fn an_invitation_comes_from_a_file_and_from_the_keyboard() {
    let person = Person::new();
    let file = person.write("invitation", INVITATION, 0o600);
    let said = person.run(&["invite", "--name", "a", &file]);
    assert!(said.contains("invitation holds the key, too: remove it"), "{said}");
    let line = format!("{INVITATION}\n");
    let (shown, done) = terminal::type_unseen(&person, &["invite", "--name", "b"], &line);
    assert!(done && shown.contains("added host b"), "{shown}");
    expect_no_secret(&shown);
    let open = person.write("open", INVITATION, 0o644);
    assert!(person.refused(&["invite", &open]).contains("chmod 600"));
}

#[test]
fn an_invitation_comes_from_a_picture() {
    let person = Person::new();
    let picture = ruroco::qr::picture::png(INVITATION).unwrap();
    fs::write(person.path("screen.png"), &*picture).unwrap();
    let said = person.run(&["invite", "--qr", "screen.png"]);
    assert!(said.starts_with("added host home") && said.contains("screen.png"), "{said}");
    fs::write(person.path("none.png"), "x").unwrap();
    let refused = person.refused(&["invite", "--qr", "none.png"]);
    assert!(refused.contains("none.png: could not be read as a PNG or JPEG"), "{refused}");
    assert!(person.refused(&["invite", "--qr", "missing.png"]).contains("missing.png"));
}

#[test]
fn a_part_of_an_invitation_leaves_nothing_behind() {
    let person = Person::new();
    for (input, told) in [
        (INVITATION.split("&key").next().unwrap(), "no `key`: was the whole line copied?"),
        (INVITATION.split("MzQ1").next().unwrap(), "key is damaged: was the whole line copied?"),
        (INVITATION.strip_prefix("ruroco:").unwrap(), "begins with `ruroco://`"),
        (KEY, "not an invitation"),
        ("", "not an invitation"),
    ] {
        let refused = person.refused_input(&["invite"], input);
        assert!(refused.contains(told), "{refused}");
    }
    assert_eq!(person.hosts(), "");
    assert!(person.run(&["key", "list"]).contains("no key yet"));
}

#[test]
fn what_is_there_and_something_else_stays() {
    let person = Person::new();
    person.say(&["invite"], INVITATION);
    let before = person.hosts();
    let other_port = INVITATION.replace(":80?", ":81?");
    let refused = person.refused_input(&["invite"], &other_port);
    assert!(refused.contains("another host home") && refused.contains("--name"), "{refused}");
    let other_key = INVITATION.replace("AAEC", "BAEC");
    let refused = person.refused_input(&["invite"], &other_key);
    assert!(refused.contains("another key home") && refused.contains("--name"), "{refused}");
    assert_eq!(person.hosts(), before);
    person.say(&["invite", "--name", "work"], &other_key);
    assert_eq!(person.run(&["host", "list"]).lines().count(), 2);
}

#[test]
fn a_damaged_list_of_hosts_keeps_the_key_out() {
    let person = Person::new();
    person.write_hosts("[hosts.a]\naddress = 5\n");
    let refused = person.refused_input(&["invite"], INVITATION);
    assert!(refused.contains("client.toml:2: "), "{refused}");
    assert!(person.run(&["key", "list"]).contains("no key yet"));
}

#[test]
fn an_invitation_cannot_take_the_place_of_a_host() {
    let person = Person::new();
    person.say(&["invite"], INVITATION);
    let before = person.hosts();
    let other = INVITATION.replace("//203.0.113.5", "//198.51.100.66");
    for name in ["203.0.113.5", "home"] {
        person.refused_input(&["invite", "--name", name], &other);
    }
    let refused = person.refused_input(&["invite", "--name", "203.0.113.5"], &other);
    assert!(refused.contains("would be taken for the host home"), "{refused}");
    assert_eq!(person.hosts(), before);
    assert_eq!(person.run(&["key", "list"]).lines().count(), 1, "no key is left behind");
}

#[test]
fn what_keeps_every_knock_from_being_sent_is_an_error() {
    let person = Person::new();
    fs::create_dir(person.folder()).unwrap();
    fs::write(person.folder().join("counter"), [1; 15]).unwrap();
    let invitation = INVITATION.replace("203.0.113.5", "127.0.0.1");
    let refused = person.refused_input(&["invite"], &invitation);
    assert!(refused.contains("ruroco-client reseed"), "{refused}");
    assert!(person.run(&["host", "list"]).starts_with("home "), "the host is there");
}

#[test]
fn an_address_that_nobody_knows_is_told_at_once() {
    let person = Person::new();
    let unknown = INVITATION.replace("203.0.113.5", "host.invalid");
    let said = person.say(&["invite"], &unknown);
    let told = "could not be sent from here: could not find the address of host.invalid";
    assert!(said.contains(told), "{said}");
    assert!(person.run(&["host", "list"]).contains("host.invalid"), "the host is there");
}
