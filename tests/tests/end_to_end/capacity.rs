//! What one key holder does to others: however many commands of one key are running, those of another key
//! run, and a knock for which there is no room keeps its counter.

use std::fs;

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::{KEY, Options},
    knock::Knock,
    lab::Lab,
    network::{Family, SERVER},
    wait,
};

/// A second key, for commands that run until they are told to end.
const GREEDY: &str = "greedy";
const LONG: &str = "long";

/// As many commands as one key may have running.
const SHARE: usize = 32;

fn lab_with_long_commands() -> Lab {
    let commands = "[commands.long]\nshell = 'while test -d \"${GO%/*}\" && ! test -e \"$GO\"; do sleep 0.2; done'\ntimeout = 600\n";
    let mut lab = Lab::new(&Options {
        more_keys: vec![GREEDY],
        commands: commands.to_owned(),
        ..Options::default()
    });
    let go = lab.files.path("go");
    let text = fs::read_to_string(lab.files.commands()).unwrap();
    fs::write(lab.files.commands(), format!("{text}env = {{ GO = {go:?} }}\n")).unwrap();
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab
}

/// Knocks with the second key until its commands have every slot that they may have.
fn take_every_slot(lab: &mut Lab) {
    let key = lab.files.key(GREEDY);
    for nth in 1..=SHARE {
        let knock = Knock::to(SERVER.of(Family::V4), LONG);
        lab.send(Family::V4, &knock.seal(&key));
        lab.commander().wait_for_nth(nth, &["running command=long"]);
    }
}

/// Knocks once with the first key, and waits until its command has run.
fn expect_to_run(lab: &mut Lab, family: Family) {
    let knock = lab.good_knock(family);
    lab.send(family, &lab.seal(&knock));
    let counter = format!("counter={} ", knock.plaintext.counter);
    lab.commander().wait_for(&["ended", KEY, &counter, "result=exit:0"]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn with_one_keys_commands_in_every_slot_it_may_use_100_of_100_knocks_of_another_key_run() {
    let mut lab = lab_with_long_commands();
    take_every_slot(&mut lab);
    let greedy = lab.files.key(GREEDY);
    for nth in 1..=100 {
        // It goes on as well, in vain.
        let knock = Knock::to(SERVER.of(Family::V4), LONG);
        lab.send(Family::V4, &knock.seal(&greedy));
        expect_to_run(&mut lab, if nth % 2 == 0 { Family::V4 } else { Family::V6 });
    }
    lab.expect_refusal("too_many_running");
    assert_eq!(lab.commander().lines_with(&["running command=long"]).len(), SHARE);
    // Nothing was left to the commander to reject, and so no counter was used up in vain.
    assert_eq!(lab.commander().lines_with(&["refused"]), [""; 0]);
    assert_eq!(lab.server().lines_with(&["accepted"]).len(), SHARE + 100);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_that_finds_no_slot_has_not_used_its_counter() {
    let mut lab = lab_with_long_commands();
    take_every_slot(&mut lab);
    let floors = || fs::read(lab.files.floors_dir().join("floors")).unwrap();
    let before = floors();
    let key = lab.files.key(GREEDY);
    let knock = Knock::to(SERVER.of(Family::V4), LONG);
    lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(Family::V4, &knock.seal(&key)));
    lab.expect_refusal("too_many_running");
    let floors = || fs::read(lab.files.floors_dir().join("floors")).unwrap();
    assert_eq!(floors(), before, "something was persisted");

    fs::write(lab.files.path("go"), "").unwrap();
    lab.commander().wait_for_nth(SHARE, &["ended command=long"]);
    // In another packet, as the gate knows that one: the counter is as good as new.
    let counter = format!("counter={} ", knock.plaintext.counter);
    wait::until("the same counter to be accepted", || {
        lab.send(Family::V4, &knock.seal(&key));
        (!lab.commander().lines_with(&["ended command=long", &counter]).is_empty()).then_some(())
    });
    assert_ne!(fs::read(lab.files.floors_dir().join("floors")).unwrap(), before);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_that_is_restarted_knows_whose_commands_are_running() {
    let mut lab = lab_with_long_commands();
    take_every_slot(&mut lab);
    lab.server().signal(nix::sys::signal::Signal::SIGKILL);
    lab.server().wait_for_end();
    lab.start_server();
    let knock = Knock::to(SERVER.of(Family::V4), LONG).seal(&lab.files.key(GREEDY));
    lab.send(Family::V4, &knock);
    lab.expect_refusal("too_many_running");
    expect_to_run(&mut lab, Family::V6);
    assert_eq!(lab.server().lines_with(&["accepted", GREEDY]), [""; 0]);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_for_an_address_that_is_not_public_keeps_its_counter_where_only_those_are_allowed() {
    let mut lab = Lab::new(&Options::default());
    lab.files.change_config(|text| format!("allow_non_public_addresses = false\n{text}"));
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    let mut knock = lab.good_knock(Family::V4);
    lab.send(Family::V4, &lab.seal(&knock));
    lab.expect_refusal("non_routable_address");
    assert_eq!(lab.server().lines_with(&["accepted"]), [""; 0]);
    let public = "1.1.1.1".parse::<std::net::IpAddr>().unwrap();
    knock.plaintext.claimed_source = Some(public.into());
    lab.send(Family::V4, &lab.seal(&knock));
    assert_eq!(lab.expect_one_run().ip, public);
    lab.expect_silence();
}
