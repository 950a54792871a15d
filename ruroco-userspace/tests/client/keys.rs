//! `ruroco-client key`.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use crate::{
    person::{KEY, KEY_ID, Person, expect_no_secret, mode},
    terminal,
};

#[test]
fn a_key_is_made_kept_listed_and_removed() {
    let person = Person::new();
    assert!(person.run(&["key", "list"]).contains("ruroco-client join"));
    let said = person.run(&["key", "gen", "home"]);
    assert!(said.contains("ruroco-client key export home"), "{said}");
    let file = person.folder().join("keys/home.key");
    assert_eq!((mode(&file), mode(person.folder())), (0o600, 0o700));
    assert_eq!(mode(person.folder().join("keys")), 0o700);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("chacha20poly1305:") && text.ends_with("==\n"), "{text}");
    let id = said.split("chacha20poly1305 ").nth(1).unwrap().get(..16).unwrap();
    let listed = person.run(&["key", "list"]);
    assert!(listed.contains(id) && listed.contains(file.to_str().unwrap()), "{listed}");
    assert!(!listed.contains(text.trim()) && !said.contains(text.trim()));

    let refused = person.refused(&["key", "gen", "home"]);
    assert!(refused.contains("key home already exists"), "{refused}");
    let refused = person.refused(&["key", "remove", "home"]);
    assert!(refused.contains("without confirmation (no terminal). Pass --yes"), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "it is as it was");
    person.run(&["key", "remove", "home", "--yes"]);
    assert!(!file.exists());
    assert!(person.refused(&["key", "remove", "home", "--yes"]).contains("key home not found"));
}

#[test]
fn a_key_goes_to_a_file_that_is_not_there_yet() {
    let person = Person::new();
    person.run(&["key", "gen", "--out", "k.key"]);
    let path = person.path("k.key");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let refused = person.refused(&["key", "gen", "--out", "k.key"]);
    assert!(refused.contains("k.key already exists"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(!person.folder().exists(), "no folder is made for it");
}

#[test]
fn a_key_for_upstream_is_one_bare_line() {
    let person = Person::new();
    assert!(person.run(&["key", "gen", "old", "--upstream"]).contains("aes256gcmsiv"));
    let text = person.reveal(&["key", "export", "old"]);
    assert_eq!((text.trim().len(), text.contains(':')), (56, false));
    // Upstream's own command, which prints the key.
    assert!(person.reveal(&["gen"]).starts_with("chacha20poly1305:"));
}

#[test]
fn a_key_comes_from_a_file_and_from_standard_input() {
    let person = Person::new();
    let file = person.write("k.key", KEY, 0o600);
    let said = person.run(&["key", "import", "a", &file]);
    assert!(said.contains(KEY_ID) && said.contains("k.key also contains the key"), "{said}");
    person.say(&["key", "import", "b", "-"], &format!("  {KEY}\n"));
    for name in ["a", "b"] {
        assert_eq!(person.reveal(&["key", "export", name]), format!("{KEY}\n"));
    }
    assert!(person.refused_input(&["key", "import", "a"], KEY).contains("key a already exists"));
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let person = Person::new();
    let cut = KEY.get(..60).unwrap();
    for (input, told) in [
        ("", "not a key"),
        (cut, "not a key"),
        (crate::person::INVITATION, "ruroco-client join"),
        (&*"a".repeat(70_000), "longer than"),
    ] {
        let refused = person.refused_input(&["key", "import", "a"], input);
        assert!(refused.contains(told), "{refused}");
    }
    assert!(person.run(&["key", "list"]).contains("No keys yet"), "nothing half done");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let person = Person::with_key();
    let file = person.write("open.key", KEY, 0o644);
    let refused = person.refused(&["key", "import", "a", &file]);
    assert!(refused.contains("chmod 600"), "{refused}");
    let kept = person.folder().join("keys/home.key");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o640)).unwrap();
    let sent = person.refused(&["knock", "--address", "127.0.0.1:9", "--key", "home"]);
    assert!(sent.contains("chmod 600"), "{sent}");
    let listed = person.run(&["key", "list"]);
    assert!(listed.contains("cannot be used") && listed.contains("chmod 600"), "{listed}");
    let json: Value = serde_json::from_str(&person.run(&["key", "list", "--json"])).unwrap();
    assert!(json["keys"][0]["trouble"].as_str().unwrap().contains("chmod 600"), "{json}");
}

#[test]
fn what_is_typed_is_not_shown() {
    let person = Person::new();
    let (shown, done) =
        terminal::type_unseen(&person, &["key", "import", "home"], &format!("{KEY}\n"));
    assert!(done && shown.contains("it is not shown") && shown.contains(KEY_ID), "{shown}");
    expect_no_secret(&shown);
    assert_eq!(person.reveal(&["key", "export", "home"]), format!("{KEY}\n"));
}

#[test]
fn a_key_goes_to_another_device_as_text_and_as_a_picture() {
    let person = Person::with_key();
    for (flag, name) in [("--out", "k.key"), ("--svg", "k.svg"), ("--png", "k.png")] {
        person.run(&["key", "export", "home", flag, name]);
        let path = person.path(name);
        assert_eq!(mode(&path), 0o600, "{name}");
        let before = fs::read(&path).unwrap();
        let refused = person.refused(&["key", "export", "home", flag, name]);
        assert!(refused.contains("already exists"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    assert_eq!(fs::read_to_string(person.path("k.key")).unwrap(), format!("{KEY}\n"));
    assert!(fs::read_to_string(person.path("k.svg")).unwrap().contains("<svg"));
    assert!(person.run(&["key", "export", "home", "--qr"]).contains('█'));

    let other = Person::new();
    let said = other.run(&["key", "import", "home", "--qr", &person.path("k.png")]);
    assert!(said.contains(KEY_ID) && said.contains("Delete it"), "{said}");
    assert_eq!(other.reveal(&["key", "export", "home"]), format!("{KEY}\n"));
    let refused = other.refused(&["key", "import", "x", "--qr", &person.path("k.svg")]);
    assert!(refused.contains("not a readable PNG or JPEG picture"), "{refused}");
}

#[test]
fn a_key_that_hosts_have_is_not_removed() {
    let person = Person::with_key();
    for host in ["one", "two"] {
        person.run(&["host", "add", host, "--address", "192.0.2.1", "--key", "home"]);
    }
    let file = person.folder().join("keys/home.key");
    let by_path = ["--address", "192.0.2.2", "--key", file.to_str().unwrap()];
    person.run(&[&["host", "add", "three"], &by_path[..]].concat());
    let refused = person.refused(&["key", "remove", "home", "--yes"]);
    assert!(refused.contains("one, three, two") && refused.contains("--force"), "{refused}");
    person.run(&["key", "remove", "home", "--yes", "--force"]);
    let listed = person.run(&["host", "list"]);
    assert!(listed.contains("cannot knock: key home not found"), "{listed}");
    let sent = person.refused(&["knock", "one"]);
    assert!(sent.contains("ruroco-client key import home"), "{sent}");
}
