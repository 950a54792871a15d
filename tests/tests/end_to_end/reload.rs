//! The gate reads its files anew (SIGHUP): all of it is in force at once, or nothing has changed, and
//! no packet meets anything in between.

use std::{
    collections::BTreeSet,
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

/// A running lab whose gate can read the keys again.
fn running(options: &Options) -> Lab {
    let lab = Lab::running(options);
    lab.files.give_keys_to_root();
    lab
}

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
    let mut lab = running(&Default::default());
    lab.files.add_key(PHONE);
    lab.server().crash();
    lab.files.give_keys_to_user();
    lab.start_server();
    lab.files.give_keys_to_root();
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
        let mut lab = running(&with_phone());
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
fn port_and_addresses_change() {
    const OTHER_PORT: u16 = PORT + 1;
    let mut lab = running(&Default::default());
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
    let mut lab = running(&Default::default());
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
    assert_eq!(fs::read_dir(lab.files.pins()).unwrap().count(), 1);
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
fn what_is_wrong_leaves_all_as_it_was() {
    let mut lab = running(&with_phone());
    lab.network.server.ip("tuntap add mode tun name tun0\nlink set tun0 up\n");
    lab.reload_gate();
    let config = lab.files.config();
    let config = config.to_str().unwrap();
    let text = fs::read_to_string(config).unwrap();
    let line = |has: &str| text.lines().position(|line| line.contains(has)).unwrap() + 1;
    let at = |has: &str| format!("{config}:{}: ", line(has));
    let [run, pins] = [lab.files.sockets(), lab.files.pins()].map(|path| format!("{path:?}"));
    let cases = [
        ("port = 34020", "prot = 34020", at("port ="), "did you mean `port`?"),
        ("port = 34020", "port = 0", at("port ="), "between 1 and 65535"),
        ("\"server0\"", "\"server0\", \"tun0\"", "tun0".to_owned(), "not an Ethernet interface"),
        ("\"xdp\"", "\"udp\"", at("source ="), "restart"),
        (run.as_str(), "\"/run/other\"", at("socket_dir ="), "restart"),
        ("\"nobody\"", "\"daemon\"", at("socket_user ="), "restart"),
        (pins.as_str(), "\"/sys/fs/bpf/other\"", at("pin_dir ="), "restart"),
        ("\"native\"", "\"generic\"", at("mode ="), "restart"),
    ];
    let before = lab.status();
    under_fire(&mut lab, |lab| {
        for (good, bad, place, told) in cases {
            // Whatever else it says is not to come into force, either.
            remove_key(lab, PHONE);
            lab.files.change_config(|text| text.replace(good, bad));
            lab.expect_no_reload_of_gate(&[&place, told]);
            fs::write(config, &text).unwrap();
            fs::copy(lab.files.client_key(PHONE), lab.files.server_key(PHONE)).unwrap();
            for family in Family::BOTH {
                lab.send(family, &by(lab, PHONE, family));
                assert_eq!(lab.expect_one_run().key, PHONE);
            }
        }

        fs::remove_file(config).unwrap();
        lab.expect_no_reload_of_gate(&[config, "No such file"]);
        fs::write(config, &text).unwrap();
        let bad = lab.files.server_key("bad");
        let path = bad.to_str().unwrap().to_owned();
        let write = |text: &str| {
            fs::write(&bad, text).unwrap();
            fs::set_permissions(&bad, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("nonsense");
        lab.expect_no_reload_of_gate(&[&format!("{path}:1: not a key")]);
        write(&fs::read_to_string(lab.files.client_key(PHONE)).unwrap());
        lab.expect_no_reload_of_gate(&[&path, "phone.key", "have the same key id"]);
        lab.files.give_to_user(&bad);
        lab.expect_no_reload_of_gate(&[&path, "run: chown 0 "]);
        fs::remove_file(&bad).unwrap();
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
    });
    let after = lab.status();
    for field in ["closed", "interfaces", "port", "ips", "keys", "server_connected"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    lab.reload_gate();
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_exchange_that_fails_half_way_is_undone() {
    let mut lab = running(&two_interfaces());
    let third = udp_socket(&lab.network.third, Family::V4.unspecified());
    let index =
        lab.network.server.enter(|| nix::net::if_::if_nametoindex(THIRD_INTERFACE)).unwrap();
    let pin = fs::read_dir(lab.files.pins()).unwrap().map(|pin| pin.unwrap().path());
    let pin = pin.into_iter().find(|pin| pin.to_str().unwrap().contains(&format!("_{index}_")));
    // The program stays where it is, but the exchange goes by the pin.
    fs::remove_file(pin.unwrap()).unwrap();
    remove_key(&lab, PHONE);
    under_fire(&mut lab, |lab| {
        lab.expect_no_reload_of_gate(&[THIRD_INTERFACE, "could not take over"]);
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
        for _ in 0..2 {
            lab.send(Family::V6, &by(lab, PHONE, Family::V6));
            assert_eq!(lab.expect_one_run().key, PHONE);
            third.send_to(&by(lab, PHONE, Family::V4), gate(Family::V4)).unwrap();
            assert_eq!(lab.expect_one_run().key, PHONE);
        }
    });
    assert_eq!(lab.status()["keys"].as_array().unwrap().len(), 2);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_knock_during_reloads_runs_once() {
    const RELOADS: usize = 20;
    // Commands under way at a time: fewer than the commander allows.
    const AHEAD: usize = 20;
    let mut lab = running(&with_phone());
    let quick = "[commands.quick]\nrun = [\"/bin/true\"]\n";
    let commands = fs::read_to_string(lab.files.commands()).unwrap() + quick;
    fs::write(lab.files.commands(), commands).unwrap();
    lab.commander().crash();
    lab.start_commander();
    let (one, both) = ("[\"server0\"]", "[\"server0\", \"third1\"]");
    let socket = udp_socket(&lab.network.client, Family::V4.unspecified());
    let key = lab.key();
    let mut sent = Vec::new();
    let mut descriptors = BTreeSet::new();

    let mut knock = |lab: &mut Lab| {
        wait::until("knocks to run", || {
            let ran = lab.commander().lines_with(&["running", "quick"]).len();
            (ran + AHEAD > sent.len()).then_some(())
        });
        let knock = Knock::to(SERVER.of(Family::V4), "quick");
        let datagram = knock.seal(&key);
        // Its copy may come to another program than itself.
        for datagram in [datagram, forge(datagram), datagram] {
            socket.send_to(&datagram, gate(Family::V4)).unwrap();
        }
        sent.push(knock.plaintext.counter);
        thread::sleep(Duration::from_millis(2));
    };
    under_fire(&mut lab, |lab| {
        for round in 0..RELOADS {
            let (old, new) = if round % 2 == 0 { (one, both) } else { (both, one) };
            lab.files.change_config(|text| text.replace(old, new));
            match round % 4 {
                1 => remove_key(lab, PHONE),
                3 => {
                    let (from, to) = (lab.files.client_key(PHONE), lab.files.server_key(PHONE));
                    fs::copy(from, to).unwrap();
                }
                _ => {}
            }
            lab.gate().signal(Signal::SIGHUP);
            while lab.gate().lines_with(&["INFO", "reloaded"]).len() <= round {
                knock(lab);
            }
            if round % 2 == 1 {
                wait::until("the server to have the new ring", || {
                    (lab.status()["server_connected"] == true).then_some(())
                });
                descriptors.insert(Process(lab.gate().pid()).descriptors().len());
            }
        }
        knock(lab);
    });
    assert!(sent.len() > RELOADS, "only {} knocks", sent.len());
    // After this one nothing that was sent before will still run.
    lab.knock(Family::V4, &[]);
    lab.commander().wait_for(&["running", "default"]);
    let counter = |line: String| -> u128 {
        line.split_once("counter=").unwrap().1.split(' ').next().unwrap().parse().unwrap()
    };
    let ran = lab.commander().lines_with(&["running", "quick"]);
    let mut ran: Vec<_> = ran.into_iter().map(counter).collect();
    ran.sort_unstable(); // each line is a thread's
    assert!(ran == sent, "sent {}, ran {}", sent.len(), ran.len());
    // What a reload opens it closes again.
    assert_eq!(descriptors.len(), 1, "{descriptors:?}");
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn knocks_from_before_and_after_a_reload_wait_for_a_server_that_restarts() {
    let mut lab = running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    lab.server().crash();
    lab.gate().wait_for(&["server disconnected"]);
    // Two reloads, so that two old rings have something in them.
    for family in Family::BOTH {
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.knock(family, &[]));
        lab.reload_gate();
    }
    lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.knock(Family::V4, &[]));
    lab.files.give_keys_to_user();
    lab.start_server();
    lab.expect_runs(3);
    lab.expect_next_knock_to_run(Family::V6);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_copy_of_a_knock_from_before_a_reload_does_not_run() {
    let mut lab = running(&Default::default());
    for family in Family::BOTH {
        let knock = by(&lab, KEY, family);
        lab.send(family, &knock);
        lab.expect_one_run();
        lab.reload_gate();
        // The kernel's memory of it is gone, the server's floors are not.
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(family, &knock));
        lab.expect_verdict(Verdict::Replayed, 1, |lab| lab.send(family, &knock));
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_counters_go_on() {
    let mut lab = running(&Default::default());
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
    let mut lab = running(&with_phone());
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
    let mut lab = running(&Default::default());
    under_fire(&mut lab, |lab| {
        lab.network.server.ip("link set dev server0 name renamed0");
        lab.reload_gate();
        assert_eq!(lab.status()["closed"], true);
        lab.expect_next_knock_to_run(Family::V4);
        lab.files.change_config(|text| text.replace("\"server0\"", "\"renamed0\""));
        lab.reload_gate();
        let status = lab.status();
        assert_eq!(status["interfaces"][0]["name"], "renamed0", "{status:#}");
        assert_eq!(status["interfaces"][0]["problem"], serde_json::Value::Null, "{status:#}");
        lab.expect_next_knock_to_run(Family::V6);
    });
    assert_eq!(fs::read_dir(lab.files.pins()).unwrap().count(), 1);
    lab.expect_silence();
}
