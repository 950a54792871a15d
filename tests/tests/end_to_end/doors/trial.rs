//! Doors on trial, disarmed and armed.

use std::time::Instant;

use nix::sys::signal::Signal;
use ruroco_lab::{lab::Lab, network::Family, wait};
use serde_json::Value;

use super::site::{LONG, SHORT_TIME, Site, run_tool};

/// What `ruroco status` shows of whether doors are armed.
pub(super) fn arming(lab: &Lab) -> Value {
    lab.status()["arming"].clone()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn doors_on_trial_open_by_themselves_even_if_the_gate_has_died() {
    let mut site = Site::tcp(LONG);
    run_tool(&site.lab, &["arm", "--for", "3s"]);
    let armed = Instant::now();
    site.lab.gate().crash();
    site.expect_closed(Family::V4);
    wait::until("the trial to be over", || (armed.elapsed() > SHORT_TIME).then_some(()));
    for family in Family::BOTH {
        site.connect(family).expect_alive();
    }
    site.lab.start_gate();
    site.lab.gate().wait_for(&["doors are open to everyone"]);
    assert_eq!(arming(&site.lab)["armed"], false);
    site.connect(Family::V4).expect_alive();
    run_tool(&site.lab, &["arm"]);
    site.expect_closed(Family::V4);
    assert_eq!(arming(&site.lab), serde_json::json!({ "armed": true, "left_ms": null }));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn only_a_connection_that_a_knock_has_opened_since_confirms_a_trial() {
    let mut site = Site::tcp(LONG);
    for family in Family::BOTH {
        site.open(family);
        let mut before = site.connect(family);
        run_tool(&site.lab, &["arm", "--for", "1h"]);
        before.expect_alive();
        assert!(arming(&site.lab)["left_ms"].is_u64(), "an old session has confirmed it");
        let mut since = site.connect(family);
        since.expect_alive();
        wait::until("the trial to be confirmed", || {
            (arming(&site.lab)["left_ms"].is_null()).then_some(())
        });
        assert_eq!(arming(&site.lab)["armed"], true);
        wait::until("the gate to note it for the next start", || {
            (!site.lab.files.doors_dir().join("disarmed").exists()).then_some(())
        });
        before.expect_alive();
        run_tool(&site.lab, &["doors", "close", "test"]);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn disarmed_doors_are_open_until_they_are_armed_even_after_a_restart_of_the_host() {
    let mut site = Site::tcp(LONG);
    run_tool(&site.lab, &["disarm"]);
    site.connect(Family::V4).expect_alive();
    site.lab.gate().signal(Signal::SIGTERM);
    assert!(site.lab.gate().wait_for_end().success());
    // As a restart of the host does.
    for pin in site.lab.files.pinned() {
        std::fs::remove_file(pin).unwrap();
    }
    site.lab.start_gate();
    site.connect(Family::V6).expect_alive();
    let confirmed = site.lab.tool_command(&["confirm"]).output().unwrap();
    assert!(!confirmed.status.success());
    run_tool(&site.lab, &["arm"]);
    site.expect_closed(Family::V6);
}
