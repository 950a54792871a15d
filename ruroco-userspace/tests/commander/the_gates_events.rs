//! What the gate reports about leases: the commander puts it into the audit trail, whenever there is a gate.

use std::{os::fd::OwnedFd, time::Duration};

use ruroco_common::{address::Address, datagram::KeyId, doors::DoorName};
use ruroco_ipc::{
    audit::{DOOR, FILE},
    boot_clock,
    door_event::{Cause, DoorEvent, Happened, LeaseEvent, SIZE, SOCKET},
};
use rustix::net::{SendFlags, accept, send};
use serde_json::{Value, json};

use super::{
    fake_gate::listening,
    harness::{Host, LAPTOP, eventually, order},
    the_audit_trail::{lines_of, with},
};

const DOORS: &str = "[doors.ssh]\nport = \"tcp/22\"\n";

fn host() -> Host {
    let host = Host::new("[commands.noop]\nrun = [\"true\"]\n");
    host.configure_doors(DOORS);
    host
}

/// A gate that has started: its end of the commander's connection.
fn connected(host: &Host) -> OwnedFd {
    let path = host.path("run").join(SOCKET);
    let _ = std::fs::remove_file(&path);
    accept(listening(&path, 1)).unwrap()
}

fn report(gate: &OwnedFd, event: DoorEvent) {
    send(gate, &event.encode(), SendFlags::NOSIGNAL).unwrap();
}

/// An event of the laptop's lease that happened 10 seconds ago.
fn event(happened: Happened, counter: u128) -> DoorEvent {
    DoorEvent::Lease(LeaseEvent {
        happened,
        door: DoorName::new("ssh").unwrap(),
        address: Address::from_ipv4([192, 0, 2, 0]),
        prefix: 24,
        key: LAPTOP,
        counter,
        at: boot_clock::now().saturating_sub(Duration::from_secs(10)),
        until: Duration::ZERO,
        connections: 7,
    })
}

/// A line of the trail, once it is there, without its times.
fn trail(host: &Host, counter: u128) -> Value {
    let mut line = with(host, DOOR, "counter", &counter.to_string());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let fields = line.as_object_mut().unwrap();
    let at = fields.remove("at").unwrap().as_u64().unwrap();
    assert!((now - 40..=now - 10).contains(&at), "{at}, now {now}");
    fields.remove("time");
    line
}

#[test]
fn are_in_the_audit_trail_each_with_its_facts() {
    let host = host();
    let _commander = host.start();
    let gate = connected(&host);
    let cases = [
        (Happened::Connected { new: 3 }, "connected", None),
        (Happened::Expired, "expired", None),
        (Happened::Closed(Cause::Tool), "closed", Some("tool")),
        (Happened::Closed(Cause::KeyRevoked), "closed", Some("key_revoked")),
        (Happened::Closed(Cause::KeyExpired), "closed", Some("key_expired")),
        (Happened::Closed(Cause::DoorRemoved), "closed", Some("door_removed")),
    ];
    for (counter, (happened, action, reason)) in (1..).zip(cases) {
        report(&gate, event(happened, counter));
        let mut expected = json!({
            "event": "door", "key": "laptop", "ip": "192.0.2.0/24", "counter": counter.to_string(), "door": "ssh",
            "action": action, "connections": 7,
        });
        if let Some(reason) = reason {
            expected["reason"] = reason.into();
        }
        if action == "connected" {
            expected["new"] = 3.into();
        }
        assert_eq!(trail(&host, counter), expected);
    }
    report(&gate, DoorEvent::Lost { count: 12, at: Duration::ZERO });
    assert_eq!(with(&host, DOOR, "action", "lost")["count"], 12);
}

#[test]
fn come_again_after_the_gate_was_restarted() {
    let host = host();
    let _commander = host.start();
    for counter in 1..=3 {
        let gate = connected(&host);
        report(&gate, event(Happened::Expired, counter));
        assert_eq!(trail(&host, counter)["action"], "expired");
    }
}

#[test]
fn name_a_key_that_was_removed_and_show_the_id_of_an_unknown_one() {
    let host = host();
    let commander = host.start();
    let gate = connected(&host);
    std::fs::remove_file(host.path("etc/laptop.key")).unwrap();
    commander.reload(&["reloaded"]);
    report(&gate, event(Happened::Closed(Cause::KeyRevoked), 1));
    assert_eq!(trail(&host, 1)["key"], "laptop");
    let DoorEvent::Lease(known) = event(Happened::Expired, 2) else { unreachable!() };
    report(&gate, DoorEvent::Lease(LeaseEvent { key: KeyId([9; 8]), ..known }));
    assert_eq!(trail(&host, 2)["key"], "0909090909090909");
}

#[test]
fn of_another_release_are_reported_and_keep_nothing_waiting() {
    let host = host();
    let commander = host.start();
    let gate = connected(&host);
    send(&gate, &[9; SIZE], SendFlags::NOSIGNAL).unwrap();
    commander.line(&["could not read a door event", "version 9", "systemctl restart"]);
    commander.connect().send(&order("noop"));
    commander.line(&["ended command=noop", "result=exit:0"]);
    assert!(lines_of(&host, FILE).iter().all(|line| line["event"] != DOOR));
}

#[test]
fn in_any_number_keep_no_command_from_running() {
    let host = host();
    let commander = host.start();
    let gate = connected(&host);
    // It reads as many as there are, and the trail has a bound.
    let flood = std::thread::spawn(move || {
        for counter in 0..20_000 {
            report(&gate, event(Happened::Connected { new: 1 }, 1000 + counter));
        }
    });
    let connection = commander.connect();
    for counter in 0..20_u128 {
        connection.send(&ruroco_ipc::order::Order { counter, ..order("noop") });
        commander.line(&["ended command=noop", &format!("counter={counter} ")]);
    }
    flood.join().unwrap();
    let sizes = ["audit.jsonl", "audit.jsonl.1"]
        .map(|name| std::fs::metadata(host.path("log").join(name)).map_or(0, |file| file.len()));
    assert!(sizes.iter().all(|size| *size <= ruroco_ipc::audit::MAX_SIZE), "{sizes:?}");
    eventually("an event of the flood", || {
        lines_of(&host, FILE).iter().any(|line| line["event"] == DOOR).then_some(())
    });
}
