//! The ways in which the gate is on its interfaces.

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    knock::Knock,
    lab::{Lab, udp_socket},
    network::{Family, SERVER, SERVER_INTERFACE, THIRD, THIRD_INTERFACE, gate},
    wait,
};

use crate::{networks::checked, recovery::under_fire};

fn options(mode: &'static str, interfaces: &[&'static str]) -> Options {
    Options { mode, interfaces: interfaces.to_vec(), ..Options::default() }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn each_mode_does_the_work_and_says_what_it_took() {
    for (mode, taken) in [("native", "native"), ("generic", "generic"), ("auto", "generic")] {
        let mut lab = Lab::running(&options(mode, &[SERVER_INTERFACE]));
        assert_eq!(lab.status()["interfaces"][0]["mode"], taken);
        lab.gate().wait_for(&["attached", SERVER_INTERFACE, taken]);
        for family in Family::BOTH {
            lab.expect_verdict(Verdict::WrongLength, 1, |lab| lab.send(family, b"junk"));
            lab.expect_next_knock_to_run(family);
        }
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn where_there_is_no_native_mode_auto_takes_generic_and_says_why() {
    // The loopback interface has none, and is not of a kind on which it would not be tried.
    let mut lab = Lab::running(&options("auto", &["lo", SERVER_INTERFACE]));
    assert_eq!(lab.status()["interfaces"][0]["mode"], "generic");
    lab.gate().wait_for(&["taking generic mode", "native:"]);
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn native_mode_or_nothing_is_refused_where_there_is_none() {
    let lab = Lab::new(&options("native", &["lo"]));
    let output = lab.gate_command().output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("lo") && said.contains("\"generic\""), "{said}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn one_gate_is_on_several_interfaces() {
    let mut lab = Lab::running(&options("native", &[SERVER_INTERFACE, THIRD_INTERFACE]));
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
        // The third host reaches the same address over the other interface.
        let knock = lab.seal(&Knock::to(SERVER.of(family), "default"));
        let third = udp_socket(&lab.network.third, family.unspecified());
        lab.expect_verdict(Verdict::Candidate, 1, |_| {
            third.send_to(&knock, gate(family)).unwrap();
        });
        assert_eq!(lab.expect_one_run().ip, THIRD.of(family));
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_that_is_not_ethernet_is_refused() {
    // What comes from a tun device begins with the IP header: there is no Ethernet header to skip.
    for mode in ["native", "generic", "auto"] {
        for interfaces in [&["tun0"][..], &[SERVER_INTERFACE, "tun0"]] {
            let mut lab = Lab::new(&options(mode, interfaces));
            lab.network.server.ip("tuntap add mode tun name tun0\nlink set tun0 up\n");
            let output = lab.gate_command().output().unwrap();
            assert!(!output.status.success());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("tun0"), "{mode}: {said}");
            assert!(said.contains("not an Ethernet interface"), "{mode}: {said}");

            // It has taken itself off the others again: the host answers as one without a gate.
            lab.send(Family::V4, b"anybody there?");
            assert_eq!(lab.capture.replies_from_gate().len(), 1);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn where_the_gate_would_not_start_check_fails() {
    let lab = Lab::new(&options("auto", &[SERVER_INTERFACE, "tun0"]));
    let check = || {
        let commands = lab.files.commands();
        let arguments = ["check", "--commands", commands.to_str().unwrap()];
        lab.tool_command(&arguments).output().unwrap()
    };
    let output = check();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("interface tun0 does not exist"), "{said}");
    lab.network.server.ip("tuntap add mode tun name tun0\n");
    let output = check();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = said.lines().find(|line| line.starts_with("error "));
    assert!(error.is_some_and(|line| line.contains("the gate cannot use tun0")), "{said}");
    assert!(!output.status.success() && !said.contains("will start"), "{said}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_that_is_renamed_stays_closed() {
    let mut lab = Lab::running(&Default::default());
    under_fire(&mut lab, |lab| {
        let mut name = SERVER_INTERFACE;
        for new_name in ["renamed0", SERVER_INTERFACE, "renamed1"] {
            // While it is up: Linux 6.2.
            lab.network.server.ip(&format!("link set dev {name} name {new_name}"));
            name = new_name;
            // The gate has heard of the new name before it answers.
            let status = lab.status();
            assert_eq!(status["attached"], true, "{status:#}");
            assert_eq!(status["interfaces"][0]["attached"], true, "{status:#}");
            for family in Family::BOTH {
                lab.expect_next_knock_to_run(family);
            }
        }
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn interfaces_that_exchange_their_names_stay_closed_all_the_time() {
    let mut lab = Lab::running(&options("native", &[SERVER_INTERFACE, THIRD_INTERFACE]));
    under_fire(&mut lab, |lab| {
        for (name, new_name) in [
            (SERVER_INTERFACE, "between0"),
            (THIRD_INTERFACE, SERVER_INTERFACE),
            ("between0", THIRD_INTERFACE),
        ] {
            lab.network.server.ip(&format!("link set dev {name} name {new_name}"));
            // The gate has heard of the new name before it answers.
            let status = lab.status();
            for place in 0..2 {
                assert_eq!(status["interfaces"][place]["attached"], true, "{status:#}");
            }
            for family in Family::BOTH {
                lab.expect_next_knock_to_run(family);
            }
        }
    });
    let status = lab.status();
    for place in 0..2 {
        assert!(status["interfaces"][place]["problem"].is_null(), "{status:#}");
    }
    let pins = lab.files.pinned().len();
    assert_eq!(pins, 2, "each is where it was");
    let wrong =
        ["has gone", "another XDP program", "another interface", "this interface does not exist"];
    for what in wrong {
        assert_eq!(lab.gate().lines_with(&[what]), [""; 0]);
    }
    assert_eq!(
        lab.gate().lines_with(&["attached", "mode="]).len(),
        2,
        "at the start, and never again"
    );
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_renamed_interface_is_opened_for_another_one_of_its_name_and_the_log_says_so() {
    let mut lab = Lab::running(&Default::default());
    let renamed = format!("link set dev {SERVER_INTERFACE} name renamed0");
    lab.network.server.ip(&format!("{renamed}\nlink add {SERVER_INTERFACE} type veth\n"));
    let status = wait::until("the other interface to be closed", || {
        let status = lab.status();
        status["interfaces"][0]["problem"].is_null().then_some(status)
    });
    assert_eq!(status["interfaces"][0]["attached"], true, "{status:#}");
    lab.gate().wait_for(&[SERVER_INTERFACE, "another interface", "renamed0", "is not attached"]);
    assert_eq!(lab.gate().lines_with(&["has gone"]), [""; 0]);
    lab.send(Family::V4, b"anybody there?");
    assert_eq!(lab.capture.replies_from_gate().len(), 1);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_starts_opens_what_was_renamed_and_the_log_says_so() {
    let mut lab = Lab::running(&Default::default());
    lab.network.server.ip(&format!("link set dev {SERVER_INTERFACE} name renamed0"));
    assert_eq!(lab.status()["attached"], true);
    lab.gate().crash();
    lab.start_gate_until(&["this interface does not exist"]);
    lab.gate().wait_for(&["WARN", "renamed0", "not configured", "detached"]);
    let status = lab.status();
    assert_eq!(status["attached"], false, "{status:#}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_altname_means_its_interface() {
    const ALTNAME: &str = "an-altname-of-more-than-fifteen-bytes";
    for altname in [ALTNAME, "short0"] {
        let mut lab = Lab::new(&options("native", &[altname]));
        lab.start_commander();
        lab.start_gate_until(&["this interface does not exist; the gate waits for it"]);
        lab.start_server();
        // It comes by that name under the gate, and goes by it.
        lab.network.server.ip(&format!("link property add dev server0 altname {altname}\n"));
        let status = wait::until("the gate to be closed", || {
            Some(lab.status()).filter(|status| status["attached"] == true)
        });
        let interface = &status["interfaces"][0];
        assert_eq!(interface["name"], altname, "{status:#}");
        assert_eq!(interface["device"], SERVER_INTERFACE, "{status:#}");
        assert!(interface["problem"].is_null(), "{status:#}");
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
        lab.reload_gate();
        lab.expect_next_knock_to_run(Family::V4);
        // A gate that has crashed is followed under the same name.
        lab.gate().crash();
        lab.start_gate();
        lab.gate().wait_for(&[altname, "taken over"]);
        lab.expect_next_knock_to_run(Family::V4);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn two_names_of_one_interface_are_one_attachment() {
    let mut lab = Lab::new(&options("native", &["alt0", SERVER_INTERFACE, THIRD_INTERFACE]));
    lab.network.server.ip("link property add dev server0 altname alt0\n");
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab.gate().wait_for(&["WARN", SERVER_INTERFACE, "the same device as alt0", "Remove one"]);
    let checked = checked(&lab);
    assert!(checked.contains("`server0` and `alt0` are the same interface, server0"), "{checked}");
    let expect_one_each = |lab: &Lab| {
        let status = lab.status();
        assert_eq!(status["attached"], true, "{status:#}");
        assert_eq!(lab.files.pinned().len(), 2, "{status:#}");
    };
    expect_one_each(&lab);
    lab.expect_next_knock_to_run(Family::V4);
    lab.reload_gate();
    expect_one_each(&lab);
    lab.expect_next_knock_to_run(Family::V6);
    // When the one name is taken away, the other one stands for it, without a gap.
    under_fire(&mut lab, |lab| {
        lab.network.server.ip("link property del dev server0 altname alt0\n");
        let status = lab.status();
        assert_eq!(status["interfaces"][1]["attached"], true, "{status:#}");
        lab.expect_next_knock_to_run(Family::V4);
    });
    assert_eq!(lab.gate().lines_with(&["INFO", "mode=native", "attached"]).len(), 2);
    lab.expect_silence();
}
