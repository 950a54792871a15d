//! A secret in a place where none belongs: no output repeats it.

use std::fs;

use clap::{Command, CommandFactory};
use ruroco_client::cli::Cli;

use crate::person::{INVITATION, KEY, Person, expect_no_secret};

/// Every way to put a text into the command line of a command and its subcommands.
fn places(command: &Command, path: &[&str], text: &str, found: &mut Vec<Vec<String>>) {
    let line = |more: &[&str]| {
        path.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    found.extend([
        line(&[text]),
        line(&["a", text]),
        line(&["--", text]),
        line(&[&format!("--{text}")]),
    ]);
    found.push(line(&["a", "22", "--", text]));
    for argument in command.get_arguments() {
        if let Some(long) = argument.get_long().filter(|long| !["help", "version"].contains(long)) {
            found.extend([
                line(&[&format!("--{long}"), text]),
                line(&[&format!("--{long}={text}")]),
            ]);
        }
    }
    for subcommand in command.get_subcommands() {
        places(subcommand, &[path, &[subcommand.get_name()]].concat(), text, found);
    }
}

#[test]
fn no_secret_on_the_command_line_is_repeated() {
    let person = Person::with_key();
    let bare = KEY.split(':').nth(1).unwrap();
    for secret in [INVITATION, KEY, bare] {
        let mut lines = Vec::new();
        places(&Cli::command(), &[], secret, &mut lines);
        for line in lines {
            let words: Vec<&str> = line.iter().map(String::as_str).collect();
            let (code, out, err) = person.start(&words, "");
            expect_no_secret(&format!("{out}{err}"));
            // What stands behind `--` may be another program's.
            let is_ours = !words.contains(&"--");
            assert!(!is_ours || code == 2 && err.contains("Do not put a"), "{words:?}: {out}{err}");
        }
    }
}

#[test]
fn who_puts_an_invitation_on_the_command_line_is_told_what_to_run() {
    let (code, out, err) = Person::new().start(&["join", INVITATION], "");
    assert_eq!((code, &*out), (2, ""));
    let told = "Do not put an invitation on the command line: other users can read it there. Run \
                `ruroco-client join` and paste it when prompted.";
    assert!(err.contains(told), "{err}");
}

#[test]
fn no_secret_in_the_name_of_a_file_or_in_client_toml_is_repeated() {
    let person = Person::with_key();
    // Base64 has slashes, and files have no names that have.
    let file = INVITATION.replace('/', "_");
    let missing = person.path(&file);
    let (_, out, err) = person.start(&["join", &missing], "");
    expect_no_secret(&format!("{out}{err}"));
    for value in [
        format!("[hosts.a]\naddress = \"{INVITATION}\"\nkey = \"home\"\n"),
        format!("[hosts.a]\naddress = \"192.0.2.1\"\nkey = \"{INVITATION}\"\n"),
        format!("[hosts.a]\naddress = \"192.0.2.1\"\nkey = \"home\"\nwait = \"{KEY}\"\n"),
        format!("[hosts.a]\naddress = \"192.0.2.1\"\nkey = \"home\"\nfamily = \"{KEY}\"\n"),
        format!("[hosts.\"{KEY}\"]\naddress = \"192.0.2.1\"\nkey = \"home\"\n"),
        format!("\"{KEY}\" = 1\n"),
        format!("{KEY}\n"),
        format!("{INVITATION}\n"),
    ] {
        person.write_hosts(&value);
        for asked in [
            &["host", "list"][..],
            &["knock", "a"],
            &["proxy", "a", "22"],
            &["host", "list", "--json"],
        ] {
            let (_, out, err) = person.start(asked, "");
            expect_no_secret(&format!("{out}{err}"));
        }
    }
    fs::remove_file(person.folder().join("client.toml")).unwrap();
    let (_, out, err) = person
        .start(&["knock", "--json", "--address", "127.0.0.1:9", "--key", "home", "--", KEY], "");
    expect_no_secret(&format!("{out}{err}"));
}
