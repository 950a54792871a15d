//! Leases: they begin with a knock and end by the clock, on command, and with their key, whatever becomes of the gate.

use std::{
    net::{IpAddr, TcpStream},
    time::Instant,
};

use nix::sys::signal::Signal;
use ruroco_common::verdict::Verdict;
use ruroco_lab::{files::Options, lab::Lab, network::Family, wait};

use super::site::{
    LONG, SHORT, SHORT_TIME, Session, Site, behind, expect_closed_for, listen, options,
};
use super::trail;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_opens_the_door_for_its_address_alone_and_the_lease_ends_by_itself() {
    let mut site = Site::tcp(SHORT);
    for family in Family::BOTH {
        site.expect_closed(family);
        site.open(family);
        let mut session = site.connect(family);
        expect_closed_for(&site.lab.network.third, family);
        session.expect_alive();
        site.wait_for_end_of_lease(family);
        // The session continues, and no other begins.
        site.expect_closed(family);
        session.expect_alive();
        // The next knock opens it again.
        site.open(family);
        site.connect(family).expect_alive();
        site.wait_for_end_of_lease(family);
    }
    site.lab.gate().wait_for_nth(4, &["the lease has ended", "door=test", "key=laptop"]);
    let replies = site.lab.capture.replies_from_gate();
    assert!(replies.is_empty(), "{replies:#?}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn leases_and_sessions_outlive_the_gate_and_the_kernel_ends_them_without_it() {
    let mut site = Site::tcp(SHORT);
    for family in Family::BOTH {
        site.open(family);
        let opened = Instant::now();
        let mut session = site.connect(family);
        site.lab.gate().crash();
        // Within the lease, without a gate.
        site.connect(family).expect_alive();
        wait::until("the lease to be over", || (opened.elapsed() > SHORT_TIME).then_some(()));
        site.expect_closed(family);
        session.expect_alive();
        site.lab.start_gate();
        site.expect_closed(family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_restarted_or_reloaded_gate_keeps_the_leases() {
    let mut site = Site::tcp(LONG);
    for family in Family::BOTH {
        site.open(family);
        let mut session = site.connect(family);
        site.lab.reload_gate();
        site.connect(family).expect_alive();
        site.lab.gate().crash();
        site.lab.start_gate();
        assert_eq!(site.leases(family)[0]["key"], "laptop");
        site.connect(family).expect_alive();
        expect_closed_for(&site.lab.network.third, family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_session_from_before_the_gate_continues() {
    let mut lab = Lab::new(&options(LONG, ""));
    let connect = |family: Family| {
        let listener = listen(&lab, family);
        let near = lab.network.client.enter(|| TcpStream::connect(behind(family))).unwrap();
        let (far, _) = listener.accept().unwrap();
        (listener, Session { near, far })
    };
    let mut sessions = Family::BOTH.map(connect);
    lab.start_gate();
    for (family, (_listener, session)) in Family::BOTH.into_iter().zip(&mut sessions) {
        session.expect_alive();
        expect_closed_for(&lab.network.client, family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_stopped_gate_leaves_the_door_closed_and_sessions_alive() {
    let mut site = Site::tcp(LONG);
    for family in Family::BOTH {
        site.open(family);
    }
    let mut sessions = Family::BOTH.map(|family| site.connect(family));
    site.lab.gate().signal(Signal::SIGTERM);
    assert!(site.lab.gate().wait_for_end().success());
    site.lab.gate().wait_for(&["stopped", "doors stay closed"]);
    for family in Family::BOTH {
        expect_closed_for(&site.lab.network.third, family);
        sessions.iter_mut().for_each(Session::expect_alive);
    }
    // The next gate goes on where it stopped.
    site.lab.start_gate();
    sessions.iter_mut().for_each(Session::expect_alive);
    for family in Family::BOTH {
        site.connect(family).expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_closes_by_command_by_knock_and_with_its_key() {
    let mut site = Site::new(&Options { more_keys: vec!["phone"], ..options(LONG, "") });
    let family = Family::V4;
    site.open(family);
    let mut session = site.connect(family);
    let closed = site.lab.tool_command(&["doors", "close", "test"]).output().unwrap();
    let said = String::from_utf8_lossy(&closed.stdout).into_owned();
    assert_eq!(said, "closed test\n");
    site.expect_closed(family);

    site.open(family);
    site.lab.knock(family, &["--command", "close_test"]);
    site.wait_for_end_of_lease(family);
    site.expect_closed(family);

    site.open(family);
    std::fs::remove_file(site.lab.files.server_key("laptop")).unwrap();
    site.lab.reload_gate();
    site.lab.gate().wait_for(&["closed the door", "door=test"]);
    site.expect_closed(family);
    session.expect_alive();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn with_one_connection_per_knock_a_neighbour_finds_the_door_closed() {
    let mut site = Site::new(&options(LONG, "connections = 1"));
    for family in Family::BOTH {
        site.open(family);
        let mut session = site.connect(family);
        site.lab.expect_verdict(Verdict::DoorLimited, 1, |lab| {
            expect_closed_for(&lab.network.client, family);
        });
        site.lab.knock(family, &["--command", "open_test"]);
        site.wait_for_a_connection(family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_seventeenth_address_of_a_key_is_refused() {
    let mut site = Site::tcp(LONG);
    for last in 1..=17 {
        let address = IpAddr::from([198, 51, 100, last]).to_string();
        site.lab.knock(Family::V4, &["--command", "open_test", "--ip", &address, "--permissive"]);
        let result = if last == 17 { "too_many_leases_of_key" } else { "opened" };
        site.lab.gate().wait_for(&["door=test", &format!("ip={address} "), result]);
    }
    assert_eq!(site.doors()[0]["leases"].as_array().unwrap().len(), 16);
    trail::expect_one(&site.lab, "not_opened", "too_many_leases_of_key");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_command_runs_once_its_door_is_open() {
    let mut options = options(LONG, "");
    options.commands += "[commands.both]\nopen = \"test\"\nrun = [\"/bin/sh\", \"-c\", \"echo doors: $RUROCO_DOORS\"]\n";
    let mut site = Site::new(&options);
    site.lab.knock(Family::V4, &["--command", "both"]);
    site.lab.commander().wait_for(&["output", "doors: test"]);
    site.connect(Family::V4).expect_alive();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_request_that_a_killed_gate_has_not_answered_opens_the_door_once_for_its_successor() {
    let mut site = Site::new(&options(LONG, "connections = 1"));
    for (family, runs) in Family::BOTH.into_iter().zip(1..) {
        // The request waits for a gate that does not run any more.
        site.lab.gate().signal(Signal::SIGSTOP);
        site.lab.knock(family, &["--command", "open_test"]);
        site.lab.commander().wait_for_nth(runs, &["running", "open_test"]);
        site.lab.gate().crash();
        site.expect_closed(family);
        site.lab.start_gate();
        wait::until("the door to open", || site.leases(family).first().map(drop));
        site.connect(family).expect_alive();
        site.lab.expect_verdict(Verdict::DoorLimited, 1, |lab| {
            expect_closed_for(&lab.network.client, family);
        });
        assert_eq!(site.lab.commander().lines_with(&["running", "open_test"]).len(), runs);
    }
}
