//! The gate on one network card from its start to its end, whatever the driver is.
//!
//! Here, the card is one end of a veth pair. `cargo xtask test --kernels` runs the same test in virtual machines on the
//! cards that [`nics`](ruroco_lab::network::nics) names.

use std::env;

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    daemon::Daemon,
    files::Options,
    knock::{forge, under_unknown_key},
    lab::Lab,
    network::{CLIENT_INTERFACE, Family, SERVER_INTERFACE},
    wait,
};

use crate::recovery::under_fire;

/// `native`, `generic` or `auto`.
const MODE: &str = "RUROCO_DRIVER_MODE";

fn options() -> Options {
    let mode = match env::var(MODE).as_deref() {
        Err(_) | Ok("native") => "native",
        Ok("generic") => "generic",
        Ok("auto") => "auto",
        Ok(other) => panic!("{MODE}={other}"),
    };
    Options { mode, ..Options::default() }
}

/// Says for the table of `cargo xtask test --kernels` in which mode the program is attached.
fn report_mode(lab: &Lab) {
    println!("driver: attached in mode {}", lab.status()["interfaces"][0]["mode"]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn knocks_run_and_everything_else_is_dropped_before_and_after_a_crash_and_during_reloads() {
    let mut lab = Lab::running(&options());
    report_mode(&lab);
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
        let sealed = lab.seal(&lab.good_knock(family));
        lab.expect_verdict(Verdict::Forged, 1, |lab| lab.send(family, &forge(sealed)));
        let unknown = under_unknown_key(sealed);
        lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(family, &unknown));
        lab.expect_verdict(Verdict::WrongLength, 1, |lab| lab.send(family, b"junk"));
        lab.send(family, &sealed);
        lab.expect_one_run();
        lab.expect_verdict(Verdict::Replayed, 1, |lab| lab.send(family, &sealed));
    }
    under_fire(&mut lab, |lab| {
        lab.reload_gate();
        lab.gate().crash();
        lab.start_gate();
        Family::BOTH.into_iter().for_each(|family| drop(lab.expect_next_knock_to_run(family)));
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_mtu_too_large_for_the_driver_is_named_and_in_auto_mode_generic_mode_takes_over() {
    let mode = options().mode;
    let mut lab = Lab::new(&options());
    lab.network.client.ip(&format!("link set {CLIENT_INTERFACE} mtu 9000"));
    lab.network.server.ip(&format!("link set {SERVER_INTERFACE} mtu 9000"));
    if mode == "native" {
        // Some drivers run the program nevertheless.
        let gate = Daemon::start("ruroco-gate", &mut lab.gate_command());
        wait::until("the gate to be attached, or to say why not", || {
            let lines = [&["gate is attached"][..], &["MTU is 9000", "only up to 3498"]];
            lines.into_iter().flat_map(|line| gate.lines_with(line)).next()
        });
        return;
    }
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    report_mode(&lab);
    Family::BOTH.into_iter().for_each(|family| drop(lab.expect_next_knock_to_run(family)));
}
