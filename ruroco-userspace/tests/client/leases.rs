//! Doors: what the client says of a lease, and when it knocks again before a connection.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ruroco_common::command::CommandHash;
use serde_json::json;

use crate::harness::{Ended, Laptop, shut_port};

/// A host whose command `open_ssh` opens this port for a while.
fn laptop(at: SocketAddr, seconds: &str) -> Laptop {
    Laptop::new(&format!(
        "commands = [\"open_ssh\", \"close_ssh\"]\nconnect = \"/bin/echo 'a b' c\"\n\n[hosts.home.doors.ssh]\n\
         port = \"tcp/{}\"\nfor = \"{seconds}\"\nopen = \"open_ssh\"\nclose = \"close_ssh\"\n",
        at.port()
    ))
}

/// Runs `then` while a port accepts every connection and ends it at once.
fn while_open<T>(listener: &TcpListener, then: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                drop(listener.accept());
            }
        });
        let done = catch_unwind(AssertUnwindSafe(then));
        is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(listener.local_addr().unwrap()));
        done.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

impl Laptop {
    /// Connects, and makes sure that it works.
    #[track_caller]
    fn connects(&self, port: u16) {
        let mut proxy = self.command(&["proxy", "home", &port.to_string()]);
        Ended::of(proxy.stdin(Stdio::null()).output().unwrap()).expect(0);
    }
}

#[test]
fn a_connection_knocks_only_if_the_last_lease_is_about_to_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (long, short) = (laptop(at, "10m"), laptop(at, "4s"));
    while_open(&listener, || {
        long.connects(at.port());
        let first = long.knock().counter;
        long.connects(at.port());
        long.expect_nothing();
        let opened = long.client(&["open", "home"]).expect(0);
        assert_eq!(opened.output, "a b c\n");
        long.expect_nothing();
        // A knock that a person asks for is always sent, and so is the one after a door was closed.
        long.client(&["knock", "home"]).expect(0);
        let second = long.knock().counter;
        long.client(&["knock", "home", "close_ssh"]).expect(0);
        let third = long.knock().counter;
        long.connects(at.port());
        assert!(first < second && second < third && third < long.knock().counter);
        for _ in 0..2 {
            short.connects(at.port());
            short.knock();
        }
    });
}

#[test]
fn a_lease_that_admits_no_connection_is_renewed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let laptop = laptop(at, "10m");
    while_open(&listener, || laptop.connects(at.port()));
    laptop.knock();
    // As after a change of the network, or if `connections` is used up.
    drop(listener);
    let port = at.port().to_string();
    laptop.client(&["proxy", "home", &port, "--timeout", "0.2"]).expect(3);
    laptop.knock();
}

#[test]
fn what_a_knock_opened_is_said_with_its_end_and_what_is_left() {
    let at = shut_port();
    let laptop = laptop(at, "30s");
    let door = format!("ssh (tcp/{})", at.port());
    for (is_open, said) in [(false, "is open until "), (true, "should be open until ")] {
        let port = is_open.then(|| TcpListener::bind(at).unwrap());
        let sent = thread::scope(|host| {
            let opened = host.spawn(|| {
                laptop.knock();
                port.or_else(|| Some(TcpListener::bind(at).unwrap()))
            });
            let sent = laptop.client(&["knock", "home"]).expect(0);
            drop(opened.join().unwrap());
            sent
        });
        let line = sent.output.lines().last().unwrap();
        assert!(line.starts_with(&format!("{door} {said}")) && line.ends_with(" s)"), "{sent:?}");
    }
    let unknown = laptop.client(&["knock", "home", "--no-wait", "--json"]).expect(0).json();
    let lease = &unknown["doors"][0];
    assert_eq!((&lease["door"], &lease["seen_open"]), (&json!("ssh"), &json!(false)));
    let left = lease["seconds_left"].as_u64().unwrap();
    assert!((20..=30).contains(&left) && lease["until"].as_str().unwrap().ends_with('Z'));
    laptop.knock();
    let closed = laptop.client(&["knock", "home", "close_ssh"]).expect(0);
    assert!(closed.output.ends_with(&format!("{door} should be closed again\n")), "{closed:?}");
    assert_eq!(laptop.knock().command, CommandHash::of("close_ssh"));
    // Nothing is promised of a port that stays shut.
    let shut = laptop.client(&["knock", "home", "--timeout", "0.2", "--json"]).expect(3).json();
    assert!(shut["doors"].is_null(), "{shut}");
    laptop.knock();
}

#[test]
fn a_host_without_a_door_to_ssh_needs_a_program() {
    let laptop = Laptop::new("wait = 22\n");
    laptop.client(&["open", "home"]).expect_error(&["no program to start", "`connect` of home"]);
    laptop.expect_nothing();
}
