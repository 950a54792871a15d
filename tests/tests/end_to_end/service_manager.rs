//! What the programs tell a service manager (`sd_notify(3)`), which here is this test.

use std::{fs, os::unix::net::UnixDatagram, process::Command};

use nix::sys::signal::Signal;
use ruroco_lab::{daemon::Daemon, lab::Lab, network::Family, wait};

/// A service manager's socket.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(lab: &Lab) -> Self {
        let path = lab.files.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        socket.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        Self { socket, path }
    }

    fn start(&self, name: &str, command: &mut Command) -> Daemon {
        Daemon::start(name, command.env("NOTIFY_SOCKET", &self.path))
    }

    /// The next message, but for signs of life.
    #[track_caller]
    fn told(&self) -> String {
        loop {
            let message = self.next();
            if message != "WATCHDOG=1\n" {
                return message;
            }
        }
    }

    /// Waits for a message that begins so.
    #[track_caller]
    fn wait_for(&self, beginning: &str) {
        wait::until(beginning, || self.next().starts_with(beginning).then_some(()));
    }

    #[track_caller]
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}

#[track_caller]
fn expect_reload(manager: &Manager, ready: &str) {
    let reloading = manager.told();
    let (first, time) = reloading.trim_end().split_once('\n').unwrap();
    assert_eq!(first, "RELOADING=1");
    assert!(time.strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
    let told = manager.told();
    assert!(told.starts_with("READY=1\nSTATUS=") && told.contains(ready), "{told}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_gate_tells_when_it_is_attached_how_a_reload_went_and_that_it_lives() {
    let mut lab = Lab::new(&Default::default());
    let manager = Manager::new(&lab);
    let mut command = lab.gate_command();
    let mut gate = manager.start("ruroco-gate", command.env("WATCHDOG_USEC", "200000"));
    assert_eq!(manager.told(), "READY=1\nSTATUS=attached to server0\n");
    // It is: the host does not answer.
    lab.send(Family::V4, b"anybody there?");
    lab.expect_silence();

    gate.signal(Signal::SIGHUP);
    expect_reload(&manager, "attached to server0\n");
    lab.files.change_config(|text| text.replace("port =", "prot ="));
    gate.signal(Signal::SIGHUP);
    expect_reload(&manager, "not reloaded: ");

    // Nothing happens, and still it gives signs of life; with the gate stopped there are none.
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    gate.signal(Signal::SIGTERM);
    assert_eq!(manager.told(), "STOPPING=1\n");
    assert!(gate.wait_for_end().success());
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn server_and_commander_tell_when_they_are_ready_how_a_reload_went_and_that_they_live() {
    let lab = Lab::new(&Default::default());
    let manager = Manager::new(&lab);
    let programs = crate::start::all_programs(&lab);
    for (name, mut command) in programs.into_iter().filter(|(name, _)| *name != "ruroco-gate") {
        let mut daemon = manager.start(name, command.env("WATCHDOG_USEC", "200000"));
        assert!(manager.told().starts_with("READY=1\nSTATUS="), "{name}");
        let mut does = "waiting for orders\n";
        if name == "ruroco-server" {
            does = "waiting for the gate: could not connect";
            manager.wait_for(&format!("STATUS={does}"));
        }
        daemon.signal(Signal::SIGHUP);
        expect_reload(&manager, does);
        lab.files.change_config(|text| text.replace("port =", "prot ="));
        daemon.signal(Signal::SIGHUP);
        expect_reload(&manager, "not reloaded: ");
        lab.files.change_config(|text| text.replace("prot =", "port ="));
        for _ in 0..3 {
            assert_eq!(manager.next(), "WATCHDOG=1\n", "{name}");
        }
        daemon.signal(Signal::SIGTERM);
        assert_eq!(manager.told(), "STOPPING=1\n", "{name}");
        assert!(daemon.wait_for_end().success());
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_server_tells_whether_it_has_what_it_takes_to_judge() {
    let mut lab = Lab::new(&Default::default());
    let manager = Manager::new(&lab);
    let mut server = manager.start("ruroco-server", &mut lab.server_command(&[]));
    assert_eq!(
        manager.told(),
        "READY=1\nSTATUS=waiting for the gate: the server has not connected yet\n"
    );
    let told = manager.told();
    assert!(told.starts_with("STATUS=waiting for the gate: could not connect to "), "{told}");
    lab.start_gate();
    // A gate that listens and has not handed over yet is reported in between.
    manager.wait_for("STATUS=verifying candidates, 1 key\n");

    lab.files.add_key("phone");
    lab.reload_gate();
    manager.wait_for("STATUS=verifying candidates, 2 keys\n");
    // Its ring is still read.
    lab.gate().crash();
    manager
        .wait_for("STATUS=verifying candidates, 2 keys; waiting for the gate: could not connect");
    server.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    assert!(server.wait_for_end().success());
    lab.expect_silence();
}
