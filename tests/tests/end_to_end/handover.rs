//! The gate hands the server its keys together with the ring: the server can read none of the key
//! files, and what the files say holds from the next handover on.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileExt, PermissionsExt, chown},
    },
    path::Path,
};

use nix::sys::signal::Signal;
use ruroco_common::verdict::Verdict;
use ruroco_ipc::{
    handover::{Handover, keys, memory},
    private_socket::{PrivateListener, connect, receive_descriptors, send_descriptors},
};
use ruroco_keys::named_key::NamedKey;
use ruroco_lab::{
    daemon::Daemon,
    files::{KEY, OTHER_COMMAND, Options},
    knock::{Bytes, Knock},
    lab::Lab,
    network::{Family, SERVER},
    wait,
};
use rustix::{
    fs::{IFlags, ioctl_getflags, ioctl_setflags},
    thread::{Uid, set_thread_uid},
};

/// A key beside the one that every lab has.
const PHONE: &str = "phone";

fn with_phone() -> Options {
    Options { more_keys: vec![PHONE], ..Options::default() }
}

/// A file that nobody can write, not even through an open descriptor, until this is dropped.
struct Immutable(File);

impl Immutable {
    fn make(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        ioctl_setflags(&file, ioctl_getflags(&file).unwrap() | IFlags::IMMUTABLE).unwrap();
        Self(file)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let flags = ioctl_getflags(&self.0).unwrap();
        ioctl_setflags(&self.0, flags.difference(IFlags::IMMUTABLE)).unwrap();
    }
}

fn knock_with(lab: &Lab, key: &str) -> Bytes {
    lab.good_knock(Family::V4).seal(&lab.files.key(key))
}

/// Knocks with a key of this name, and makes sure that its command runs.
#[track_caller]
fn expect_run_with(lab: &mut Lab, key: &str) {
    let knock = knock_with(lab, key);
    lab.send(Family::V4, &knock);
    assert_eq!(lab.expect_one_run().key, key);
}

/// Runs something as the server's user.
fn as_server<T: Send>(lab: &Lab, action: impl FnOnce() -> T + Send) -> T {
    let user = Uid::from_raw(lab.files.user().uid.as_raw());
    let action = || {
        set_thread_uid(user).unwrap(); // of this thread alone, which ends with the action
        action()
    };
    std::thread::scope(|scope| scope.spawn(action).join().unwrap())
}

fn change_config(lab: &Lab, change: impl FnOnce(String) -> String) -> String {
    let text = fs::read_to_string(lab.files.config()).unwrap();
    fs::write(lab.files.config(), change(text.clone())).unwrap();
    text
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_that_can_read_no_key_file_has_the_keys() {
    let mut lab = Lab::running(&with_phone());
    for key in [KEY, PHONE] {
        let path = lab.files.server_key(key);
        let opened = as_server(&lab, || File::open(&path).map(drop).map_err(|e| e.kind()));
        assert_eq!(opened, Err(io::ErrorKind::PermissionDenied), "the server's user: {key}");
        expect_run_with(&mut lab, key);
    }
    lab.server().crash();
    lab.start_server();
    for key in [KEY, PHONE] {
        expect_run_with(&mut lab, key);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_restarts_hands_over_the_keys_that_there_are_then() {
    let mut lab = Lab::running(&with_phone());
    expect_run_with(&mut lab, PHONE);
    let old = knock_with(&lab, PHONE);
    lab.gate().crash();
    fs::remove_file(lab.files.server_key(PHONE)).unwrap();
    lab.files.add_key("tablet");
    lab.start_gate();
    lab.server().wait_for_nth(2, &["ready", "keys=2"]);
    lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(Family::V4, &old));
    // The commander has names and ids of its own, and nothing to do with the handover.
    lab.commander().crash();
    lab.start_commander();
    expect_run_with(&mut lab, "tablet");
    lab.expect_next_knock_to_run(Family::V4);

    // The one that was away comes back, and what ran before does not run again.
    lab.files.add_key("another");
    fs::copy(lab.files.client_key(PHONE), lab.files.server_key(PHONE)).unwrap();
    lab.files.make_private(&lab.files.server_key(PHONE));
    let new = knock_with(&lab, "another");
    lab.gate().crash();
    lab.start_gate();
    lab.server().wait_for(&["ready", "keys=4"]);
    lab.commander().crash();
    lab.start_commander();
    // From before this key came: as far as anybody knows, it has run.
    lab.send(Family::V4, &new);
    lab.expect_refusal("old_counter");
    expect_run_with(&mut lab, PHONE);
    expect_run_with(&mut lab, "another");
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_whose_file_is_gone_is_refused_by_the_next_server_though_the_gate_knows_it() {
    let mut lab = Lab::running(&with_phone());
    expect_run_with(&mut lab, PHONE);
    fs::remove_file(lab.files.server_key(PHONE)).unwrap();
    lab.server().crash();
    lab.start_server();
    let knock = knock_with(&lab, PHONE);
    lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(Family::V4, &knock));
    lab.expect_refusal("unknown_key");
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_file_that_has_gone_bad_is_told_and_the_running_server_goes_on() {
    let mut lab = Lab::running(&Default::default());
    let key = lab.files.server_key(KEY);
    let text = fs::read(&key).unwrap();
    let path = key.to_str().unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    lab.expect_next_knock_to_run(Family::V4);
    lab.server().crash();
    let mut server = lab.server_command(&[]);
    lab.start_server_until(
        &mut server,
        &["waiting for the gate", "the gate rejected this process"],
    );
    lab.gate().wait_for(&["could not hand over", path, "chmod 600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    lab.server().wait_for(&["ready"]);
    lab.expect_next_knock_to_run(Family::V4);

    fs::write(&key, "nonsense").unwrap();
    lab.server().crash();
    let mut server = lab.server_command(&[]);
    lab.start_server_until(&mut server, &["waiting for the gate"]);
    lab.gate().wait_for(&["could not hand over", path, "not a key"]);
    // The server's user could not even be given it: the gate has no more power than it needs.
    lab.files.give_to_user(&key);
    lab.gate().wait_for(&[
        "could not hand over",
        path,
        "may not override file permissions",
        "chown root",
    ]);
    chown(&key, Some(0), Some(0)).unwrap();
    fs::write(&key, text).unwrap();
    lab.server().wait_for(&["ready"]);
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nobody_else_gets_the_keys_while_a_server_has_them() {
    let mut lab = Lab::running(&Default::default());
    let socket = lab.files.sockets().join("gate.sock");
    let given = as_server(&lab, || {
        let gate = connect(&socket).unwrap();
        wait::until("the gate to say something", || {
            match receive_descriptors(gate.as_fd(), &mut [0; 64]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(0),
                given => {
                    let (length, descriptors) = given.unwrap();
                    Some(length + descriptors.into_iter().flatten().count())
                }
            }
        })
    });
    assert_eq!(given, 0, "bytes and descriptors");
    lab.gate().wait_for(&["rejected a second server"]);
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_is_no_handover_is_refused_in_words_and_keys_are_wiped_all_the_same() {
    let mut lab = Lab::new(&Default::default());
    let message = Handover { ring_size: 1 << 20 }.encode();
    let named = NamedKey { name: KEY.to_owned(), key: lab.key() };
    let good = keys::encode(&[named]);
    let bad = good.replace('\t', " ");
    let file = |text: &str| OwnedFd::from(memory::put(text.as_bytes()).unwrap());
    let (other, socket) =
        (file("no ring"), OwnedFd::from(std::os::unix::net::UnixDatagram::unbound().unwrap()));
    let long = [&message[..], &[0]].concat();
    let cases: [(&[u8], &[&OwnedFd], &str); 7] = [
        (&[1, 0, 0x10, 0, 0], &[&other], "version 1, expected 2"),
        (&message[..4], &[&other, &file(&good)], "of 4 bytes, expected 5"),
        (&long, &[&other, &file(&good)], "of 6 bytes, expected 5"),
        (&message, &[&other], "no keys, or no ring"),
        (&message, &[&other, &socket], "could not receive the keys: not a file of keys"),
        (&message, &[&other, &file(&bad)], "line 1 of the keys from the gate has no name"),
        (&message, &[&socket, &file(&good)], "could not map the ring"),
    ];
    let path = lab.files.sockets().join("gate.sock");
    for (message, descriptors, told) in cases {
        // A gate made of nothing but what it says.
        let gate = PrivateListener::listen(&path, lab.files.user().uid.as_raw()).unwrap();
        let mut server = Daemon::start("ruroco-server", &mut lab.server_command(&[]));
        let connection = wait::until("a server", || gate.accept().unwrap());
        let sent: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        send_descriptors(connection.as_fd(), message, &sent).unwrap();
        server.wait_for(&["waiting for the gate", told]);
        server.signal(Signal::SIGTERM);
        assert!(server.wait_for_end().success());
        let lines = server.lines();
        assert!(!lines.iter().any(|line| line.contains("chacha20")), "{lines:?}");
        // What was taken for keys is zeros now, whether or not it was any good.
        if told.starts_with("line 1") || told == "could not map the ring" {
            let keys = File::from(descriptors[1].try_clone().unwrap());
            let mut content = vec![1; good.len() + 1];
            assert_eq!(keys.read_at(&mut content, 0).unwrap(), good.len());
            assert_eq!(content[..good.len()], vec![0; good.len()]);
        }
    }
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn with_a_bad_configuration_the_rules_from_before_stay_and_new_keys_wait() {
    let phone = "[keys.phone]\ncommands = [\"open_port\"]\n".to_owned();
    let mut lab = Lab::running(&Options { config: phone, ..with_phone() });
    // A gate that starts, and a mistake before the server looks.
    lab.server().signal(Signal::SIGSTOP);
    lab.gate().crash();
    lab.files.add_key("tablet");
    lab.start_gate();
    let text = change_config(&lab, |text| text + "\n[keys.tablet]\ncommandos = []\n");
    let place = format!("{}:{}: ", lab.files.config().display(), text.lines().count() + 3);
    lab.server().signal(Signal::SIGCONT);
    let told =
        ["the earlier rules stay in force", "waiting=tablet", &place, "did you mean `commands`?"];
    lab.server().wait_for(&told);
    lab.server().wait_for_nth(2, &["ready", "keys=2"]);
    lab.commander().crash();
    fs::write(lab.files.config(), &text).unwrap();
    lab.start_commander();

    // Not all of it, and not without rules.
    lab.send(Family::V4, &knock_with(&lab, "tablet"));
    lab.expect_refusal("unknown_key");
    lab.send(Family::V4, &knock_with(&lab, PHONE));
    lab.expect_refusal("command_not_allowed");
    lab.expect_next_knock_to_run(Family::V4);

    change_config(&lab, |text| text + "\n[keys.tablet]\ncommands = [\"default\"]\n");
    lab.server().signal(Signal::SIGHUP);
    lab.server().wait_for(&["reloaded", "keys=3"]);
    expect_run_with(&mut lab, "tablet");
    let other = Knock::to(SERVER.of(Family::V4), OTHER_COMMAND);
    lab.send(Family::V4, &other.seal(&lab.files.key("tablet")));
    lab.server().wait_for(&["refused", "command_not_allowed", "total=2"]);
    lab.send(Family::V4, &other.seal(&lab.files.key(PHONE)));
    assert_eq!(lab.expect_one_run().command, OTHER_COMMAND);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_new_key_is_not_used_before_its_floor_is_on_the_disk() {
    let mut lab = Lab::running(&Default::default());
    lab.server().crash();
    lab.files.add_key(PHONE);
    lab.gate().crash();
    lab.start_gate();
    lab.commander().crash();
    lab.start_commander();
    let mut command = lab.server_command(&[]);
    lab.gate().signal(Signal::SIGSTOP);
    lab.start_server_until(&mut command, &["waiting for the gate"]);
    let immutable = Immutable::make(&lab.files.floors_dir().join("floors"));
    lab.gate().signal(Signal::SIGCONT);
    lab.server().wait_for(&["waiting for the gate", "could not write the floors"]);
    let (knock, phone) = (lab.good_knock(Family::V4), lab.files.key(PHONE));
    lab.send(Family::V4, &knock.seal(&phone));
    drop(immutable);
    lab.server().wait_for(&["ready", "keys=2"]);
    // It came before its key's floor.
    lab.expect_refusal("old_counter");
    expect_run_with(&mut lab, PHONE);
    lab.server().crash();
    lab.start_server();
    lab.send(Family::V4, &knock.seal(&phone));
    lab.expect_refusal("old_counter");
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}
