//! `ruroco-client join`.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use ruroco_invite::invitation::MAX_SOURCE_SIZE;

use crate::{
    person::{INVITATION, KEY, KEY_ID, Person, expect_no_secret, mode},
    terminal,
};

#[test]
fn an_invitation_becomes_a_host_and_a_key() {
    let person = Person::new();
    // There is always a way to oneself.
    let invitation = INVITATION.replace("203.0.113.5", "127.0.0.1");
    let said = person.say(&["join"], &invitation);
    assert!(said.starts_with("added host home (127.0.0.1:80)") && said.contains(KEY_ID), "{said}");
    for told in
        ["would request open_ssh (hash", " from home\n", "to 127.0.0.1:80", "for port 22 to open"]
    {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(said.trim_end().ends_with("ruroco-client knock home"), "{said}");
    assert_eq!(mode(person.folder().join("keys/home.key")), 0o600);
    assert!(!person.folder().join("counter").exists(), "nothing was sent");
    let listed = person.run(&["host", "list"]);
    assert!(listed.contains("open_ssh close_ssh  (key home, port 22)"), "{listed}");

    let before = person.hosts();
    let again = person.say(&["join"], &invitation);
    assert!(again.starts_with("unchanged: host home"), "{again}");
    assert_eq!(person.hosts(), before);
}

#[test]
fn an_invitation_is_found_in_what_the_host_has_printed() {
    let person = Person::new();
    let printed =
        format!("█▀▀█ ▄▀█\n\n{INVITATION}\n\nIt contains the key laptop\n  ruroco-client join\n");
    person.say(&["join", "-"], &printed);
    assert!(person.run(&["host", "list"]).starts_with("home "));
}

#[test]
fn an_invitation_comes_from_a_file_and_from_the_keyboard() {
    let person = Person::new();
    let file = person.write("invitation", INVITATION, 0o600);
    let said = person.run(&["join", "--name", "a", &file]);
    assert!(said.contains("invitation also contains the key. Delete it."), "{said}");
    let line = format!("{INVITATION}\n");
    let (shown, done) = terminal::type_unseen(&person, &["join", "--name", "b"], &line);
    assert!(done && shown.contains("added host b"), "{shown}");
    expect_no_secret(&shown);
    let open = person.write("open", INVITATION, 0o644);
    assert!(person.refused(&["join", &open]).contains("chmod 600"));
}

#[test]
fn an_invitation_comes_from_a_picture() {
    let person = Person::new();
    let picture = ruroco_client::qr_picture::png(INVITATION).unwrap();
    fs::write(person.path("screen.png"), &*picture).unwrap();
    let said = person.run(&["join", "--qr", "screen.png"]);
    assert!(said.starts_with("added host home") && said.contains("screen.png"), "{said}");
    fs::write(person.path("none.png"), "x").unwrap();
    let refused = person.refused(&["join", "--qr", "none.png"]);
    assert!(refused.contains("none.png: not a readable PNG or JPEG picture"), "{refused}");
    fs::write(person.path("blank.png"), blank(300)).unwrap();
    let refused = person.refused(&["join", "--qr", "blank.png"]);
    assert!(refused.contains("blank.png: no QR code was found in the picture"), "{refused}");
    assert!(person.refused(&["join", "--qr", "missing.png"]).contains("missing.png"));
}

/// A white picture.
fn blank(side: u32) -> Vec<u8> {
    as_png(&image::GrayImage::from_pixel(side, side, image::Luma([255])))
}

fn as_png(picture: &image::GrayImage) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

/// Nothing but the corners of QR codes: a search for three that belong together tries all of them.
fn many_corners(side: u32) -> Vec<u8> {
    as_png(&image::GrayImage::from_fn(side, side, |x, y| {
        let (x, y) = (x % 9, y % 9);
        let ring = x.max(y).abs_diff(3).max(x.min(y).abs_diff(3));
        image::Luma([if ring == 2 || ring > 3 { 255 } else { 0 }])
    }))
}

#[test]
fn a_picture_that_takes_too_much_work_is_given_up() {
    let person = Person::new();
    let picture = many_corners(450);
    assert!(picture.len() < 32 << 10, "a small file: {}", picture.len());
    fs::write(person.path("bomb.png"), picture).unwrap();
    // The reader keeps a limit that is stricter than its own.
    let mut client = person.command("prlimit");
    client.args(["--cpu=4:4", crate::person::CLIENT, "join", "--qr", "bomb.png"]);
    let done = client.output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(
        told.contains("bomb.png: the search for a QR code in the picture was stopped"),
        "{told}"
    );
}

#[test]
fn a_part_of_an_invitation_leaves_nothing_behind() {
    let person = Person::new();
    for (input, told) in [
        (
            INVITATION.split("&key").next().unwrap(),
            "has no `key`, so it was altered when it was copied",
        ),
        (
            INVITATION.split("MzQ1").next().unwrap(),
            "key in the invitation is damaged, so it was altered",
        ),
        (INVITATION.strip_prefix("ruroco:").unwrap(), "begins with `ruroco://`"),
        (KEY, "not an invitation"),
        ("", "not an invitation"),
    ] {
        let refused = person.refused_input(&["join"], input);
        assert!(refused.contains(told), "{refused}");
    }
    assert_eq!(person.hosts(), "");
    assert!(person.run(&["key", "list"]).contains("No keys yet"));
}

#[test]
fn what_is_there_and_something_else_stays() {
    let person = Person::new();
    person.say(&["join"], INVITATION);
    let before = person.hosts();
    let other_key = INVITATION.replace("AAEC", "BAEC");
    let refused = person.refused_input(&["join"], &other_key);
    assert!(refused.contains("host home already exists with another key"), "{refused}");
    assert!(refused.contains("--name"), "{refused}");
    person.run(&["key", "gen", "work"]);
    let refused = person.refused_input(&["join", "--name", "work"], &other_key);
    assert!(refused.contains("key work already exists"), "{refused}");
    assert_eq!(person.hosts(), before);
    person.say(&["join", "--name", "office"], &other_key);
    assert_eq!(person.run(&["host", "list"]).lines().count(), 2);
}

/// The host has a new key for this computer.
#[test]
fn each_message_on_the_way_to_a_new_key_names_the_next_command() {
    let person = Person::new();
    person.say(&["join"], INVITATION);
    let new_key = INVITATION.replace("AAEC", "BAEC");
    let refused = person.refused_input(&["join"], &new_key);
    assert!(refused.contains("`ruroco-client host remove home`"), "{refused}");
    let removed = person.run(&["host", "remove", "home"]);
    assert!(removed.contains("run: ruroco-client key remove home"), "{removed}");
    let refused = person.refused_input(&["join"], &new_key);
    assert!(refused.contains("`ruroco-client key remove home`"), "{refused}");
    person.run(&["key", "remove", "home", "--yes"]);
    assert!(person.say(&["join"], &new_key).contains("added host home"));
}

#[test]
fn a_key_that_another_host_uses_is_not_offered_for_removal() {
    let person = Person::new();
    person.say(&["join"], INVITATION);
    person.run(&["host", "add", "other", "--address", "192.0.2.1:80", "--key", "home"]);
    let removed = person.run(&["host", "remove", "home"]);
    assert!(
        removed.contains("its key home was kept") && !removed.contains("key remove"),
        "{removed}"
    );
}

/// The same host, which can do more by now.
fn more() -> String {
    INVITATION.replace("&wait=22", "&command=status&wait=2222")
}

#[test]
fn a_known_host_is_updated_only_if_that_was_asked_for() {
    let person = Person::new();
    person.say(&["join"], INVITATION);
    let before = person.hosts();
    let refused = person.refused_input(&["join"], &more());
    for told in [
        "commands: open_ssh, close_ssh -> open_ssh, close_ssh, status",
        "wait: 22 -> 2222",
        "Host home already exists with other settings. Pass --replace to update it, or --name NAME",
    ] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    assert_eq!(person.hosts(), before);
    assert!(person.say(&["join", "--replace"], &more()).starts_with("updated host home"));
    let listed = person.run(&["host", "list"]);
    assert!(listed.contains("open_ssh close_ssh status  (key home, port 2222)"), "{listed}");
    assert_eq!(person.run(&["key", "list"]).lines().count(), 1);
    assert!(person.say(&["join"], &more()).starts_with("unchanged: host home"));
}

#[test]
fn a_person_at_a_terminal_is_asked_before_a_known_host_changes() {
    for (answer, changes) in [("y", true), ("n", false), ("", false)] {
        let person = Person::new();
        person.say(&["join"], INVITATION);
        let before = person.hosts();
        let typed = format!("{}\n{answer}\n", more());
        let (shown, done) = terminal::type_unseen(&person, &["join"], &typed);
        assert!(
            shown.contains("wait: 22 -> 2222") && shown.contains("Update home? [y/N]"),
            "{shown}"
        );
        assert_eq!((done, person.hosts() != before), (changes, changes), "{shown}");
        expect_no_secret(&shown);
    }
}

#[test]
fn a_second_host_with_the_address_of_a_known_one_is_added_only_by_a_name() {
    let person = Person::new();
    person.say(&["join"], INVITATION);
    let before = person.hosts();
    let second = INVITATION.replace("AAEC", "BAEC").replace("name=home", "name=web1");
    let refused = person.refused_input(&["join"], &second);
    for told in [
        "web1 has the same address as home",
        "`ruroco-client proxy 203.0.113.5` will fail",
        "`ProxyCommand ruroco-client proxy %n %p`",
        "Pass --name NAME",
    ] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    assert_eq!((person.hosts(), person.run(&["key", "list"]).lines().count()), (before, 1));
    person.say(&["join", "--name", "web1"], &second);
    let refused = person.refused(&["proxy", "203.0.113.5", "22"]);
    assert!(refused.contains("matches more than one host: home, web1"), "{refused}");
}

#[test]
fn a_host_that_was_given_another_name_is_found_again() {
    let person = Person::new();
    person.say(&["join", "--name", "office"], INVITATION);
    assert!(person.say(&["join"], INVITATION).starts_with("unchanged: host office"));
    assert!(person.say(&["join", "--replace"], &more()).starts_with("updated host office"));
    assert_eq!(person.run(&["host", "list"]).lines().count(), 1);
}

#[test]
fn a_mistake_in_another_host_keeps_no_invitation_out_and_stays_as_it_is() {
    let person = Person::new();
    let text = "[hosts.a] # mine\naddress = 5\n";
    person.write_hosts(text);
    person.say(&["join"], INVITATION);
    assert!(person.hosts().starts_with(text), "{}", person.hosts());
    assert!(person.hosts().contains("[hosts.home]"), "{}", person.hosts());
}

#[test]
fn a_damaged_list_of_hosts_keeps_the_key_out() {
    let person = Person::new();
    person.write_hosts("[hosts.a]\naddress =\n");
    let refused = person.refused_input(&["join"], INVITATION);
    assert!(refused.contains("client.toml:2: "), "{refused}");
    assert!(person.run(&["key", "list"]).contains("No keys yet"));
}

#[test]
fn an_invitation_cannot_take_the_place_of_a_host() {
    let person = Person::new();
    person.say(&["join"], INVITATION);
    let before = person.hosts();
    let other = INVITATION.replace("//203.0.113.5", "//198.51.100.66").replace("AAEC", "BAEC");
    person.refused_input(&["join"], &other);
    let refused = person.refused_input(&["join", "--name", "203.0.113.5"], &other);
    assert!(refused.contains("its name is the address of host home"), "{refused}");
    assert_eq!(person.hosts(), before);
    assert_eq!(person.run(&["key", "list"]).lines().count(), 1, "no key is left behind");
}

#[test]
fn what_keeps_every_knock_from_being_sent_is_an_error() {
    let person = Person::new();
    fs::create_dir(person.folder()).unwrap();
    fs::write(person.folder().join("counter"), [1; 15]).unwrap();
    let invitation = INVITATION.replace("203.0.113.5", "127.0.0.1");
    let refused = person.refused_input(&["join"], &invitation);
    assert!(refused.contains("ruroco-client reseed"), "{refused}");
    assert!(person.run(&["host", "list"]).starts_with("home "), "the host is there");
}

#[test]
fn an_address_that_nobody_knows_is_told_at_once() {
    let person = Person::new();
    let unknown = INVITATION.replace("203.0.113.5", "host.invalid");
    let said = person.say(&["join"], &unknown);
    let told = "cannot be sent from this network: cannot find the address of host.invalid";
    assert!(said.contains(told), "{said}");
    assert!(person.run(&["host", "list"]).contains("host.invalid"), "the host is there");
}

/// As an update does with a program that runs.
#[test]
fn a_picture_is_read_after_the_file_of_the_program_was_deleted() {
    let person = Person::new();
    let (program, pipe) = (person.path("client"), person.path("picture"));
    // Not by this process, which starts others meanwhile: they would keep the file open for writing.
    assert!(Command::new("cp").args([crate::person::CLIENT, &program]).status().unwrap().success());
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut client = person.command(&program);
    client.args(["join", "--qr", "picture"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let client = client.spawn().unwrap();
    // It is open as soon as the client has it open, too.
    let mut open = fs::File::options().write(true).open(&pipe).unwrap();
    fs::remove_file(&program).unwrap();
    open.write_all(&ruroco_client::qr_picture::png(INVITATION).unwrap()).unwrap();
    drop(open);
    let done = client.wait_with_output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{told}");
    assert!(person.run(&["host", "list"]).starts_with("home "));
}

#[test]
fn a_text_is_looked_into_up_to_the_length_that_the_window_accepts() {
    let person = Person::new();
    let long = |size: usize| format!("{INVITATION}\n{}", "x".repeat(size - INVITATION.len() - 1));
    let refused = person.refused_input(&["join"], &long(MAX_SOURCE_SIZE + 1));
    assert!(refused.contains("longer than"), "{refused}");
    assert!(person.say(&["join"], &long(MAX_SOURCE_SIZE)).starts_with("added host home"));
}
