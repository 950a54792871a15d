//! What was knocked is there afterwards, whatever becomes of the window.

use std::fs;

use crate::{
    person::{Person, add_host, add_host_at, new_folder},
    server::{Server, SilentPort},
};

/// Somebody whose knock has come, and who waits for a port that stays silent.
fn knocking_at(server: &Server, silent: &SilentPort) -> Person {
    let folder = new_folder();
    let key = add_host_at(server, &folder, "home", |host| {
        host.wait = std::num::NonZero::new(silent.number());
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    server.receives(&key);
    person
}

#[test]
fn a_knock_is_noted_as_soon_as_it_is_sent() {
    let (server, silent) = (Server::new(), SilentPort::new());
    let mut person = knocking_at(&server, &silent);
    person.sees("Waiting for port");
    // As after kill -9: nothing is asked of this window any more.
    let folder = person.closes();
    let mut person = Person::opens(folder);
    person.presses("History");
    person.sees("default at home");
    person.sees(&format!("Sent  ·  {}", server.address()));
    person.sees("Today");
}

#[test]
fn a_knock_that_was_not_sent_is_noted_with_the_reason() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    fs::remove_file(folder.path().join("keys/home.key")).unwrap();
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("Key home not found.");
    person.presses("History");
    person.sees("Not sent. Key home not found");
}

#[test]
fn the_history_is_cleared_by_whoever_is_sure() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host_at(&server, &folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    server.receives(&key);
    person.presses("History");
    person.sees("default at home");
    person.presses("Clear the history");
    person.presses("Clear");
    person.sees("No knocks yet");
    let mut person = Person::opens(person.closes());
    person.presses("History");
    person.sees("No knocks yet");
}

#[test]
fn what_comes_of_a_knock_brings_back_nothing_that_was_cleared() {
    let (server, silent) = (Server::new(), SilentPort::new());
    let mut person = knocking_at(&server, &silent);
    person.presses("History");
    person.sees("default at home");
    person.presses("Clear the history");
    person.presses("Clear");
    person.sees("No knocks yet");
    let path = person.folder.path().join("history.json");
    let written = || fs::metadata(&path).unwrap().modified().unwrap();
    let cleared = written();
    person.presses("Hosts");
    person.presses("Stop knocking at home");
    ruroco_lab::wait::until("the end of the knock", || (written() != cleared).then_some(()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
}

#[test]
fn a_port_that_was_open_before_is_not_noted_as_one_that_opened() {
    let (folder, server) = (new_folder(), Server::new());
    let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    add_host_at(&server, &folder, "home", |host| host.wait = std::num::NonZero::new(port));
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("This port cannot show its result.");
    person.presses("History");
    person.sees(&format!("Port {port} was open before the knock"));
    let mut person = Person::opens(person.closes());
    person.presses("History");
    person.sees(&format!("Port {port} was open before the knock"));
}

#[test]
fn a_damaged_history_is_kept_aside_and_told_once() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    fs::write(folder.path().join("history.json"), "[{\"at\": 17, \"ho").unwrap();
    let mut person = Person::opens(folder);
    person.sees("A new history was started");
    person.sees("It was renamed to");
    assert!(person.sees_now("Knock at home: default"));
    let kept = person.folder.path().join("history.json.damaged-1");
    assert_eq!(fs::read_to_string(kept).unwrap(), "[{\"at\": 17, \"ho");
    let person = Person::opens(person.closes());
    assert!(!person.sees_now("A new history was started"));
}

#[test]
fn a_knock_is_repeated_from_the_history() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host_at(&server, &folder, "home", |host| {
        host.commands = vec!["open_ssh".to_owned()];
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at home: open_ssh");
    let first = server.receives(&key);
    person.presses("History");
    person.presses("Knock again at home: open_ssh");
    let second = server.receives(&key);
    assert_eq!(first.command, second.command);
    person.sees("Dismiss the result for home");
    // A host that no longer has the command is not asked for it.
    let host =
        ruroco_client::profiles::Host::new("127.0.0.1:9".parse().unwrap(), "home".parse().unwrap());
    person.client().profiles().replace(&"home".parse().unwrap(), &host).unwrap();
    person.presses("History");
    person.sees("open_ssh at home");
    person.no_longer_sees("Knock again at home");
}
