//! A knock runs its command, once, for the right address.

use std::{fs, net::IpAddr, path::Path};

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::{DEFAULT_COMMAND, KEY, OTHER_COMMAND},
    knock::now,
    lab::{Lab, require_tool},
    mount::Mount,
    network::{CLIENT, Family, PORT, SERVER},
    packet::Packet,
};

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_runs_its_command_once_for_the_address_it_came_from() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let sent_at = now();
        lab.knock(family, &[]);
        let run = lab.expect_one_run();
        assert_eq!(run.ip, CLIENT.of(family));
        assert_eq!((run.command.as_str(), run.key.as_str()), (DEFAULT_COMMAND, KEY));
        assert!(run.started_at > sent_at);
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_command_that_runs_is_the_one_asked_for() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        lab.knock(family, &["--command", OTHER_COMMAND]);
        let run = lab.expect_one_run();
        assert_eq!((run.command.as_str(), run.ip), (OTHER_COMMAND, CLIENT.of(family)));
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_claimed_address_that_is_the_real_one_is_taken() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let own = CLIENT.of(family);
        lab.knock(family, &["--ip", &own.to_string()]);
        assert_eq!(lab.expect_one_run().ip, own);
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_permissive_knock_may_act_for_another_address() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        for other in ["203.0.113.9", "2001:db8:ffff::9"] {
            lab.knock(family, &["--permissive", "--ip", other]);
            assert_eq!(lab.expect_one_run().ip, other.parse::<IpAddr>().unwrap());
        }
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_name_with_two_addresses_is_knocked_at_once_unless_told_otherwise() {
    let mut lab = Lab::running(&Default::default());
    let hosts = lab.files.path("hosts");
    let lines = Family::BOTH.map(|family| format!("{} gate.test\n", SERVER.of(family)));
    fs::write(&hosts, lines.concat()).unwrap();
    let _names = Mount::file(&hosts, Path::new("/etc/hosts"));
    let address = format!("gate.test:{PORT}");
    let key = lab.files.client_key(KEY).to_str().unwrap().to_owned();
    let knock = |lab: &Lab, option: &[&str]| {
        let fixed = ["send", "--address", &address, "--key", &key];
        let sent = lab.client(&[&fixed, option].concat());
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    };

    knock(&lab, &[]);
    lab.expect_one_run();
    lab.expect_next_knock_to_run(Family::V4);
    for (option, family) in [("-4", Family::V4), ("-6", Family::V6)] {
        knock(&lab, &[option]);
        assert_eq!(lab.expect_one_run().ip, CLIENT.of(family));
        lab.expect_next_knock_to_run(family);
    }

    let before = lab.verdicts();
    knock(&lab, &["--all-addresses"]);
    lab.server().wait_for_nth(8, &["accepted"]);
    assert_eq!(lab.verdicts().of(Verdict::Candidate) - before.of(Verdict::Candidate), 2);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_that_does_not_get_away_to_one_address_goes_to_the_next() {
    require_tool("nft");
    let mut lab = Lab::running(&Default::default());
    let hosts = lab.files.path("hosts");
    let lines = Family::BOTH.map(|family| format!("{} gate.test\n", SERVER.of(family)));
    fs::write(&hosts, lines.concat()).unwrap();
    let _names = Mount::file(&hosts, Path::new("/etc/hosts"));
    let (address, key) = (format!("gate.test:{PORT}"), lab.files.client_key(KEY));
    for (blocked, left) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        // The client's own firewall: sending fails at once.
        let rules = format!(
            "flush ruleset; table inet own {{ chain out {{ type filter hook output priority 0; \
             meta nfproto {} udp dport {PORT} drop; }}; }}",
            if blocked == Family::V4 { "ipv4" } else { "ipv6" }
        );
        let set = lab.network.client.command().args(["nft", &rules]).status().unwrap();
        assert!(set.success());
        let sent = lab.client(&["send", "--address", &address, "--key", key.to_str().unwrap()]);
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        assert_eq!(lab.expect_one_run().ip, CLIENT.of(left));
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn ethernet_padding_is_not_part_of_a_knock() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let mut frame = Packet::to_gate(family, &lab.seal(&lab.good_knock(family))).to_frame();
        frame.extend_from_slice(&[0xee; 46]);
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send_frame(&frame));
        assert_eq!(lab.expect_one_run().ip, CLIENT.of(family));
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_gates_status_tells_what_it_guards() {
    let lab = Lab::running(&Default::default());
    let status = lab.status();
    assert_eq!(status["interfaces"][0]["name"], "server0");
    assert_eq!(status["interfaces"][0]["attached"], true);
    assert_eq!(status["interfaces"][0]["mode"], "native");
    assert_eq!(status["keys"][0]["name"], KEY);
    assert_eq!(status["keys"][0]["id"], lab.key().id.to_string());
    assert_eq!(status["server_connected"], true);
}
