//! The gate reads its files anew (SIGHUP): all of it is in force at once, or nothing has changed, and
//! no packet meets anything in between.

mod knocks;
mod mistakes;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::{KEY, Options},
    knock::{Bytes, Knock, forge},
    lab::{Lab, udp_socket},
    network::{Family, PORT, SERVER, SERVER_INTERFACE, THIRD, THIRD_INTERFACE, gate, udp_packets},
    process::Process,
    wait,
};

use crate::{
    recovery::{EndOnDrop, under_fire},
    secrets::{BPF_MAP_TYPE_ARRAY, ENTRY_SIZE, KeysMap, maps_of},
};

const PHONE: &str = "phone";

fn with_phone() -> Options {
    Options { more_keys: vec![PHONE], ..Options::default() }
}

fn two_interfaces() -> Options {
    Options { interfaces: vec![SERVER_INTERFACE, THIRD_INTERFACE], ..with_phone() }
}

fn by(lab: &Lab, key: &str, family: Family) -> Bytes {
    lab.good_knock(family).seal(&lab.files.key(key))
}

/// An authentic packet, another one each time, that the server refuses.
fn unwanted(lab: &Lab, key: &str, family: Family) -> Bytes {
    let mut knock = lab.good_knock(family);
    knock.version = 2;
    knock.seal(&lab.files.key(key))
}

fn remove_key(lab: &Lab, name: &str) {
    fs::remove_file(lab.files.server_key(name)).unwrap();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_was_added_works() {
    let mut lab = Lab::running(&Default::default());
    lab.files.add_key(PHONE);
    lab.commander().signal(Signal::SIGHUP);
    lab.commander().wait_for(&["reloaded"]);
    for family in Family::BOTH {
        lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(family, &by(lab, PHONE, family)));
    }
    lab.reload_gate();
    for family in Family::BOTH {
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(family, &by(lab, PHONE, family)));
        assert_eq!(lab.expect_one_run().key, PHONE);
        lab.expect_next_knock_to_run(family);
    }
    let status = lab.status();
    let names: Vec<_> = status["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, [KEY, PHONE]);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_was_removed_is_unknown_from_the_next_packet_on() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&with_phone());
        // One of them is remembered: that does not save it.
        let knock = by(&lab, PHONE, family);
        lab.send(family, &knock);
        lab.expect_one_run();
        let key = lab.files.key(PHONE);
        let socket = udp_socket(&lab.network.client, family.unspecified());
        let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut knocks = lab.good_knock(family);
        knocks.version = 2;
        let before = lab.verdicts();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    socket.send_to(&knocks.seal(&key), gate(family)).unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                    // Fast enough to be there at any moment, slowly enough for the ring.
                    thread::sleep(Duration::from_micros(500));
                }
            });
            let end = EndOnDrop(&done);
            let candidates = |lab: &Lab| lab.verdicts().since(&before).get("candidate").copied();
            wait::until("candidates", || candidates(&lab).filter(|count| *count > 100));
            remove_key(&lab, PHONE);
            lab.reload_gate();
            let after = lab.verdicts();
            let refused = wait::until("refused ones", || {
                let since = lab.verdicts().since(&after);
                since.get("unknown_key").is_some_and(|count| *count > 100).then_some(since)
            });
            drop(end);
            assert_eq!(refused.keys().collect::<Vec<_>>(), [&"unknown_key"], "{refused:?}");
            // Each was judged, by the one or by the other.
            wait::until("all to be judged", || {
                let judged = lab.verdicts().since(&before).values().sum::<u64>();
                (judged == sent.load(Ordering::Relaxed)).then_some(())
            });
            let all = lab.verdicts().since(&before);
            assert_eq!(all.keys().collect::<Vec<_>>(), [&"candidate", &"unknown_key"], "{all:?}");
        });
        lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(family, &knock));
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_only_key_can_be_removed_and_another_one_added() {
    let mut lab = Lab::running(&Default::default());
    let key = lab.key();
    let knock = |lab: &Lab, family| lab.good_knock(family).seal(&key);
    remove_key(&lab, KEY);
    lab.reload_gate();
    lab.gate().wait_for(&["WARN", "there is no key in this directory"]);
    lab.server().wait_for(&["ready", "keys=0"]);
    lab.server().wait_for(&["INFO", "ruroco-gate has reloaded"]);
    assert!(lab.server().lines_with(&["lost the connection"]).is_empty());
    for family in Family::BOTH {
        lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(family, &knock(lab, family)));
    }
    // Nor does a server that begins anew have it.
    lab.server().crash();
    lab.start_server();
    lab.server().wait_for(&["ready", "keys=0"]);
    lab.commander().signal(Signal::SIGHUP);
    lab.commander().wait_for(&["reloaded"]);

    lab.files.add_key(PHONE);
    lab.commander().signal(Signal::SIGHUP);
    lab.commander().wait_for_nth(2, &["reloaded"]);
    lab.reload_gate();
    lab.server().wait_for(&["ready", "keys=1"]);
    for family in Family::BOTH {
        lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(family, &knock(lab, family)));
        lab.send(family, &by(&lab, PHONE, family));
        assert_eq!(lab.expect_one_run().key, PHONE);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn port_and_addresses_change() {
    const OTHER_PORT: u16 = PORT + 1;
    let mut lab = Lab::running(&Default::default());
    let old =
        lab.files.change_config(|text| text.replace(&PORT.to_string(), &OTHER_PORT.to_string()));
    under_fire(&mut lab, |lab| {
        lab.expect_next_knock_to_run(Family::V4);
        lab.expect_silence();
    });
    lab.reload_gate();
    assert_eq!(lab.status()["port"], OTHER_PORT);
    for family in Family::BOTH {
        let socket = udp_socket(&lab.network.client, family.unspecified());
        socket.send_to(&by(&lab, KEY, family), (SERVER.of(family), OTHER_PORT)).unwrap();
        lab.expect_one_run();
    }
    let passed = udp_packets(&lab.network.server);
    lab.send(Family::V4, b"the old port is one like any other now");
    wait::until("the packet to come to the stack", || {
        (udp_packets(&lab.network.server) > passed).then_some(())
    });

    fs::write(lab.files.config(), old).unwrap();
    let ips = Family::BOTH.map(|family| SERVER.of(family).to_string());
    lab.files.change_config(|text| text.replace(&format!("{ips:?}"), &format!("{:?}", [&ips[0]])));
    lab.reload_gate();
    let passed = udp_packets(&lab.network.server);
    lab.expect_verdict(Verdict::WrongLength, 1, |lab| {
        lab.send(Family::V6, b"not ours");
        lab.send(Family::V4, b"ours");
    });
    lab.expect_next_knock_to_run(Family::V4);
    assert_eq!(udp_packets(&lab.network.server), passed, "IPv4 was dropped");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn interfaces_are_added_and_removed() {
    let mut lab = Lab::running(&Default::default());
    let only = |name: &str| format!("interfaces = [\"{name}\"]");
    let [one, both, other] = [
        only(SERVER_INTERFACE),
        format!("interfaces = [\"{SERVER_INTERFACE}\", \"{THIRD_INTERFACE}\"]"),
        only(THIRD_INTERFACE),
    ];
    let from_third = |lab: &Lab, datagram: &[u8]| {
        let socket = udp_socket(&lab.network.third, Family::V4.unspecified());
        socket.send_to(datagram, gate(Family::V4)).unwrap();
    };
    under_fire(&mut lab, |lab| {
        lab.files.change_config(|text| text.replace(&one, &both));
        lab.reload_gate();
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
    });
    lab.expect_verdict(Verdict::WrongLength, 1, |lab| from_third(lab, b"junk"));
    let knock = lab.seal(&Knock::to(SERVER.of(Family::V4), "default"));
    from_third(&lab, &knock);
    assert_eq!(lab.expect_one_run().ip, THIRD.of(Family::V4));
    lab.expect_silence();

    lab.files.change_config(|text| text.replace(&both, &other));
    lab.reload_gate();
    let status = lab.status();
    assert_eq!(status["interfaces"].as_array().unwrap().len(), 1, "{status:#}");
    assert_eq!(lab.files.pinned().len(), 1);
    lab.expect_verdict(Verdict::WrongLength, 1, |lab| from_third(lab, b"junk"));
    lab.send(Family::V4, b"anybody there?");
    wait::until("an answer of the open interface", || {
        (lab.capture.replies_from_gate().len() == 1).then_some(())
    });

    lab.files.change_config(|text| text.replace(&other, &one));
    lab.reload_gate();
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    assert_eq!(lab.capture.replies_from_gate().len(), 1);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_counters_go_on() {
    let mut lab = Lab::running(&Default::default());
    for round in 1..=3 {
        lab.expect_verdict(Verdict::WrongLength, 5, |lab| {
            (0..5).for_each(|_| lab.send(Family::V4, b"junk"));
        });
        lab.expect_verdict(Verdict::Candidate, 1, |lab| {
            lab.send(Family::V6, &unwanted(lab, KEY, Family::V6));
        });
        lab.reload_gate();
        let verdicts = lab.verdicts();
        assert_eq!(verdicts.of(Verdict::WrongLength), 5 * round);
        assert_eq!(verdicts.of(Verdict::Candidate), round);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_keys_of_the_predecessor_are_wiped_and_nothing_of_it_is_held() {
    let mut lab = Lab::running(&with_phone());
    let process = Process(lab.gate().pid());
    let keys = |kind| maps_of(process)[&kind];
    let kind = (BPF_MAP_TYPE_ARRAY, ENTRY_SIZE);
    let old = KeysMap::open(keys(kind));
    let secrets = [KEY, PHONE].map(|name| lab.files.key(name));
    assert!(secrets.iter().all(|key| old.has(key.secret.expose())));
    remove_key(&lab, PHONE);
    lab.reload_gate();
    assert!(old.is_wiped());
    let new = KeysMap::open(keys(kind));
    assert!(new.has(secrets[0].secret.expose()));
    assert!(!new.has(secrets[1].secret.expose()));
    for key in secrets {
        assert_eq!(process.count_in_memory(key.secret.expose()), 0);
    }

    // Nor is anything held of a successor that could not take its place.
    lab.network.server.ip("tuntap add mode tun name tun0\nlink set tun0 up\n");
    lab.files.change_config(|text| text.replace("\"server0\"", "\"server0\", \"tun0\""));
    let before = maps_of(process);
    lab.expect_no_reload_of_gate(&["tun0"]);
    assert_eq!(maps_of(process), before);
    assert!(!new.is_wiped());
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_renamed_interface_goes_by_its_new_name() {
    let mut lab = Lab::running(&Default::default());
    under_fire(&mut lab, |lab| {
        lab.network.server.ip("link set dev server0 name renamed0");
        lab.reload_gate();
        assert_eq!(lab.status()["attached"], true);
        lab.expect_next_knock_to_run(Family::V4);
        lab.files.change_config(|text| text.replace("\"server0\"", "\"renamed0\""));
        lab.reload_gate();
        let status = lab.status();
        assert_eq!(status["interfaces"][0]["name"], "renamed0", "{status:#}");
        assert_eq!(status["interfaces"][0]["problem"], serde_json::Value::Null, "{status:#}");
        lab.expect_next_knock_to_run(Family::V6);
    });
    assert_eq!(lab.files.pinned().len(), 1);
    lab.expect_silence();
}
