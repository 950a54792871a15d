//! Knocks that come while the gate reloads: each of them runs once.

use super::*;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_knock_during_reloads_runs_once() {
    const RELOADS: usize = 20;
    // Commands under way at a time: fewer than the commander allows.
    const AHEAD: usize = 20;
    let mut lab = Lab::running(&with_phone());
    let quick = "[commands.quick]\nrun = [\"/bin/true\"]\n";
    let commands = fs::read_to_string(lab.files.commands()).unwrap() + quick;
    fs::write(lab.files.commands(), commands).unwrap();
    lab.commander().crash();
    lab.start_commander();
    let (one, both) = ("[\"server0\"]", "[\"server0\", \"third1\"]");
    let socket = udp_socket(&lab.network.client, Family::V4.unspecified());
    let key = lab.key();
    let mut sent = Vec::new();
    let process = Process(lab.gate().pid());
    let held = process.descriptors().len();

    let mut knock = |lab: &mut Lab| {
        wait::until("knocks to run", || {
            let ended = lab.commander().lines_with(&["ended", "quick"]).len();
            (ended + AHEAD > sent.len()).then_some(())
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
        }
        knock(lab);
    });
    assert!(sent.len() > RELOADS, "only {} knocks", sent.len());
    // After this one nothing that was sent before will still run.
    lab.knock(Family::V4, &[]);
    lab.commander().wait_for(&["running", "default"]);
    // Each line is a thread's.
    lab.commander().wait_for_nth(sent.len(), &["running", "quick"]);
    let counter = |line: String| -> u128 {
        line.split_once("counter=").unwrap().1.split(' ').next().unwrap().parse().unwrap()
    };
    let ran = lab.commander().lines_with(&["running", "quick"]);
    let mut ran: Vec<_> = ran.into_iter().map(counter).collect();
    ran.sort_unstable(); // each line is a thread's
    assert!(ran == sent, "sent {}, ran {}", sent.len(), ran.len());
    // Of all that was opened nothing is left open. The commander may have connected since, for the events of doors.
    wait::until("the gate to hold as much as before", || {
        (process.descriptors().len() <= held + 1).then_some(())
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn knocks_from_before_and_after_a_reload_wait_for_a_server_that_restarts() {
    let mut lab = Lab::running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    lab.server().crash();
    lab.gate().wait_for(&["server disconnected"]);
    // Two reloads, so that two old rings have something in them.
    for family in Family::BOTH {
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.knock(family, &[]));
        lab.reload_gate();
    }
    lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.knock(Family::V4, &[]));
    lab.start_server();
    lab.expect_runs(3);
    lab.expect_next_knock_to_run(Family::V6);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_copy_of_a_knock_from_before_a_reload_does_not_run() {
    let mut lab = Lab::running(&Default::default());
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
