//! Addresses in the configuration, and those that the host has.

use ruroco_lab::{lab::Lab, network::Family};

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_host_that_is_renumbered_reports_the_address_that_it_has_lost() {
    let mut lab = Lab::running(&Default::default());
    for address in lab.status()["addresses"].as_array().unwrap() {
        assert!(address["present"] == true && address["problem"].is_null(), "{address}");
    }
    for (place, old, new) in
        [(0, "192.0.2.1/24", "203.0.113.77/24"), (1, "2001:db8:1::1/64", "2001:db8:1::77/64")]
    {
        let (lost, _) = old.split_once('/').unwrap();
        let (current, _) = new.split_once('/').unwrap();
        lab.network.server.ip(&format!("addr add {new} dev server0\naddr del {old} dev server0\n"));
        lab.gate().wait_for(&["WARN", lost, "is no longer assigned to this host", current]);
        let address = lab.status()["addresses"][place].clone();
        assert_eq!(address["ip"], lost);
        assert_eq!(address["present"], false);
        let problem = address["problem"].as_str().unwrap();
        assert!(problem.contains(current) && problem.contains("systemctl reload"), "{problem}");
        let shown = lab.tool_command(&["status"]).output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.lines().any(|line| line == format!("address     {problem}")), "{shown}");

        lab.network.server.ip(&format!("addr add {old} dev server0\n"));
        lab.gate().wait_for(&["INFO", lost, "on this host again"]);
        assert!(lab.status()["addresses"][place]["problem"].is_null());
    }
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_address_that_only_a_local_route_delivers_to_is_this_hosts() {
    let mut lab = Lab::new(&Default::default());
    lab.network.server.ip("addr del 192.0.2.1/24 dev server0\n\
         addr del 2001:db8:1::1/64 dev server0\n\
         route add local 192.0.2.1/32 dev lo\n\
         route add local 2001:db8:1::/64 dev lo\n");
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    let status = lab.status();
    for address in status["addresses"].as_array().unwrap() {
        assert!(address["present"] == true && address["problem"].is_null(), "{address}");
    }
    let parts = status["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == "addresses").unwrap();
    assert_eq!(part["state"], "ok", "{part:#}");
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
}
