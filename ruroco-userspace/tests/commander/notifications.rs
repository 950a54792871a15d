//! `[notify]`: a program that runs after events, and is never in the way of a knock.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use ruroco_common::datagram::KeyId;
use ruroco_ipc::{audit::FILE, order::Order};
use rustix::process::Signal;
use serde_json::Value;

use super::{
    fake_gate::FakeGate,
    harness::{Host, eventually, is_root, order},
    the_audit_trail::lines_of,
};
use ruroco_ipc::lease::Answer;

const COMMANDS: &str = "[commands.noop]\nrun = [\"true\"]\n[commands.fails]\nrun = [\"false\"]\n\
                        [commands.open]\nopen = \"ssh\"\n[commands.\"$(touch DIRinjected) '\\\"\"]\nrun = [\"true\"]\n";

/// With this program, a line for the shell.
fn host(line: &str, fields: &str) -> Host {
    let host = Host::new("[commands.x]\nrun = [\"true\"]\n");
    host.configure_doors("[doors.ssh]\nport = \"tcp/22\"\n");
    write(&host, line, fields);
    host
}

fn write(host: &Host, line: &str, fields: &str) {
    host.write_commands(&format!(
        "{COMMANDS}[notify]\nrun = [\"/bin/sh\", \"-c\", '''{line}''']\n{fields}\n"
    ));
}

/// The events that the program has written so far.
fn told(host: &Host) -> Vec<Value> {
    let text = fs::read_to_string(host.path("told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn wait_for(host: &Host, count: usize) -> Vec<Value> {
    eventually("notifications", || {
        let told = told(host);
        (told.len() >= count).then_some(told)
    })
}

#[test]
fn have_the_lines_of_the_audit_trail_and_their_facts_as_variables() {
    let host = host("cat >>DIR/told; env -u _ | sort >>DIR/env.$RUROCO_EVENT", "");
    let _gate = FakeGate::start(&host, vec![Answer::Opened, Answer::TooManyOfKey]);
    let commander = host.start();
    commander.line(&["listening", "notify=", "/bin/sh"]);
    let connection = commander.connect();
    connection.send(&Order { counter: 1, ..order("open") });
    wait_for(&host, 2);
    connection.send(&Order { counter: 2, ..order("open") });
    connection.send(&Order { key: KeyId([9; 8]), counter: 3, ..order("noop") });
    let told = wait_for(&host, 5);
    let facts = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        (text("event"), text("action"), text("reason"))
    };
    let mut seen: Vec<_> = told.iter().map(facts).collect();
    seen.sort();
    let expected = [
        ("door", "not_opened", "too_many_leases_of_key"),
        ("door", "opened", "-"),
        ("refused", "-", "unknown_key"),
        ("running", "-", "-"),
        ("running", "-", "-"),
    ];
    assert_eq!(seen, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    // The same objects, in the same order; only ends are not told.
    let trail = lines_of(&host, FILE).into_iter().filter(|line| line["event"] != "ended");
    assert_eq!(told, trail.collect::<Vec<_>>());
    let env = fs::read_to_string(host.path("env.door")).unwrap();
    for variable in [
        "RUROCO_EVENT=door",
        "RUROCO_KEY=laptop",
        "RUROCO_IP=192.0.2.1",
        "RUROCO_COMMAND=open",
        "RUROCO_DOOR=ssh",
        "RUROCO_ACTION=opened",
        "RUROCO_COUNTER=1",
    ] {
        assert!(env.lines().any(|line| line == variable), "{variable} in {env}");
    }
    let until = told.iter().find_map(|line| line["until"].as_u64()).unwrap();
    assert!(env.contains(&format!("RUROCO_UNTIL={until}\n")), "{env}");
    assert!(!env.contains("SECRET"), "{env}");
    assert!(lines_of(&host, FILE).iter().any(|line| line["event"] == "ended"));
}

#[test]
fn run_nothing_that_a_name_says() {
    let host = host("cat >>DIR/told; echo \"$RUROCO_COMMAND\" >>DIR/names", "");
    let commander = host.start();
    let name = format!("$(touch {}injected) '\"", host.path("").display());
    commander.connect().send(&order(&name));
    assert_eq!(wait_for(&host, 1)[0]["command"], name.as_str());
    assert_eq!(host.written("names"), name);
    assert!(!host.path("injected").exists());
}

#[test]
fn are_only_those_that_the_operator_wants_and_come_from_the_program_of_now() {
    let host = host("cat >>DIR/told", "events = [\"ended\"]");
    let commander = host.start();
    let connection = commander.connect();
    connection.send(&Order { counter: 1, ..order("fails") });
    let told = wait_for(&host, 1);
    assert_eq!((&told[0]["event"], &told[0]["result"]), (&"ended".into(), &"exit:1".into()));
    assert_eq!(told[0]["totals"]["failed"], 1);
    write(&host, "cat >>DIR/other", "");
    commander.reload(&["reloaded", "notify="]);
    connection.send(&Order { counter: 2, ..order("noop") });
    eventually("the other program", || host.path("other").exists().then_some(()));
    // Without the table, no program is notified.
    host.write_commands(COMMANDS);
    commander.reload(&["reloaded"]);
    connection.send(&Order { counter: 3, ..order("noop") });
    commander.line(&["ended command=noop", "counter=3 "]);
    assert_eq!(wait_for(&host, 1).len(), 1);
    let other = fs::read_to_string(host.path("other")).unwrap();
    assert!(!other.contains("\"counter\":\"3\""), "{other}");
}

#[test]
fn that_hang_delay_nothing_are_killed_and_have_a_bound() {
    let host = host(
        "cat >>DIR/told; trap '' TERM; echo $$ >>DIR/pids; sleep 600 & wait; wait",
        "timeout = 1",
    );
    let mut commander = host.start();
    let connection = commander.connect();
    connection.send(&Order { counter: 1, ..order("noop") });
    wait_for(&host, 1);
    let first = eventually("its pid", || {
        let text = fs::read_to_string(host.path("pids")).ok()?;
        text.lines().next()?.parse::<i32>().ok()
    });
    // While it hangs, knocks run as ever, more of them than there is room for notifications.
    for counter in 2..100_u128 {
        connection.send(&Order { counter, ..order("noop") });
        commander.line(&["ended command=noop", &format!("counter={counter} "), "result=exit:0"]);
    }
    eventually("its end", || super::harness::living_in_group(first).is_empty().then_some(()));
    commander.line(&["not notified", "reason=timed_out", "after 1 s"]);
    let line = commander.line(&["not notified", "reason=queue_full"]);
    let dropped = line.split("detail=").nth(1).unwrap();
    assert!(dropped.contains("events: the program is too slow"), "{line}");
    // The end of the commander does not wait for all that are left.
    let began = std::time::Instant::now();
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert!(told(&host).len() < 20, "{}", told(&host).len());
}

#[test]
fn that_fail_are_logged_with_what_the_program_said() {
    let host = host("echo starting; echo 'no route to mail' >&2; exit 7", "");
    let commander = host.start();
    commander.connect().send(&order("noop"));
    commander.line(&["not notified", "reason=failed", "exit:7: no route to mail"]);
    host.write_commands(&format!("{COMMANDS}[notify]\nrun = [\"/no/such/program\"]\n"));
    commander.reload(&["reloaded"]);
    commander.connect().send(&order("noop"));
    commander.line(&["not notified", "reason=could_not_run", "/no/such/program"]);
}

#[test]
fn about_the_last_events_come_before_the_commander_ends() {
    let host = host("cat >>DIR/told", "events = [\"ended\"]");
    let mut commander = host.start();
    let connection = commander.connect();
    for counter in 0..3_u128 {
        connection.send(&Order { counter, ..order("noop") });
    }
    commander.line(&["ended command=noop", "counter=2 "]);
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
    let ended = lines_of(&host, FILE).iter().filter(|line| line["event"] == "ended").count();
    assert_eq!(told(&host).len(), ended);
    assert_eq!(ended, 3);
}

#[test]
fn by_the_examples_keep_secrets_and_names_out_of_arguments() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples");
    for example in ["notify-mail", "notify-ntfy", "notify-webhook"] {
        let host = host("true", "");
        fs::create_dir(host.path("bin")).unwrap();
        let script = fs::read_to_string(examples.join(example)).unwrap();
        host.write("bin/notify", &script, 0o755);
        let curl =
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >DIR/args\ncat >DIR/part\nmv DIR/part DIR/sent\n";
        let dir = host.path("");
        host.write("bin/curl", &curl.replace("DIR", dir.to_str().unwrap()), 0o755);
        host.write_commands(&format!(
            "{COMMANDS}[notify]\nrun = [\"DIR/bin/notify\"]\nenv.PATH = \"DIRbin:/usr/bin:/bin\"\n"
        ));
        let commander = host.start();
        let name = format!("$(touch {}injected) '\"", dir.display());
        commander.connect().send(&order(&name));
        eventually("what was sent", || host.path("sent").exists().then_some(()));
        let [args, sent] =
            ["args", "sent"].map(|file| fs::read_to_string(host.path(file)).unwrap());
        assert!(sent.contains("$(touch ") && sent.contains("192.0.2.1"), "{example}: {sent}");
        assert!(!args.contains("touch") && !args.contains("192.0.2.1"), "{example}: {args}");
        assert!(!host.path("injected").exists(), "{example}");
        if example == "notify-webhook" {
            assert_eq!(serde_json::from_str::<Value>(&sent).unwrap()["command"], name.as_str());
        }
    }
}

#[test]
fn come_from_a_program_of_the_user_that_is_configured() {
    if !is_root("come_from_a_program_of_the_user_that_is_configured") {
        return;
    }
    let host = host("id -u >>DIR/who/id; cat >>DIR/who/event", "user = \"nobody\"");
    fs::create_dir(host.path("who")).unwrap();
    host.set_mode("who", 0o777);
    let commander = host.start();
    commander.connect().send(&order("noop"));
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid;
    assert_eq!(host.written("who/id"), nobody.to_string());
    let event: Value = serde_json::from_str(&host.written("who/event")).unwrap();
    assert_eq!(event["command"], "noop");
    assert_eq!(fs::metadata(host.path("who/event")).unwrap().uid(), nobody.as_raw());
}
