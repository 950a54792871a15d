//! Knocking: what arrives, what is shown of it, and that nothing keeps the window from answering.

use std::{fs, net::TcpListener, num::NonZero, time::Duration};

use egui::{Key, Modifiers};
use ruroco_common::command::CommandHash;

use crate::{
    person::{Person, add_host, add_host_at, new_folder},
    server::{Server, SilentPort, free_port},
};

#[test]
fn a_click_sends_an_authentic_knock_for_that_command() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host_at(&server, &folder, "home", |host| {
        host.commands = vec!["open_ssh".to_owned(), "close_ssh".to_owned()];
        host.command = "open_ssh".to_owned();
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at home: close_ssh");
    let first = server.receives(&key);
    assert_eq!(first.command, CommandHash::of("close_ssh"));
    assert!(first.strict);
    person.sees(&format!("Sent to {}", server.address()));
    person.sees("Hosts never reply to a knock.");
    person.presses("Knock at home: open_ssh");
    let second = server.receives(&key);
    assert_eq!(second.command, CommandHash::of("open_ssh"));
    assert!(second.counter > first.counter);
    person.presses("Dismiss the result for home");
    assert!(!person.sees_now("Hosts never reply to a knock."));
}

#[test]
fn a_port_that_opens_is_seen_to_open() {
    let (folder, server, port) = (new_folder(), Server::new(), free_port());
    let key = add_host_at(&server, &folder, "home", |host| {
        host.wait = NonZero::new(port);
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    server.receives(&key);
    person.sees(&format!("Waiting for port {port} to open"));
    let _open = TcpListener::bind(("127.0.0.1", port)).unwrap();
    person.sees(&format!("Port {port} is open"));
    person.sees("ms after the knock");
    // How long a host leaves a port open, nobody knows here.
    person.comes_back_after(Duration::from_secs(60));
    assert!(!person.sees_now(&format!("Port {port} is open")));
    person.sees(&format!("Port {port} was open at "));
    person.sees("Knock again at home");
}

#[test]
fn a_port_that_stays_shut_is_told_with_what_to_look_at() {
    let (folder, server, port) = (new_folder(), Server::new(), free_port());
    let key = add_host_at(&server, &folder, "home", |host| {
        host.wait = NonZero::new(port);
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees(&format!("Port {port} did not open"));
    person.sees("Check this computer's clock.");
    person.sees(&key.id.to_string());
    person.sees("Knock again at home");
    // In an order, and not as things to click.
    assert!(person.sees_only("1.") && person.sees_only("2."));
}

#[test]
fn a_host_that_cannot_be_reached_leaves_the_window_alone() {
    let (folder, server, silent) = (new_folder(), Server::new(), SilentPort::new());
    let change = |host: &mut ruroco_client::profiles::Host| {
        host.address = ruroco_invite::destination::Destination::Address(server.address());
        host.wait = NonZero::new(silent.number());
    };
    let key = add_host(&folder, "far", change);
    add_host(&folder, "near", change);
    let mut person = Person::opens(folder);
    person.presses("Knock at far: default");
    person.sees("Waiting for port");
    server.receives(&key);
    // Everything else goes on, another knock included.
    person.presses("Knock at near: default");
    person.sees("Stop knocking at near");
    person.presses("Keys");
    person.sees("For near");
    person.presses("Hosts");
    person.sees("Stop knocking at far");
    person.presses("Stop knocking at far");
    person.sees("The knock was sent, but its result is not known.");
    assert!(person.sees_now("Stop knocking at near"));
}

/// What comes before a packet can hang, too: a name server that is silent, or another program that
/// has the counter.
#[test]
fn what_hangs_before_a_knock_is_sent_can_be_given_up_and_then_nothing_is_sent() {
    let (folder, server) = (new_folder(), Server::new());
    add_host_at(&server, &folder, "home", |_| {});
    let mut person = Person::opens(folder);
    let lock = person.lock();
    let held = fs::File::options().write(true).create(true).truncate(false).open(lock).unwrap();
    held.lock().unwrap();
    person.presses("Knock at home: default");
    person.sees("Looking up the address");
    person.presses("History");
    person.sees("No knocks yet");
    person.presses("Hosts");
    person.presses("Stop knocking at home");
    person.sees("Nothing was sent.");
    held.unlock().unwrap();
    person.presses("History");
    person.sees("Stopped");
    assert!(!server.has_received());
}

#[test]
fn a_knock_takes_no_mouse() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host_at(&server, &folder, "home", |_| {});
    let mut person = Person::opens(folder);
    let mut passed = Vec::new();
    while person.focused().as_deref() != Some("Knock at home: default") {
        assert!(passed.len() < 20, "Tab leads past it: {passed:?}");
        person.types(Modifiers::NONE, Key::Tab);
        passed.push(person.focused());
    }
    person.types(Modifiers::NONE, Key::Enter);
    server.receives(&key);
}

#[test]
fn a_command_that_is_to_be_confirmed_is_not_sent_at_one_click() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host_at(&server, &folder, "nas", |host| {
        host.commands = vec!["open_ssh".to_owned(), "shut_down".to_owned()];
        host.confirm = vec!["shut_down".to_owned()];
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at nas: shut_down");
    person.sees("Send shut_down to nas?");
    person.presses("Cancel");
    person.no_longer_sees("Send shut_down to nas?");
    person.presses("Knock at nas: open_ssh");
    assert_eq!(server.receives(&key).command, CommandHash::of("open_ssh"));
    person.presses("Knock at nas: shut_down");
    person.presses("Send shut_down");
    assert_eq!(server.receives(&key).command, CommandHash::of("shut_down"));
    // From the history it asks, too.
    person.presses("History");
    person.presses("Knock again at nas: shut_down");
    person.sees("Send shut_down to nas?");
    assert!(!server.has_received());
}
