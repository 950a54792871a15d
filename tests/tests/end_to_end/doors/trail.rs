//! The life of a lease in the audit trail: what the commander requested, and what the gate reported.

use std::{fs, time::Instant};

use ruroco_lab::{
    files::Options,
    lab::Lab,
    network::{CLIENT, Family},
    wait,
};
use serde_json::Value;

use super::kind::ALONE;
use super::site::{LONG, SHORT, SHORT_TIME, Site, options, run_tool};

/// The lines about doors so far.
fn lines(lab: &Lab) -> Vec<Value> {
    let text = fs::read_to_string(lab.files.audit().join("audit.jsonl")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "door").collect()
}

/// Waits until the trail has these actions, each with its reason, and no other. Returns the last line.
#[track_caller]
fn expect(lab: &Lab, expected: &[(&str, Option<&str>)]) -> Value {
    let lines = wait::until("events in the audit trail", || {
        let lines = lines(lab);
        (lines.len() >= expected.len()).then_some(lines)
    });
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["action"].as_str().unwrap(), line["reason"].as_str()))
        .collect();
    assert_eq!(seen, expected, "{lines:#?}");
    lines.last().unwrap().clone()
}

/// Waits until the trail has a line with this action and reason.
#[track_caller]
pub(super) fn expect_one(lab: &Lab, action: &str, reason: &str) -> Value {
    wait::until("a line of the audit trail", || {
        let mut lines = lines(lab).into_iter();
        lines.find(|line| line["action"] == action && line["reason"] == reason)
    })
}

/// Waits until the trail has so many lines with this action, and returns the last of these.
#[track_caller]
pub(super) fn expect_nth(lab: &Lab, action: &str, count: usize) -> Value {
    wait::until("a line of the audit trail", || {
        lines(lab).into_iter().filter(|line| line["action"] == action).nth(count - 1)
    })
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn has_who_opened_connected_and_closed() {
    let mut site = Site::new(&Options { more_keys: vec!["phone"], ..options(LONG, "") });
    let family = Family::V4;
    let address = CLIENT.of(family).to_string();
    site.open(family);
    let mut life = vec![("opened", None)];
    let opened = expect(&site.lab, &life);
    assert_eq!((&opened["command"], &opened["key"]), (&"open_test".into(), &"laptop".into()));

    for connections in 1..=2 {
        site.connect(family).expect_alive();
        life.push(("connected", None));
        let line = expect(&site.lab, &life);
        assert_eq!(
            (&line["new"], &line["connections"]),
            (&1.into(), &connections.into()),
            "{line}"
        );
        assert_eq!((&line["ip"], &line["key"]), (&address.as_str().into(), &"laptop".into()));
        assert_eq!((&line["door"], &line["counter"]), (&"test".into(), &opened["counter"]));
    }
    site.lab.knock(family, &["--command", "open_test"]);
    life.push(("renewed", None));
    expect(&site.lab, &life);
    run_tool(&site.lab, &["doors", "close", "test"]);
    life.push(("closed", Some("tool")));
    assert_eq!(expect(&site.lab, &life)["connections"], 2);

    site.open(family);
    site.lab.knock(family, &["--command", "close_test"]);
    life.extend([("opened", None), ("closed", Some("knock"))]);
    expect(&site.lab, &life);

    site.open(family);
    fs::remove_file(site.lab.files.server_key("laptop")).unwrap();
    site.lab.reload_gate();
    life.extend([("opened", None), ("closed", Some("key_revoked"))]);
    let line = expect(&site.lab, &life);
    assert_eq!((&line["key"], &line["connections"]), (&"laptop".into(), &0.into()), "{line}");
}

/// Whatever closes the door, and wherever the server has its packets from.
#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn has_the_connections_and_ends_of_leases_of_each_kind_of_door() {
    for kind in ALONE {
        let mut site = kind.site(SHORT, "");
        let mut life = Vec::new();
        for family in Family::BOTH {
            site.open(family);
            site.connect(family).expect_alive();
            life.extend([("opened", None), ("connected", None), ("expired", None)]);
            let ended = expect(&site.lab, &life);
            let address = CLIENT.of(family).to_string();
            assert_eq!((&ended["ip"], &ended["connections"]), (&address.into(), &1.into()));
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn has_leases_that_end_by_themselves_even_while_a_daemon_is_away() {
    let mut site = Site::new(&options(SHORT, ""));
    let family = Family::V6;
    site.open(family);
    site.connect(family).expect_alive();
    let mut life = vec![("opened", None), ("connected", None), ("expired", None)];
    assert_eq!(expect(&site.lab, &life)["connections"], 1);

    // The next gate notices what ended without it.
    site.open(family);
    let opened = Instant::now();
    site.lab.gate().crash();
    wait::until("the lease to be over", || (opened.elapsed() > SHORT_TIME).then_some(()));
    site.lab.start_gate();
    life.extend([("opened", None), ("expired", None)]);
    expect(&site.lab, &life);

    // What happens without a commander waits for the next one.
    site.open(family);
    site.lab.commander().crash();
    site.lab.gate().wait_for_nth(2, &["the lease has ended", "door=test"]);
    site.lab.start_commander();
    life.extend([("opened", None), ("expired", None)]);
    expect(&site.lab, &life);
}
