//! Hosts with a door: how long it stays open after a knock, and what a person can do in that time.

use std::{net::TcpListener, time::Duration};

use egui::{Key, Modifiers, Vec2};
use ruroco_client::profiles::Host;
use ruroco_common::{command::CommandHash, doors::DoorName};
use ruroco_invite::door::Door;
use ruroco_keys::key::Key as Secret;
use tempfile::TempDir;

use crate::{
    person::{Person, add_host_at, new_folder},
    server::{Server, free_port},
};

/// A host whose command `open_ssh` opens this port for 30 seconds.
fn add_host(server: &Server, folder: &TempDir, port: &str) -> Secret {
    add_host_at(server, folder, "home", |host| with_door(host, port))
}

fn with_door(host: &mut Host, port: &str) {
    let door = Door::new(port.parse().unwrap(), Duration::from_secs(30));
    let (open, close) = (vec!["open_ssh".to_owned()], vec!["close_ssh".to_owned()]);
    host.doors.insert(DoorName::new("ssh").unwrap(), Door { open, close, ..door });
    *host = host.clone().with_commands(["open_ssh", "close_ssh"].map(str::to_owned));
}

impl Person {
    /// The seconds that are left of the lease.
    #[track_caller]
    fn seconds_left(&self) -> u64 {
        let all = self.everything();
        let line = all.lines().find(|line| line.ends_with(" s left"));
        let line = line.unwrap_or_else(|| panic!("no countdown in:\n{all}"));
        line.trim_end_matches(" s left").rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// A window after a knock at `home` that opened a port.
struct Opened {
    person: Person,
    server: Server,
    key: Secret,
    port: u16,
    _open: TcpListener,
}

impl Opened {
    fn new() -> Self {
        let (folder, server, port) = (new_folder(), Server::new(), free_port());
        let key = add_host(&server, &folder, &format!("tcp/{port}"));
        let mut person = Person::opens(folder);
        person.sees(&format!("opens ssh (tcp/{port}) for 30 s"));
        person.presses("Knock at home: open_ssh");
        server.receives(&key);
        // At once: on a busy machine the window may take most of its ten seconds to draw.
        let open = TcpListener::bind(("127.0.0.1", port)).unwrap();
        person.sees(&format!("Port {port} is open until "));
        Self { person, server, key, port, _open: open }
    }
}

#[test]
fn the_seconds_are_counted_until_the_door_closes() {
    let Opened { mut person, port, .. } = Opened::new();
    assert!(person.seconds_left() <= 30);
    person.comes_back_after(Duration::from_secs(15));
    assert!(person.seconds_left() <= 15, "{}", person.everything());
    assert!(person.sees_now(&format!("Port {port} is open until ")));
    person.comes_back_after(Duration::from_secs(15));
    person.sees(&format!("Port {port} should have closed again at "));
    assert!(!person.sees_now(" s left") && !person.sees_now("Close now at home"));
    person.sees("Knock again at home");
}

#[test]
fn another_knock_renews_the_lease_and_is_not_taken_for_a_proof() {
    // The port stays open until the end.
    let Opened { mut person, server, key, port, _open } = Opened::new();
    person.comes_back_after(Duration::from_secs(20));
    assert!(person.seconds_left() <= 10);
    person.presses("Knock again at home");
    assert_eq!(server.receives(&key).command, CommandHash::of("open_ssh"));
    // The port was open before this knock, which nobody has answered.
    person.sees(&format!("Port {port} should be open until "));
    assert!(person.seconds_left() > 10, "{}", person.everything());
}

#[test]
fn a_door_is_closed_before_its_time() {
    let Opened { mut person, server, key, port, .. } = Opened::new();
    person.presses("Close now at home");
    assert_eq!(server.receives(&key).command, CommandHash::of("close_ssh"));
    person.sees(&format!("ssh (tcp/{port}) should be closed again"));
    assert!(!person.sees_now(" s left") && !person.sees_now("is open until"));
}

#[test]
fn to_connect_copies_a_command_and_knocks_only_if_the_lease_is_about_to_end() {
    let Opened { mut person, server, key, port, .. } = Opened::new();
    let command = format!("ssh -p {port} 127.0.0.1");
    person.presses("Connect to home");
    assert_eq!(person.copies(), command);
    person.sees(&format!("Paste it into a terminal: {command}"));
    assert!(!server.has_received(), "the lease lasts long enough");
    person.comes_back_after(Duration::from_secs(26));
    person.presses("Connect to home");
    assert_eq!(person.copies(), command);
    server.receives(&key);
    person.sees(&format!("Paste it into a terminal as soon as the port is open: {command}"));
}

#[test]
fn the_command_that_connects_is_edited_and_a_wrong_one_is_told() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host(&server, &folder, "tcp/22");
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.sees("it copies “ssh 127.0.0.1”");
    person.writes("Command that connects", "ssh 'me");
    person.presses("Save");
    assert!(person.description("Command that connects").contains("Enter a program"));
    person.writes("Command that connects", "ssh me@home");
    person.presses("Save");
    person.presses("Connect to home");
    assert_eq!(person.copies(), "ssh me@home");
    server.receives(&key);
    let profiles = person.client().profiles().read().or_problems().unwrap();
    let host = profiles.get("home").unwrap();
    assert_eq!((host.connect.as_deref(), host.doors.len()), (Some("ssh me@home"), 1));
}

#[test]
fn of_a_udp_port_nobody_says_more_than_the_invitation() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host(&server, &folder, "udp/51820");
    let mut person = Person::opens(folder);
    assert!(!person.sees_now("Connect to home"), "no program is known for it");
    person.presses("Knock at home: open_ssh");
    server.receives(&key);
    person.sees("UDP port 51820 should be open until ");
    person.sees("Hosts never reply to a knock.");
    assert!(!person.sees_now("is open until"));
}

#[test]
fn the_keyboard_leads_to_all_that_can_be_done_with_an_open_door() {
    let Opened { mut person, server, key, .. } = Opened::new();
    let mut missing = vec!["Connect to home", "Knock again at home"];
    for _ in 0..30 {
        person.types(Modifiers::NONE, Key::Tab);
        let focused = person.focused();
        missing.retain(|name| focused.as_deref() != Some(name));
        if focused.as_deref() == Some("Close now at home") {
            break;
        }
    }
    assert_eq!((missing, person.focused().as_deref()), (vec![], Some("Close now at home")));
    person.types(Modifiers::NONE, Key::Enter);
    assert_eq!(server.receives(&key).command, CommandHash::of("close_ssh"));
}

#[test]
fn an_open_door_fits_into_a_narrow_window_in_both_colours() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host(&server, &folder, "udp/51820");
    let mut person = Person::opens_with(folder, Vec2::new(360.0, 720.0));
    person.presses("Knock at home: open_ssh");
    server.receives(&key);
    person.sees("Close now at home");
    for colours in ["Colours: system. Switch to light", "Colours: light. Switch to dark"] {
        person.presses(colours);
        for (name, place) in person.controls() {
            assert!(place.left() >= 0.0 && place.right() <= 360.0, "`{name}` is at {place:?}");
        }
    }
}
