//! A knock opens a door at most once and never for longer than it says, whatever ends when: the gate between the lease
//! and its answer, or the whole host.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    process::Command,
    time::{Duration, Instant},
};

use ruroco_lab::{
    daemon::Daemon,
    files::KEY,
    knock::Knock,
    lab::require_tool,
    network::{CLIENT, Family, SERVER, SERVER_INTERFACE},
    wait,
};

use super::{
    kind::{ALONE, Kind},
    nftables::nft,
    site::{ANSWER, LONG, SHORT, SHORT_TIME, Session, Site, behind, expect_closed_for},
    trail,
};

/// How late a test may notice what has happened.
const LATE: Duration = Duration::from_millis(500);
const LONG_TIME: Duration = Duration::from_secs(60 * 60);

/// Kills the gate when it answers the request of a knock: the door is open, and the commander does not know.
fn crash_at_answer(site: &mut Site, family: Family) {
    let record = site.lab.files.path("answer");
    let mut strace = Command::new("strace");
    strace.args(["--trace=sendto", "--inject=sendto:signal=SIGKILL:when=1", "--output"]);
    strace.arg(&record).arg(format!("--attach={}", site.lab.gate().pid()));
    let tracer = Daemon::start("strace", &mut strace);
    tracer.wait_for(&["attached"]);
    site.lab.knock(family, &["--command", "open_test"]);
    let status = site.lab.gate().wait_for_end();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "it was not killed: {status}");
    drop(tracer);
    let calls = fs::read_to_string(record).unwrap();
    let calls: Vec<&str> = calls.lines().filter(|line| line.starts_with("sendto(")).collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    // An answer has one byte.
    assert!(calls[0].contains("\", 1, MSG_DONTWAIT|MSG_NOSIGNAL"), "{calls:?}");
}

/// Connects as often as the door admits.
fn connect_all(site: &Site, family: Family) -> Vec<Session> {
    let connect = || {
        let client = &site.lab.network.client;
        let near = client.enter(|| TcpStream::connect_timeout(&behind(family), ANSWER)).ok()?;
        Some(site.complete(near, family))
    };
    (0..5).map_while(|_| connect()).collect()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_killed_before_its_answer_neither_extends_the_lease_nor_admits_more() {
    require_tool("strace");
    for (kind, family) in ALONE.into_iter().zip([Family::V4, Family::V6, Family::V4]) {
        let mut site = kind.site(LONG, "connections = 2");
        crash_at_answer(&mut site, family);
        let knocked = Instant::now();
        // The lease is there without the gate and the answer.
        let mut session = site.connect(family);
        kind.start_gate(&mut site.lab);
        // The commander asks again, which is the same knock.
        site.lab.commander().wait_for(&["renewed", "door=test"]);
        let left = site.leases(family)[0]["left_ms"].as_u64().unwrap();
        let most = LONG_TIME.saturating_sub(knocked.elapsed());
        assert!(Duration::from_millis(left) <= most + LATE, "{kind:?}: {left} ms of {most:?}");
        let mut others = connect_all(&site, family);
        assert_eq!(others.len(), 1, "{kind:?}: a knock is for two connections");
        session.expect_alive();
        others[0].expect_alive();
        assert_eq!(site.lab.commander().lines_with(&["running", "open_test"]).len(), 1);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_whose_time_is_over_before_the_next_gate_runs_is_not_given_again() {
    require_tool("strace");
    for (kind, family) in ALONE.into_iter().zip([Family::V6, Family::V4, Family::V6]) {
        let mut site = kind.site(SHORT, "");
        crash_at_answer(&mut site, family);
        let knocked = Instant::now();
        wait::until("the lease to be over", || (knocked.elapsed() > SHORT_TIME).then_some(()));
        kind.start_gate(&mut site.lab);
        let failed = trail::expect_one(&site.lab, "not_opened", "too_late");
        assert!(failed["detail"].as_str().unwrap().contains("Knock again"), "{failed}");
        site.expect_closed(family);
        assert!(site.leases(family).is_empty());
    }
}

/// What the host loses with its power: all processes, and what only the kernel and its memory have. Of the audit trail's last
/// line, only a part has reached the disk.
fn lose_power(site: &mut Site, torn: &str) {
    let lab = &mut site.lab;
    // The network is down until the next gate runs.
    lab.network.server.ip(&format!("link set {SERVER_INTERFACE} down\nlink set third1 down\n"));
    lab.gate().crash();
    lab.server().crash();
    lab.commander().crash();
    for pin in lab.files.pinned() {
        fs::remove_file(pin).unwrap();
    }
    nft(lab, &["flush", "ruleset"]);
    for entry in fs::read_dir(lab.files.sockets()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let trail = lab.files.audit().join("audit.jsonl");
    fs::OpenOptions::new().append(true).open(trail).unwrap().write_all(torn.as_bytes()).unwrap();
}

/// Starts everything in the order of the units, and the network once the gate runs.
fn start_host(site: &mut Site, kind: Kind) {
    kind.start_gate(&mut site.lab);
    for (interface, v4, v6) in [
        (SERVER_INTERFACE, "192.0.2.1", "2001:db8:1::1"),
        ("third1", "198.51.100.1", "2001:db8:2::1"),
    ] {
        site.lab.network.server.ip(&format!(
            "link set {interface} up\naddr replace {v4}/24 dev {interface}\n\
             addr replace {v6}/64 dev {interface} nodad\n"
        ));
    }
    site.lab.start_commander();
    site.lab.start_server();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_power_cut_ends_leases_and_no_earlier_knock_opens_the_door_again() {
    const TORN: &str = r#"{"time":"2026-01-01T00:00:00Z","event":"door","ke"#;
    for kind in ALONE {
        let mut site = kind.site(LONG, "");
        let family = Family::V4;
        let datagram = site.lab.seal(&Knock::to(SERVER.of(family), "open_test"));
        site.lab.send(family, &datagram);
        trail::expect_nth(&site.lab, "opened", 1);
        site.connect(family).expect_alive();
        trail::expect_nth(&site.lab, "connected", 1);
        lose_power(&mut site, TORN);

        start_host(&mut site, kind);
        for host in [&site.lab.network.client, &site.lab.network.third] {
            expect_closed_for(host, family);
        }
        assert!(site.leases(family).is_empty());
        // The knock from before has been used.
        site.lab.send(family, &datagram);
        site.lab.server().wait_for(&["refused", "old_counter"]);
        site.expect_closed(family);
        // The trail is whole again, and goes on.
        site.open(family);
        site.connect(family).expect_alive();
        let text = wait::until("the next connection in the trail", || {
            let text = fs::read_to_string(site.lab.files.audit().join("audit.jsonl")).unwrap();
            (text.matches(r#""action":"connected""#).count() == 2).then_some(text)
        });
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect(line);
        }
        assert!(!text.contains(TORN), "{text}");
        assert!(text.contains(KEY) && text.contains(&CLIENT.of(family).to_string()), "{text}");
    }
}
