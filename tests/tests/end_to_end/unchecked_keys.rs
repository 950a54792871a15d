//! Keys of upstream ruroco, whose tags the kernel cannot check: the server does, and the gate sees
//! to it that there are not too many of them.

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::DEFAULT_COMMAND,
    knock::{Bytes, forge},
    lab::{Lab, udp_socket},
    network::{Family, gate},
    wait,
};

const OLD: &str = "old-laptop";

/// A lab with such a key beside the usual one.
fn lab() -> Lab {
    let mut lab = Lab::without_floors(&Default::default());
    lab.files.add_upstream_key(OLD);
    assert!(lab.server_command(&["init"]).output().unwrap().status.success());
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab
}

fn knock(lab: &Lab, family: Family) -> Bytes {
    lab.good_knock(family).seal(&lab.files.key(OLD))
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_runs_its_command_once() {
    let mut lab = lab();
    for family in Family::BOTH {
        let datagram = knock(&lab, family);
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(family, &datagram));
        let run = lab.expect_one_run();
        assert_eq!((run.key.as_str(), run.command.as_str()), (OLD, DEFAULT_COMMAND));
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(family, &datagram));
        lab.server().wait_for(&["refused", "old_counter"]);
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_forgery_is_found_by_the_server() {
    for family in Family::BOTH {
        let mut lab = lab();
        let forged = forge(knock(&lab, family));
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(family, &forged));
        lab.expect_refusal("forged");
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_flood_of_forgeries_is_throttled_and_keeps_no_other_key_out() {
    let mut lab = lab();
    let sample = knock(&lab, Family::V4);
    let before = lab.verdicts();
    let socket = udp_socket(&lab.network.client, Family::V4.unspecified());
    let sent = 20_000;
    for tag in 0..sent {
        let mut forged = sample;
        forged[20..28].copy_from_slice(&u64::to_le_bytes(tag));
        socket.send_to(&forged, gate(Family::V4)).unwrap();
        if tag % 5_000 == 0 {
            lab.expect_next_knock_to_run(Family::V4);
            lab.expect_next_knock_to_run(Family::V6);
        }
    }
    let (knocks, since) = wait::until("all of them to be judged", || {
        let since = lab.verdicts().since(&before);
        (since.values().sum::<u64>() >= sent + 8).then_some((8, since))
    });
    let of = |verdict: Verdict| since.get(verdict.name()).copied().unwrap_or_default();
    assert_eq!(of(Verdict::Candidate) + of(Verdict::Throttled), sent + knocks, "{since:?}");
    assert!(of(Verdict::Throttled) > sent / 2, "{since:?}");
    lab.expect_refusal("forged");
    lab.expect_silence();
}
