//! A knock runs at most once, whatever crashes when: the server is killed at every system call
//! that it makes for a knock, or for writing all floors anew, one after the other, and then given
//! the very same knock again, sealed anew, so that nobody but the server can tell.

use std::{
    collections::BTreeMap, fs, os::unix::process::ExitStatusExt, path::Path, process::Command,
};

use ruroco_lab::{
    daemon::Daemon,
    files::{KEY, Options},
    lab::{Lab, require_tool},
    network::Family,
    wait,
};

/// One system call of the server: its name, and how many of this name came before it and with it.
type Call = (String, usize);

fn options() -> Options {
    Options { more_keys: vec!["phone"], ..Options::default() }
}

/// The server under strace, with what it does recorded in a file of the lab.
fn traced(lab: &Lab, extra: &[&str]) -> Command {
    let record = lab.files.path("trace").to_str().unwrap().to_owned();
    let strace = [&["strace", "--quiet=all", "--output", &record][..], extra, &["--"]].concat();
    lab.server_command_by(&strace, &[])
}

fn start_traced(lab: &mut Lab, extra: &[&str]) {
    lab.start_server_until(&mut traced(lab, extra), &["ready"]);
}

/// What makes strace kill the server when it enters this system call.
fn kill_at((name, count): &Call) -> String {
    format!("inject={name}:signal=SIGKILL:when={count}")
}

/// The system calls that strace has recorded, each with how often there has been one of its name,
/// and with its arguments.
fn calls_with_arguments(record: &Path) -> Vec<(Call, String)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let text = fs::read_to_string(record).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once('('));
    let calls = lines
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .map(|(name, arguments)| {
            let count = seen.entry(name.to_owned()).or_default();
            *count += 1;
            ((name.to_owned(), *count), arguments.to_owned())
        });
    calls.collect()
}

fn calls(record: &Path) -> Vec<Call> {
    calls_with_arguments(record).into_iter().map(|(call, _)| call).collect()
}

/// Calls that only wait or look. How many of them there are depends on what wakes the server when,
/// and a server that is killed there is one that is killed at the next call.
const WAITING: [&str; 3] = ["poll", "ppoll", "recvfrom"];

/// The system calls that the server makes for a knock.
fn calls_for_a_knock() -> Vec<Call> {
    let mut lab = Lab::new(&options());
    lab.start_commander();
    lab.start_gate();
    start_traced(&mut lab, &[]);
    let record = lab.files.path("trace");
    let before = calls(&record);
    lab.knock(Family::V4, &[]);
    lab.expect_one_run();
    let is_waiting = |(name, _): &Call| WAITING.contains(&name.as_str());
    lab.server().wait_for(&["accepted"]);
    let mut calls = wait::until("the server to wait again", || {
        Some(calls(&record)).filter(|calls| calls.last().is_some_and(is_waiting))
    });
    calls.retain(|call| !before.contains(call) && !is_waiting(call));
    calls
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_killed_at_any_moment_runs_a_knock_at_most_once() {
    require_tool("strace");
    let calls = calls_for_a_knock();
    eprintln!("a knock makes the server call: {calls:?}");
    // The moments that matter are among them.
    for name in ["pwrite64", "fdatasync", "sendto"] {
        assert!(calls.iter().any(|(call, _)| call == name), "no {name} in {calls:?}");
    }
    let outcomes: Vec<_> = calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            let family = Family::BOTH[index % 2];
            eprintln!("{family:?}: killed at {call:?}");
            outcome_when_killed_at(family, call)
        })
        .collect();
    eprintln!("{outcomes:?}");
    // First the floor gets onto the disk, then the order leaves, and there is a moment in between.
    assert!(outcomes.is_sorted());
    for outcome in [Outcome::RanAfterwards, Outcome::NeverRan, Outcome::HadRun] {
        assert!(outcomes.contains(&outcome), "{outcome:?} is not among them");
    }
}

/// What became of a knock during which the server was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Its floor was not on the disk yet: the next server ran it.
    RanAfterwards,
    /// Its floor was on the disk, and the order had not left the server yet.
    NeverRan,
    /// The order had left the server.
    HadRun,
}

/// Kills the server when it enters this system call, starts it again and sends the knock again.
fn outcome_when_killed_at(family: Family, call: &Call) -> Outcome {
    let mut lab = Lab::new(&options());
    lab.start_commander();
    lab.start_gate();
    start_traced(&mut lab, &["-e", &kill_at(call)]);
    let knock = lab.good_knock(family);
    lab.send(family, &lab.seal(&knock));
    let status = lab.server().wait_for_end();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "it was not killed: {status}");

    lab.start_server();
    lab.send(family, &lab.seal(&knock));
    lab.send(family, &lab.seal(&knock));
    // A knock with another key, whose floor does not tell anything about this one's, runs last.
    lab.send(family, &lab.good_knock(family).seal(&lab.files.key("phone")));
    lab.server().wait_for(&["accepted", "phone"]);
    let accepted_afterwards = lab.server().lines_with(&["accepted", KEY]).len();
    wait::until("all commands to have ended", || {
        let commander = lab.commander();
        let ended = |key: &str| commander.lines_with(&["ended", key]).len();
        // Commands end in any order.
        let are_all = ended("phone") == 1 && ended(KEY) >= accepted_afterwards;
        let started = commander.lines_with(&["running"]).len();
        (are_all && started == commander.lines_with(&["ended"]).len()).then_some(())
    });
    let runs = lab.files.runs().into_iter().filter(|run| run.key == KEY).count();
    lab.expect_silence();
    match (runs, accepted_afterwards) {
        (1, 1) => Outcome::RanAfterwards,
        (0, 0) => Outcome::NeverRan,
        (1, 0) => Outcome::HadRun,
        _ => panic!(
            "the knock ran {runs} times; the second server accepted it {accepted_afterwards} times"
        ),
    }
}

/// The system calls with which the server, when it starts, writes all floors anew.
fn calls_for_all_floors(lab: &mut Lab) -> Vec<Call> {
    start_traced(lab, &[]);
    let calls = calls_with_arguments(&lab.files.path("trace"));
    lab.server().crash();
    let is_file = |arguments: &str| arguments.contains("/floors\"") && arguments.contains("O_RDWR");
    let first = calls.iter().position(|(_, arguments)| is_file(arguments)).unwrap();
    let last = calls.iter().rposition(|((name, _), _)| name == "fdatasync").unwrap();
    calls[first..=last].iter().map(|(call, _)| call.clone()).collect()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_killed_while_it_writes_all_floors_forgets_none() {
    require_tool("strace");
    let mut lab = Lab::running(&options());
    let mut knocks = Vec::new();
    lab.server().crash();
    let calls = calls_for_all_floors(&mut lab);
    eprintln!("writing all floors makes the server call: {calls:?}");
    // The new log, the first line of the old one, and its other lines.
    let syncs = calls.iter().filter(|(name, _)| name == "fdatasync").count();
    assert_eq!(syncs, 3, "{calls:?}");
    // Reading changes nothing, so any one of the calls that do it stands for all.
    let is_first_read = |call: &&Call| call.0 != "pread64" || call.1 == 1;
    for call in calls.iter().filter(is_first_read) {
        lab.start_server();
        let knock = lab.good_knock(Family::V4);
        lab.send(Family::V4, &lab.seal(&knock));
        knocks.push(knock);
        lab.expect_one_run();
        lab.server().crash();

        let mut killed = Daemon::start("ruroco-server", &mut traced(&lab, &["-e", &kill_at(call)]));
        let status = killed.wait_for_end();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "it was not killed: {status}");
    }
    lab.start_server();
    for knock in knocks {
        lab.send(Family::V4, &lab.seal(&knock));
    }
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}
