//! The audit trail: everything that runs or is refused is in it, it has its bounds, and no command
//! waits for it.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
};

use nix::unistd::User;
use ruroco_common::datagram::KeyId;
use ruroco_config::{AUDIT_DIR, FORMER_AUDIT_DIR};
use ruroco_ipc::{
    audit::{FILE, MAX_REFUSED_SIZE, MAX_SIZE, OLD_FILE},
    order::{MAX_WAIT, Order},
};
use rustix::{
    process::{Gid, Signal, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use serde_json::Value;

use super::{
    TRUE,
    harness::{Commander, Host, PHONE, eventually, is_root, order, put_in_place},
};

/// The lines of one of the files so far.
pub(crate) fn lines_of(host: &Host, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(host.path("log").join(file)).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Those with this event and this value in a field, once there is one.
pub(crate) fn with(host: &Host, event: &str, field: &str, value: &str) -> Value {
    eventually(&format!("{event} with {field} {value}"), || {
        let mut lines = lines_of(host, FILE).into_iter();
        lines.find(|line| line["event"] == event && line[field] == value)
    })
}

fn stop(mut commander: Commander) {
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
}

/// What another user can open of these, and holds the lock of for as long as this lives.
fn locked_by_nobody(paths: &[PathBuf]) -> Vec<File> {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (user, group) = (Uid::from_raw(nobody.uid.as_raw()), Gid::from_raw(nobody.gid.as_raw()));
    thread::scope(|scope| {
        let lock = || {
            // To the kernel this is the thread's alone, and ends with it.
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
            let opened = paths.iter().filter_map(|path| File::open(path).ok());
            opened.inspect(|file| file.try_lock().unwrap()).collect()
        };
        scope.spawn(lock).join().unwrap()
    })
}

#[test]
fn is_begun_whatever_another_user_has_locked() {
    if !is_root("is_begun_whatever_another_user_has_locked") {
        return;
    }
    let host = Host::new(TRUE);
    stop(host.start());
    for directory in ["log", "run"] {
        host.set_mode(directory, 0o755);
    }
    let mut paths = vec![host.path("log"), host.path("run")];
    for directory in paths.clone() {
        paths.extend(fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()));
    }
    let locked = locked_by_nobody(&paths);
    assert_eq!(locked.len(), 2, "the directories, and nothing in them");
    let commander = host.start();
    commander.connect().send(&order("noop"));
    commander.line(&["ended command=noop"]);
    // The lock is as good as ever.
    host.configure_socket_dir("other");
    assert!(host.refusal_to_start().contains("another process holds the lock"));
}

#[test]
fn has_a_line_for_each_start_and_one_for_each_end() {
    let host = Host::new(
        "[commands.\"say \\\"hi\\\"\"]\nrun = [\"true\"]\n[commands.fails]\nshell = \"exit 3\"\n\
         [commands.dies]\nshell = \"kill -9 $$\"\n\
         [commands.missing]\nrun = [\"/no/such/program\"]\n\
         [commands.long]\nrun = [\"sleep\", \"600\"]\ntimeout = 1\n\
         [commands.longer]\nrun = [\"sleep\", \"600\"]\n",
    );
    let commander = host.start();
    let connection = commander.connect();
    let results = [
        ("say \"hi\"", "exit:0"),
        ("fails", "exit:3"),
        ("dies", "signal:9"),
        ("missing", "could_not_run"),
        ("long", "timed_out"),
        ("longer", "stopped"),
    ];
    for (counter, (command, _)) in (u128::MAX - 10..).zip(results) {
        connection.send(&Order { counter, ..order(command) });
        let line = with(&host, "running", "command", command);
        assert_eq!((&line["key"], &line["ip"]), (&"laptop".into(), &"192.0.2.1".into()));
        assert_eq!(line["counter"], counter.to_string());
        // RFC 3339, in UTC.
        let time = line["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
    }
    connection.send(&Order { key: KeyId([9; 8]), ..order("fails") });
    with(&host, "refused", "reason", "unknown_key");
    with(&host, "ended", "command", "long");
    // Too soon for another line of their own; at the end they are told all the same.
    for _ in 0..3 {
        connection.send(&Order { key: KeyId([9; 8]), ..order("fails") });
    }
    connection.send(&order("say \"hi\""));
    eventually("the last order", || {
        (commander.lines_with(&["ended", "hi"]).len() == 2).then_some(())
    });
    stop(commander);

    let lines = lines_of(&host, FILE);
    let ended = |command: &str| {
        let mut lines = lines.iter();
        let line = lines.find(|line| line["event"] == "ended" && line["command"] == command);
        line.unwrap_or_else(|| panic!("no end of {command} in {lines:#?}"))
    };
    for (command, result) in results {
        let line = ended(command);
        assert_eq!(line["result"], result, "{line}");
        assert!(line["duration_ms"].is_u64(), "{line}");
    }
    assert!(ended("missing")["error"].as_str().unwrap().contains("/no/such/program"));
    assert!(ended("long")["duration_ms"].as_u64().unwrap() >= 1000);
    let last = &lines.last().unwrap()["totals"];
    let expected = serde_json::json!({
        "succeeded": 2, "failed": 2, "timed_out": 1, "stopped": 1, "could_not_run": 1, "door_failed": 0,
        "refused": 4,
    });
    assert_eq!(last, &expected);
    let refused: Vec<_> = lines.iter().filter(|line| line["event"] == "refused").collect();
    let counts: Vec<_> = refused.iter().map(|line| line["count"].as_u64().unwrap()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 4, "{refused:#?}");
    assert_eq!(refused.last().unwrap()["total"], 4);
    assert_eq!(lines.len(), 2 * (results.len() + 1) + refused.len(), "{lines:#?}");
}

#[test]
fn is_roots_alone() {
    let host = Host::new(TRUE);
    let _commander = host.start();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(host.path("log")), 0o700);
    assert_eq!(mode(host.path("log").join(FILE)), 0o640);
    let second = Host::new(TRUE);
    let config = fs::read_to_string(second.path("config.toml")).unwrap();
    let (own, others) = (second.path("log"), host.path("log"));
    let config = config.replace(own.to_str().unwrap(), others.to_str().unwrap());
    second.write("config.toml", &config, 0o644);
    let said = second.refusal_to_start();
    assert!(said.contains("audit_dir") && said.contains("another process"), "{said}");
}

#[test]
fn in_a_directory_of_others_is_not_written() {
    let host = Host::new(TRUE);
    fs::create_dir(host.path("log")).unwrap();
    host.set_mode("log", 0o777);
    let said = host.refusal_to_start();
    assert!(said.contains("audit_dir") && said.contains("&& chmod go-w"), "{said}");
    assert!(!host.path("log").join(FILE).exists());
}

#[test]
fn keeps_its_bounds_and_what_ran_however_much_is_refused() {
    let host = Host::new(TRUE);
    fs::create_dir(host.path("log")).unwrap();
    // What a long time has left: runs, and all the refusals there is room for.
    let ran = "{\"event\":\"ended\",\"counter\":\"4711\"}\n".to_owned();
    let refused = "{\"event\":\"refused\",\"reason\":\"unknown_key\"}\n";
    let most = usize::try_from(MAX_REFUSED_SIZE).unwrap() / refused.len();
    host.write("log/audit.jsonl", &(ran + &refused.repeat(most)), 0o640);
    let size = || fs::metadata(host.path("log").join(FILE)).unwrap().len();
    let before = size();

    let commander = host.start();
    let connection = commander.connect();
    connection.send(&Order { key: PHONE, ..order("nothing") });
    commander.line(&["missing from the audit trail", "no_room_for_refusals"]);
    assert_eq!(size(), before);
    for counter in 0..100_u128 {
        connection.send(&Order { counter, ..order("noop") });
        with(&host, "ended", "counter", &counter.to_string());
    }
    with(&host, "ended", "counter", "4711");
    assert!(!host.path("log").join(OLD_FILE).exists());
    assert!(size() > before && size() <= MAX_SIZE);
}

#[test]
fn that_is_full_becomes_the_old_one() {
    let host = Host::new(TRUE);
    fs::create_dir(host.path("log")).unwrap();
    let ran = "{\"event\":\"ended\",\"counter\":\"4711\"}\n";
    let most = usize::try_from(MAX_SIZE).unwrap() / ran.len();
    host.write("log/audit.jsonl", &ran.repeat(most), 0o640);
    let full = fs::metadata(host.path("log").join(FILE)).unwrap();

    let commander = host.start();
    commander.connect().send(&order("noop"));
    with(&host, "ended", "counter", "17");
    assert_eq!(lines_of(&host, FILE).len(), 2);
    let old = fs::metadata(host.path("log").join(OLD_FILE)).unwrap();
    assert_eq!((old.ino(), old.len()), (full.ino(), full.len()));
}

#[test]
fn that_cannot_be_written_is_missed_and_keeps_no_command_from_running() {
    let host = Host::new(TRUE);
    let commander = host.start();
    // Nothing can be made there, not even by root.
    fs::remove_dir_all(host.path("log")).unwrap();
    let connection = commander.connect();
    for counter in 0..50 {
        connection.send(&Order { counter, ..order("noop") });
        commander.line(&["ended command=noop", &format!("counter={counter} "), "result=exit:0"]);
    }
    commander.line(&["missing from the audit trail", "reason=not_written", "audit.jsonl"]);
    let told = commander.lines_with(&["missing from the audit trail"]).len();
    assert!(told < 20, "{told} lines for 100 that were lost");
    // When it can be written again, it is.
    fs::create_dir(host.path("log")).unwrap();
    connection.send(&Order { counter: 50, ..order("noop") });
    with(&host, "ended", "counter", "50");
}

#[test]
fn has_a_line_for_a_knock_that_came_too_long_ago() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let connection = commander.connect();
    let good = order("noop");
    let received_at = good.received_at.saturating_sub(MAX_WAIT);
    connection.send(&Order { received_at, counter: 1, ..good });
    let line = with(&host, "refused", "reason", "expired");
    assert!(line["detail"].as_str().unwrap().contains("30 seconds old"), "{line}");
    connection.send(&Order { counter: 2, ..good });
    with(&host, "ended", "counter", "2");
    assert!(lines_of(&host, FILE).iter().all(|line| line["counter"] != "1"));
}

/// A commander with the default `audit_dir`, and with these directories of the host in the place of
/// `/var/lib` and `/var/log`.
fn start_with_var(host: &Host) -> Commander {
    let [lib, log] = ["lib", "log"].map(|name| host.path(name));
    host.start_by(|command| put_in_place(command, &[(&lib, "/var/lib"), (&log, "/var/log")]))
}

#[test]
fn is_by_default_where_the_group_of_the_systems_logger_cannot_write() {
    if !is_root("is_by_default_where_the_group_of_the_systems_logger_cannot_write") {
        return;
    }
    let host = Host::new(TRUE);
    host.configure_default_audit_dir();
    for (name, mode) in [("lib", 0o755), ("log", 0o775)] {
        fs::create_dir(host.path(name)).unwrap();
        // As rsyslog has it on Ubuntu.
        host.set_mode(name, mode);
    }
    let commander = start_with_var(&host);
    commander.connect().send(&order("noop"));
    commander.line(&["ended command=noop"]);
    let dir = host.path("lib").join(Path::new(AUDIT_DIR).file_name().unwrap());
    eventually("the trail", || {
        let text = fs::read_to_string(dir.join(FILE)).ok()?;
        text.contains("\"event\":\"ended\"").then_some(())
    });
    assert!(!commander.lines().iter().any(|line| line.contains("earlier release")));
}

#[test]
fn of_an_earlier_release_is_reported_once_with_the_command_that_keeps_it() {
    if !is_root("of_an_earlier_release_is_reported_once_with_the_command_that_keeps_it") {
        return;
    }
    let host = Host::new(TRUE);
    host.configure_default_audit_dir();
    for name in ["lib", "log", "log/ruroco"] {
        fs::create_dir(host.path(name)).unwrap();
        host.set_mode(name, 0o755);
    }
    host.write("log/ruroco/audit.jsonl", "{\"event\":\"ended\"}\n", 0o640);
    let told = format!("mv --no-clobber {FORMER_AUDIT_DIR}/{FILE} {AUDIT_DIR}/{OLD_FILE}");
    let commander = start_with_var(&host);
    commander.line(&["WARN", &told]);
    stop(commander);
    let again = start_with_var(&host);
    assert!(again.lines_with(&["earlier release"]).is_empty());
}

#[test]
fn that_misses_lines_at_the_end_has_them_counted_in_the_log() {
    let host = Host::new(TRUE);
    let commander = host.start();
    fs::remove_dir_all(host.path("log")).unwrap();
    let connection = commander.connect();
    // The first loss is logged at once, and what follows too soon for a line of its own.
    for counter in 0..3 {
        connection.send(&Order { counter, ..order("noop") });
        commander.line(&["ended command=noop", &format!("counter={counter} ")]);
    }
    let lost = "missing from the audit trail";
    commander.line(&[lost, "reason=not_written", "total=1 "]);
    let mut commander = commander;
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
    commander.line(&[lost, "reason=not_written", "total=6 "]);
}
