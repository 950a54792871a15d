use super::*;
use crate::health::paths::From;
use ruroco_gate::addresses::AddressStatus;
use ruroco_gate::status::{
    ArmingStatus, DoorStatus, FrontStatus, InterfaceStatus, KeyStatus, LeaseStatus, ProgramStatus,
    RingFill,
};

pub(crate) fn key(name: &str, id: &str) -> KeyStatus {
    KeyStatus { name: name.to_owned(), id: id.to_owned(), expires: None, expired: false }
}

fn door() -> DoorStatus {
    let lease = LeaseStatus {
        address: "203.0.113.7".to_owned(),
        key: "laptop".to_owned(),
        open_ms: 12_000,
        left_ms: 18_000,
        connections: Some(1),
    };
    let ports = vec!["tcp/22".to_owned()];
    DoorStatus {
        name: "ssh".to_owned(),
        ports,
        backends: vec!["xdp".to_owned()],
        for_seconds: 30,
        admitted: 7,
        flows: Some(2),
        leases: vec![lease],
    }
}

fn front() -> FrontStatus {
    let interface = |name: &str, mode: Option<&str>, problem: Option<&str>| InterfaceStatus {
        name: name.to_owned(),
        device: None,
        index: mode.map(|_| 2),
        attached: mode.is_some(),
        mode: mode.map(str::to_owned),
        problem: problem.map(str::to_owned),
    };
    FrontStatus {
        program: ProgramStatus {
            tag: Some("0123456789abcdef".to_owned()),
            map_memory_bytes: 3 << 20,
        },
        attached: false,
        interfaces: vec![
            interface("eth0", Some("native"), None),
            interface("eth1", None, Some("this interface does not exist; the gate waits for it")),
        ],
        server_connected: true,
        server_pid: None,
        ring: RingFill { waiting_bytes: 152, read_up_to: 8000 },
        verdicts: Verdict::ALL
            .into_iter()
            .map(|verdict| (verdict.name().to_owned(), u64::from(verdict.index()) * 1000))
            .collect(),
    }
}

/// The same, attached to all interfaces.
fn attached() -> Status {
    Status { front: FrontStatus { attached: true, ..front() }, ..status() }
}

pub(crate) fn status() -> Status {
    let present = |ip: &str| AddressStatus { ip: ip.to_owned(), present: true, problem: None };
    Status {
        version: "0.1.0".to_owned(),
        front: front(),
        start_time_seconds: 1_767_225_600,
        uptime_ms: 100_000,
        since: "2026-01-01T00:00:00.000000Z".to_owned(),
        since_ms: 90_061_000,
        port: 80,
        addresses: ["192.0.2.1", "2001:db8::1"].map(present).into(),
        appearance: "filtered".to_owned(),
        keys: vec![key("laptop", "0001020304050607")],
        doors: vec![door()],
        nftables: None,
        arming: ArmingStatus { armed: true, left_ms: None },
    }
}

pub(crate) fn health() -> Health {
    Health {
        status: Some(Ok(status())),
        door_sessions: [("ssh".to_owned(), 1)].into(),
        commander: Some(CommanderState {
            version: "0.1.0".to_owned(),
            start_time_seconds: 1,
            running: 2,
            max_running: 64,
            connections: 1,
            commands_file: "/etc/ruroco/commands.toml".to_owned(),
            notify: None,
        }),
        unguarded: vec![
            Unguarded::alone(From::Network, "eth2", "ether"),
            Unguarded::alone(From::Tunnel, "wg0", "wireguard"),
        ],
        parts: vec![
            Finding::problem(
                "gate",
                "runs, but is not attached to every interface: eth1",
                "see the log",
            ),
            Finding::problem("unguarded", "eth2 is up but not guarded", "add it"),
            Finding::warning("unguarded", "wg0 cannot be guarded", "drop them"),
            Finding::ok("server", "connected"),
            Finding::problem("commander", "is not running", "start it"),
        ],
    }
}

/// What the server has refused.
pub(crate) fn refused() -> Vec<Refused> {
    vec![Refused {
        time: "2026-01-01T00:00:50.000000Z".to_owned(),
        by: "server",
        key: Some("laptop".to_owned()),
        reason: "wrong_destination".to_owned(),
        ip: Some("192.0.2.9".to_owned()),
        detail: None,
    }]
}

pub(crate) fn trail() -> Trail {
    let knock = |command: &str, result: Option<&str>| Knock {
        time: "2026-01-01T00:01:00.000000Z".to_owned(),
        key: "laptop".to_owned(),
        command: command.to_owned(),
        ip: "192.0.2.9".to_owned(),
        counter: "17".to_owned(),
        result: result.map(str::to_owned),
        duration_ms: result.map(|_| 12),
    };
    Trail {
        refused: vec![Refused::by_commander(
            "2026-01-01T00:00:30.000000Z".to_owned(),
            "too_many_running".to_owned(),
            "64 commands are running\u{1b} already".to_owned(),
        )],
        knocks: vec![knock("sly\u{1b}[2J", None), knock("open_ssh", Some("exit:0"))],
        totals: [("succeeded".to_owned(), 3), ("failed".to_owned(), 1)].into(),
    }
}

fn report(before: Option<&Status>) -> Report {
    Report::new(health(), before, Ok(trail()), Ok(refused()))
}

#[test]
fn one_screen_shows_it_all() {
    let mut before = status();
    before.uptime_ms -= 2_000;
    before.front.verdicts.insert("forged".to_owned(), 1);
    let report = report(Some(&before));
    let expected = "\
NOT READY   gate, unguarded, commander
gate        NOT ATTACHED to some interface since 2026-01-01T00:00:00.000000Z (1 d 1 h)
guards      UDP port 80 of 192.0.2.1, 2001:db8::1
appearance  filtered
interface   eth0: attached, native
interface   eth1: this interface does not exist; the gate waits for it
interface   eth2: NOT GUARDED
version     0.1.0, program 0123456789abcdef, maps of 3072 KiB
problem     gate: runs, but is not attached to every interface: eth1
            -> see the log
problem     unguarded: eth2 is up but not guarded
            -> add it
warning     unguarded: wg0 cannot be guarded
            -> drop them
ok          server: connected
problem     commander: is not running
            -> start it
door        ssh (tcp/22): open for 1 address, live sessions: 1, live flows: 2, admitted: 7
verdict     not_ours                   0          0.0/s
verdict     malformed               1000          0.0/s
verdict     fragment                2000          0.0/s
verdict     wrong_length            3000          0.0/s
verdict     unknown_key             4000          0.0/s
verdict     replayed                5000          0.0/s
verdict     throttled               6000          0.0/s
verdict     forged                  7000       3499.5/s
verdict     over_share              8000          0.0/s
verdict     candidate               9000          0.0/s
verdict     ring_full              10000          0.0/s
verdict     door_admitted          11000          0.0/s
verdict     door_session           12000          0.0/s
verdict     door_closed            13000          0.0/s
verdict     door_limited           14000          0.0/s
verdict     door_fragment          15000          0.0/s
knock       2026-01-01T00:01:00.000000Z laptop sly\u{fffd}[2J 192.0.2.9 running
knock       2026-01-01T00:01:00.000000Z laptop open_ssh 192.0.2.9 exit:0 12 ms
rejected    2026-01-01T00:00:50.000000Z wrong_destination laptop 192.0.2.9 (by the server)
rejected    2026-01-01T00:00:30.000000Z too_many_running 64 commands are running\u{fffd} already (by the commander)
key         0001020304050607 laptop
";
    assert_eq!(report.to_text(Keys::Each), expected);
    assert!(report.to_text(Keys::Count).ends_with("\nkeys        1\n"));
}

#[test]
fn a_gate_that_is_closed_where_it_is_and_missing_elsewhere_is_not_simply_closed() {
    let mut health = health();
    health.status = Some(Ok(attached()));
    let text = Report::new(health, None, Ok(trail()), Ok(refused())).to_text(Keys::Count);
    assert!(text.starts_with("NOT READY   "), "{text}");
    assert!(text.contains("\ngate        attached, but NOT ON ALL INTERFACES, since"), "{text}");
}

#[test]
fn what_works_is_ready_in_spite_of_warnings_and_what_nobody_could_look_at_is_not() {
    let mut health = health();
    health.parts.retain(health::is_good);
    health.unguarded.retain(|one| !one.from.is_problem());
    health.status = Some(Ok(attached()));
    let report = Report::new(health, None, Ok(trail()), Ok(refused()));
    assert!(report.ready && !report.open);
    assert!(report.to_text(Keys::Count).starts_with("ready "));
    let mut health = self::health();
    health.parts = vec![Finding::unknown("gate", "permission denied")];
    assert!(!Report::new(health, None, Ok(trail()), Ok(refused())).ready);
}

#[test]
fn without_a_gate_that_answers_the_other_parts_are_shown() {
    let away = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let health = Health { status: Some(Err(away.into())), ..health() };
    let report = Report::new(health, Some(&status()), Ok(trail()), Ok(refused()));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["error"].as_str().unwrap().contains("not running"), "{json}");
    assert!(json.get("attached").is_none(), "{json}");
    assert_eq!(json["parts"][4]["name"], "commander");
    assert_eq!((&json["parts"][4]["state"], &json["ready"]), (&"problem".into(), &false.into()));
    assert!(report.to_text(Keys::Each).contains("\nproblem     commander: "));
}

#[test]
fn no_rate_is_made_of_two_gates_or_of_no_time() {
    let mut before = status();
    assert_eq!(report(Some(&before)).rates, None);
    before.uptime_ms -= 1;
    assert!(report(Some(&before)).rates.is_some());
    before.start_time_seconds -= 1;
    assert_eq!(report(Some(&before)).rates, None);
}

#[test]
fn what_cannot_be_read_of_knocks_is_said_to_be_unknown() {
    let error = || anyhow::anyhow!("could not read it");
    let report = Report::new(health(), None, Err(error()), Err(error()));
    let text = report.to_text(Keys::Each);
    assert!(text.contains("\nknock       unknown: could not read it\n"), "{text}");
    assert!(text.contains("\nrejected    unknown: could not read it\n"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["audit_problem"], "could not read it");
    assert_eq!(json["rates"], serde_json::Value::Null);
}

#[test]
fn times_are_told_in_their_greatest_units() {
    for (seconds, told) in [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (3_599, "59 min 59 s"),
        (86_399, "23 h 59 min"),
        (86_400 * 400, "400 d 0 h"),
    ] {
        assert_eq!(span(seconds), told);
    }
}
