//! Doors: what the commander asks of the gate, and what becomes of a run when the gate answers, does not, or is
//! not there.

use std::time::Duration;

use ruroco_common::{address::Address, doors::DoorName};
use ruroco_ipc::{
    audit::{DOOR, FILE},
    boot_clock,
    lease::{Action, Answer, Request, SOCKET},
    order::{MAX_WAIT, Order},
};
use rustix::process::Signal;
use serde_json::Value;

use super::{
    fake_gate::{FakeGate, Reaction, listening},
    harness::{Commander, Host, LAPTOP, eventually, order, try_connect},
    the_audit_trail::{lines_of, with},
};

const DOORS: &str = "[doors.ssh]\nport = \"tcp/22\"\n[doors.web]\nport = \"tcp/443\"\nfor = \"5m\"\n\
                     [doors.vpn]\nport = \"udp/51820\"\n";

const OPEN_CLOSE: &str = "[commands.open]\nopen = \"ssh\"\n[commands.close]\nclose = \"ssh\"\n\
                          [commands.noop]\nrun = [\"true\"]\n";

fn host(commands: &str) -> Host {
    let host = Host::new("[commands.x]\nrun = [\"true\"]\n");
    host.configure_doors(DOORS);
    host.write_commands(commands);
    host
}

/// An order that has only a second left.
fn late(command: &str) -> Order {
    let left = Duration::from_secs(1);
    Order { received_at: boot_clock::now() - (MAX_WAIT - left), ..order(command) }
}

fn ended(commander: &Commander, command: &str, counter: u128) -> String {
    commander.line(&["ended", &format!("command={command} "), &format!("counter={counter} ")])
}

/// The line of the audit trail about a door.
fn trail(host: &Host, counter: u128) -> Value {
    with(host, DOOR, "counter", &counter.to_string())
}

#[test]
fn is_opened_for_the_address_of_the_knock_and_for_as_long_as_the_configuration_says() {
    let host = host(OPEN_CLOSE);
    let gate = FakeGate::start(&host, vec![Answer::Opened]);
    let commander = host.start();
    let address = Address::from_bytes([9; 16]);
    let before = boot_clock::now();
    commander.connect().send(&Order { address, counter: u128::MAX, ..order("open") });
    let line = commander.line(&["opened door=ssh ip=909:909:909:909:909:909:909:909 key=laptop"]);
    assert!(line.ends_with(" for=30s"), "{line}");
    assert!(ended(&commander, "open", u128::MAX).contains("result=done"));
    let [request] = gate.requests(1).try_into().unwrap();
    let Request { action: Action::Open { until }, door, .. } = request else {
        panic!("{request:?}")
    };
    let duration = Duration::from_secs(30);
    assert!((before + duration..=boot_clock::now() + duration).contains(&until), "{until:?}");
    assert_eq!(door, DoorName::new("ssh").unwrap());
    assert_eq!((request.address, request.key, request.counter), (address, LAPTOP, u128::MAX));

    let line = trail(&host, u128::MAX);
    assert_eq!((&line["door"], &line["action"]), (&"ssh".into(), &"opened".into()), "{line}");
    assert_eq!((&line["key"], &line["command"]), (&"laptop".into(), &"open".into()), "{line}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!((now..=now + 30).contains(&line["until"].as_u64().unwrap()), "{now} {line}");
}

/// What the log and the audit trail say of an answer, and how the run ends.
fn expected(is_open: bool, answer: Answer) -> (&'static str, Option<&'static str>, &'static str) {
    let no = if is_open { "not_opened" } else { "not_closed" };
    match (is_open, answer) {
        (true, Answer::Opened) => ("opened", None, "done"),
        (true, Answer::Renewed) => ("renewed", None, "done"),
        (false, Answer::Closed) => ("closed", Some("knock"), "done"),
        (false, Answer::WasClosed) => ("was_closed", None, "done"),
        (_, answer) if answer.is_success() => (no, Some("unknown_answer"), "door_failed"),
        (_, answer) => (no, Some(answer.name()), "door_failed"),
    }
}

#[test]
fn has_the_gates_answer_in_the_log_and_in_the_audit_trail() {
    let host = host(OPEN_CLOSE);
    let commander = host.start();
    let connection = commander.connect();
    let cases = Answer::ALL.into_iter().flat_map(|answer| [(true, answer), (false, answer)]);
    for (counter, (is_open, answer)) in (100..).zip(cases) {
        let gate = FakeGate::start(&host, vec![answer]);
        let command = if is_open { "open" } else { "close" };
        connection.send(&Order { counter, ..order(command) });
        let end = ended(&commander, command, counter);
        let (action, reason, result) = expected(is_open, answer);
        assert!(end.contains(&format!("result={result} ")), "{answer:?}: {end}");
        let line = trail(&host, counter);
        assert_eq!(line["action"], action, "{answer:?}: {line}");
        assert_eq!(line["reason"].as_str(), reason, "{answer:?}: {line}");
        assert_eq!(line["until"].is_u64(), is_open && reason.is_none(), "{answer:?}: {line}");
        let log = commander.line(&["door=ssh ", &format!(" counter={counter}")]);
        match reason {
            None | Some("knock") => assert!(log.contains(" INFO "), "{log}"),
            Some(reason) => {
                assert!(
                    log.contains("ERROR") && log.contains(&format!("reason={reason} ")),
                    "{log}"
                );
                let remedy = line["detail"].as_str().unwrap();
                assert!(log.contains(remedy), "{log}");
                assert!(["Run: ", "Wait "].iter().any(|verb| remedy.contains(verb)), "{remedy}");
                let failed = format!("could not {command} ssh: {reason}");
                assert_eq!(with(&host, "ended", "counter", &counter.to_string())["error"], failed);
            }
        }
        gate.gone();
    }
    let succeeded = Answer::ALL.into_iter().filter(|answer| answer.is_success()).count();
    let last = lines_of(&host, FILE).pop().unwrap();
    assert_eq!(last["totals"]["succeeded"], succeeded);
    assert_eq!(last["totals"]["door_failed"], 2 * Answer::ALL.len() - succeeded);
}

#[test]
fn is_opened_once_the_gate_is_there() {
    let host = host(OPEN_CLOSE);
    let commander = host.start();
    let connection = commander.connect();
    connection.send(&Order { counter: 1, ..order("open") });
    // When this one has given up, the other has waited for as long.
    connection.send(&Order { counter: 2, ..late("open") });
    let end = ended(&commander, "open", 2);
    assert!(end.contains("result=door_failed"), "{end}");
    let line = trail(&host, 2);
    assert_eq!(line["reason"], "gate_away", "{line}");
    assert!(line["detail"].as_str().unwrap().contains("systemctl status ruroco-gate"), "{line}");
    let gate = FakeGate::start(&host, vec![Answer::Opened]);
    assert!(ended(&commander, "open", 1).contains("result=done"));
    assert_eq!(gate.requests(1)[0].counter, 1);
}

#[test]
fn is_asked_for_again_if_the_gate_ends_without_an_answer() {
    let host = host(OPEN_CLOSE);
    let first = FakeGate::start(&host, vec![Reaction::Close]);
    let commander = host.start();
    commander.connect().send(&order("open"));
    let until = |request: &Request| match request.action {
        Action::Open { until } => until,
        Action::Close | Action::CloseAll => panic!("{request:?}"),
    };
    let earlier = until(&first.requests(1)[0]);
    first.gone();
    let second = FakeGate::start(&host, vec![Answer::Opened]);
    assert!(ended(&commander, "open", 17).contains("result=done"));
    // The first gate may have opened the door: the address has no more time than one knock gives.
    assert_eq!(until(&second.requests(1)[0]), earlier);
    assert_eq!(commander.lines_with(&["door=ssh"]).len(), 1);
}

#[test]
fn is_not_opened_by_a_gate_that_is_too_busy() {
    let host = host(OPEN_CLOSE);
    let path = host.path("run").join(SOCKET);
    let _listener = listening(&path, 0);
    let _waiting = try_connect(&path).unwrap();
    let commander = host.start();
    commander.connect().send(&late("open"));
    assert!(ended(&commander, "open", 17).contains("result=door_failed"));
    assert_eq!(trail(&host, 17)["reason"], "gate_away");
}

#[test]
fn keeps_nothing_else_waiting_while_the_gate_hangs() {
    let host = host(OPEN_CLOSE);
    let gate = FakeGate::start(&host, vec![Reaction::Hang, Reaction::Hang]);
    let mut commander = host.start();
    let connection = commander.connect();
    connection.send(&Order { counter: 1, ..late("open") });
    assert!(ended(&commander, "open", 1).contains("result=door_failed"));
    assert_eq!(trail(&host, 1)["reason"], "gate_silent");
    connection.send(&Order { counter: 2, ..order("open") });
    gate.requests(2);
    connection.send(&Order { counter: 3, ..order("noop") });
    assert!(ended(&commander, "noop", 3).contains("result=exit:0"));
    assert_eq!(commander.lines_with(&["ended", "counter=2 "]), [""; 0]);
    // Much sooner than the gate's time is over.
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
    assert!(ended(&commander, "open", 2).contains("result=stopped"));
    assert_eq!(trail(&host, 2)["reason"], "stopping");
}

#[test]
fn is_not_taken_for_open_after_an_answer_of_another_release() {
    let host = host(OPEN_CLOSE);
    let commander = host.start();
    let connection = commander.connect();
    let opened = Answer::Opened.encode();
    for (counter, junk) in (1..).zip([vec![200], vec![opened, opened], vec![opened; 100]]) {
        let gate = FakeGate::start(&host, vec![Reaction::Bytes(junk)]);
        connection.send(&Order { counter, ..order("open") });
        assert!(ended(&commander, "open", counter).contains("result=door_failed"));
        assert_eq!(trail(&host, counter)["reason"], "unknown_answer");
        gate.gone();
    }
}

#[test]
fn is_open_before_the_program_starts_which_has_its_name() {
    let host = host(
        "[commands.both]\nopen = [\"ssh\", \"web\"]\nclose = \"vpn\"\nrun = [\"env\"]\n\
                     [commands.closes]\nclose = \"vpn\"\nrun = [\"env\"]\n",
    );
    let gate = FakeGate::start(
        &host,
        vec![Answer::Opened, Answer::Renewed, Answer::Closed, Answer::WasClosed],
    );
    let commander = host.start();
    let connection = commander.connect();
    connection.send(&order("both"));
    assert!(ended(&commander, "both", 17).contains("result=exit:0"));
    assert!(commander.output("both").contains(&"RUROCO_DOORS=ssh web".to_owned()));
    let lines = commander.lines();
    let place = |part: &str| lines.iter().position(|line| line.contains(part)).expect(part);
    let places = [
        "running command=both",
        "opened door=ssh",
        "renewed door=web",
        "closed door=vpn",
        "output",
    ];
    assert!(places.map(place).is_sorted(), "{lines:#?}");
    assert!(lines[place("renewed door=web")].ends_with(" for=300s"), "{lines:#?}");
    // Only what is open is named.
    connection.send(&Order { counter: 18, ..order("closes") });
    assert!(ended(&commander, "closes", 18).contains("result=exit:0"));
    let output = commander.output("closes");
    assert!(output.contains(&"RUROCO_KEY=laptop".to_owned()), "{output:?}");
    assert!(!output.iter().any(|line| line.starts_with("RUROCO_DOORS")), "{output:?}");
    assert_eq!(
        gate.requests(4).iter().filter(|request| request.action == Action::Close).count(),
        2
    );
}

#[test]
fn that_fails_keeps_the_program_from_starting_but_no_other_door_from_opening() {
    let host =
        host("[commands.all]\nopen = [\"ssh\", \"web\", \"vpn\"]\nshell = \"echo > DIR/ran\"\n");
    let gate = FakeGate::start(&host, vec![Answer::Opened, Answer::Full, Answer::Opened]);
    let commander = host.start();
    commander.connect().send(&order("all"));
    let end = ended(&commander, "all", 17);
    assert!(end.contains("result=door_failed"), "{end}");
    assert!(end.contains("could not open web: too_many_leases") && !end.contains("vpn"), "{end}");
    let doors: Vec<_> = gate.requests(3).iter().map(|request| request.door.to_string()).collect();
    assert_eq!(doors, ["ssh", "web", "vpn"]);
    let actions: Vec<_> =
        lines_of(&host, FILE).into_iter().filter(|line| line["event"] == DOOR).collect();
    let actions: Vec<_> = actions.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["opened", "not_opened", "opened"]);
    assert!(!host.path("ran").exists());
}

#[test]
fn is_open_for_another_time_after_a_reload() {
    let host = host(OPEN_CLOSE);
    let commander = host.start();
    host.configure_doors(&DOORS.replace("port = \"tcp/22\"", "port = \"tcp/22\"\nfor = \"1d\""));
    commander.reload(&["reloaded"]);
    let _gate = FakeGate::start(&host, vec![Answer::Opened]);
    commander.connect().send(&order("open"));
    commander.line(&["opened door=ssh ", " for=86400s"]);
    // A door that a command opens cannot be removed.
    host.configure_doors("[doors.sssh]\nport = \"tcp/22\"\n");
    commander.reload(&["not reloaded", "commands.toml:2: ", "did you mean `sssh`?"]);
    eventually("the door of before", || {
        (commander.lines_with(&["opened door=ssh"]).len() == 1).then_some(())
    });
}
