//! Hosts as `ip` shows them, and what leads past a gate on them.

use super::*;

impl Unguarded {
    /// One with nothing above it.
    pub(crate) fn alone(from: From, interface: &str, kind: &str) -> Self {
        Self {
            from,
            interface: interface.to_owned(),
            kind: kind.to_owned(),
            above: BTreeSet::new(),
        }
    }
}

/// An interface: name, link type, kind, master, the one below, and whether it is up with a carrier.
fn link(index: usize, words: &str) -> serde_json::Value {
    let [name, link_type, kind, master, below, state] =
        words.split_whitespace().collect::<Vec<_>>()[..]
    else {
        panic!("{words:?}")
    };
    let optional = |word: &str| (word != "-").then(|| word.to_owned());
    let flags = match state {
        "up" => vec!["UP", "LOWER_UP"],
        "nocarrier" => vec!["NO-CARRIER", "UP"],
        "down" => vec![],
        other => panic!("{other}"),
    };
    serde_json::json!({
        "ifindex": index + 1, "ifname": name, "flags": flags, "mtu": 1500, "link_type": link_type,
        "master": optional(master), "link": optional(below),
        "linkinfo": optional(kind).map(|kind| serde_json::json!({ "info_kind": kind })),
    })
}

fn host(links: &[&str], outward: &[&str], ours: &[&str]) -> Host {
    let links: Vec<_> = links.iter().enumerate().map(|(index, words)| link(index, words)).collect();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Host {
        links: Link::parse(serde_json::to_string(&links).unwrap().as_bytes()).unwrap(),
        outward: set(&[outward, ours].concat()),
        with_our_address: set(ours),
    }
}

/// What leads past a gate on the interfaces `guarded` of a host with a default route by `eth0`.
fn unguarded(links: &[&str], guarded: &[&str]) -> Vec<(From, String)> {
    let host = host(links, &["eth0"], &[]);
    let found = host.unguarded(|link| guarded.contains(&&*link.ifname));
    found.into_iter().map(|one| (one.from, one.interface)).collect()
}

const LO: &str = "lo loopback - - - up";
const ETH0: &str = "eth0 ether - - - up";

#[test]
fn an_ethernet_interface_that_is_up_and_not_guarded_leads_past_the_gate() {
    let eth1 = [LO, ETH0, "eth1 ether - - - up"];
    assert_eq!(unguarded(&eth1, &["eth0"]), [(From::Network, "eth1".to_owned())]);
    assert_eq!(unguarded(&eth1, &["eth0", "eth1"]), []);
    for harmless in ["eth1 ether - - - down", "eth1 ether - - - nocarrier"] {
        assert_eq!(unguarded(&[LO, ETH0, harmless], &["eth0"]), [], "{harmless}");
    }
}

#[test]
fn what_is_above_a_guarded_interface_is_guarded_and_what_is_beside_it_is_not() {
    for (links, guarded, holes) in [
        // Above a guarded interface.
        (vec!["v10 ether vlan - eth0 up", "v10.20 ether vlan - v10 up"], "eth0", vec![]),
        (vec!["m0 ether macvlan - eth0 up", "i0 ether ipvlan - eth0 up"], "eth0", vec![]),
        // One VLAN alone leaves the others, and the untagged packets, to the interface below.
        (vec!["v10 ether vlan - eth0 up", "v20 ether vlan - eth0 up"], "v10", vec!["eth0"]),
        (vec!["v10 ether vlan - eth1 up", "eth1 ether - - - up"], "eth0", vec!["eth1"]),
        // A bridge, by itself or by its ports.
        (vec!["br0 ether bridge - - up", "eth1 ether - br0 - up"], "br0 eth0", vec![]),
        (vec!["br0 ether bridge - - up", "eth1 ether - br0 - up"], "eth1 eth0", vec![]),
        (vec!["br0 ether bridge - - up", "eth1 ether - br0 - up"], "eth0", vec!["eth1"]),
        (vec!["br0 ether bridge - - up", "eth1 ether - br0 - down"], "eth0", vec![]),
        (
            vec!["br0 ether bridge - - up", "e1 ether - br0 - up", "e2 ether - br0 - up"],
            "e1 eth0",
            vec!["e2"],
        ),
        // Bonds and teams, and a VLAN on one.
        (vec!["bond0 ether bond - - up", "e1 ether - bond0 - up"], "e1 eth0", vec![]),
        (vec!["bond0 ether bond - - up", "e1 ether - bond0 - up"], "bond0 eth0", vec![]),
        (
            vec![
                "bond0 ether bond - - up",
                "e1 ether - bond0 - up",
                "e2 ether - bond0 - up",
                "v1 ether vlan - bond0 up",
            ],
            "e1 eth0",
            vec!["e2"],
        ),
        (vec!["team0 ether team - - up", "e1 ether - team0 - up"], "eth0", vec!["e1"]),
        // In a VRF the interface itself takes the packets.
        (vec!["vrf0 ether vrf - - up", "e1 ether - vrf0 - up"], "eth0", vec!["e1"]),
        (vec!["vrf0 ether vrf - - up", "e1 ether - vrf0 - up"], "e1 eth0", vec![]),
        // No packets come from these.
        (
            vec!["d0 ether dummy - - up", "ifb0 ether ifb - - up", "t0 ether macvtap - eth0 up"],
            "eth0",
            vec![],
        ),
        // Encrypted frames mean nothing to a program below.
        (vec!["macsec0 ether macsec - eth0 up"], "eth0", vec!["macsec0"]),
        // A macvlan whose interface is in another namespace.
        (vec!["eth1 ether macvlan - - up"], "eth0", vec!["eth1"]),
    ] {
        let all: Vec<&str> = [LO, ETH0].into_iter().chain(links.iter().copied()).collect();
        let guarded: Vec<&str> = guarded.split(' ').collect();
        let found = unguarded(&all, &guarded);
        let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, holes, "{links:?} guarded on {guarded:?}");
        assert!(found.iter().all(|(from, _)| *from == From::Network), "{found:?}");
    }
}

#[test]
fn a_host_with_containers_is_told_once_and_has_no_problem() {
    let mut links = vec![LO.to_owned(), ETH0.to_owned(), "docker0 ether bridge - - up".to_owned()];
    links.extend((0..5).map(|n| format!("veth{n} ether veth docker0 - up")));
    links.extend((0..20).map(|n| format!("cali{n} ether veth - - up")));
    links.push("flannel.1 ether vxlan - eth0 up".to_owned());
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let found = host(&links, &["eth0"], &[]).unguarded(|link| link.ifname == "eth0");
    assert!(found.iter().all(|one| one.from == From::ThisHost), "{found:?}");
    assert_eq!(found.len(), 1 + 20 + 1, "a bridge stands for its ports");
    let config = config();
    let findings = findings(&config, &Ok(found));
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(finding.state(), crate::doctor::State::Warning);
    assert!(finding.detail().contains("cali0, cali1, cali10, cali11 and 18 more"), "{finding}");
}

#[test]
fn a_bridge_is_named_for_its_containers_and_not_for_its_cables() {
    let links = [
        LO,
        "eth0 ether - br0 - up",
        "eth1 ether - br0 - up",
        "tap0 ether tun br0 - up",
        "tap1 ether tun br0 - up",
        "br0 ether bridge - - up",
        "v5 ether vlan - br0 up",
    ];
    let [br0, eth1] = [(From::ThisHost, "br0"), (From::Network, "eth1")];
    let named = |found: Vec<(From, String)>, expected: &[(From, &str)]| {
        let found: Vec<_> = found.iter().map(|(from, name)| (*from, name.as_str())).collect();
        assert_eq!(found, expected);
    };
    named(unguarded(&links, &["eth0"]), &[eth1, br0]);
    named(unguarded(&links, &["eth0", "eth1"]), &[br0]);
    named(unguarded(&links, &["eth0", "eth1", "tap0"]), &[br0]);
    named(unguarded(&links, &["eth0", "eth1", "br0"]), &[]);
    named(unguarded(&links, &["eth0", "eth1", "tap0", "tap1"]), &[]);
    named(unguarded(&links, &["br0"]), &[]);
}

#[test]
fn ports_of_open_vswitch_are_found_though_another_interface_is_their_master() {
    let links = [
        LO,
        "ovs-system ether openvswitch - - down",
        "br-ex ether openvswitch - - up",
        "br-int ether openvswitch - - down",
        "eth0 ether - ovs-system - up",
        "eth1 ether - ovs-system - up",
        "tap0 ether tun ovs-system - up",
    ];
    let both = [(From::Network, "eth1".to_owned()), (From::ThisHost, "br-ex".to_owned())];
    assert_eq!(unguarded(&links, &["eth0"]), both);
    assert_eq!(unguarded(&links, &["eth0", "eth1"]), both[1..]);
    assert_eq!(unguarded(&links, &["br-ex"]), []);
}

#[test]
fn an_interface_below_a_guarded_one_is_to_be_guarded_in_its_place() {
    let remedy = |links: &[&str], guarded: &[&str]| {
        let host = host(links, &["eth0"], &[]);
        let found = host.unguarded(|link| guarded.iter().any(|name| link.ifname == *name));
        let findings = findings(&config_for(guarded), &Ok(found));
        findings.iter().filter_map(Finding::remedy).collect::<Vec<_>>().join("\n")
    };
    let vlan = "eth0.5 ether vlan - eth0 up";
    let macvlan = "m0 ether macvlan - eth0.5 up";
    for (links, guarded, expected) in [
        (vec![ETH0, vlan], vec!["eth0.5"], "[\"eth0\"]"),
        (vec![ETH0, vlan, macvlan], vec!["m0"], "[\"eth0\"]"),
        (vec![ETH0, vlan, macvlan], vec!["m0", "eth0.5"], "[\"eth0\"]"),
        (vec![ETH0, vlan, "eth1 ether - - - up"], vec!["eth0.5"], "[\"eth0\", \"eth1\"]"),
        (vec![ETH0, vlan, "eth1 ether - - - up"], vec!["eth0.5", "eth1"], "[\"eth1\", \"eth0\"]"),
        // From a bond, the VLAN gets the packets of all ports.
        (
            vec![
                "bond0 ether bond - - up",
                "e1 ether - bond0 - up",
                "e2 ether - bond0 - up",
                "bond0.5 ether vlan - bond0 up",
            ],
            vec!["bond0.5"],
            "[\"bond0.5\", \"e1\", \"e2\"]",
        ),
        // For containers it is a warning.
        (
            vec![ETH0, "veth0 ether veth - - up", "v5 ether vlan - veth0 up"],
            vec!["eth0", "v5"],
            "if you do not trust them, set `interfaces = [\"eth0\", \"veth0\"]`",
        ),
    ] {
        let remedy = remedy(&links, &guarded);
        assert!(remedy.contains(expected), "{links:?}, {guarded:?}: {remedy}");
    }
}

#[test]
fn an_interface_is_known_by_all_its_names() {
    let mut eth0_5 = link(2, "eth0.5 ether vlan - eth0 up");
    eth0_5["altnames"] = serde_json::json!(["uplink"]);
    let links = serde_json::to_string(&[link(1, ETH0), eth0_5]).unwrap();
    let links = Link::parse(links.as_bytes()).unwrap();
    let host = Host { links, ..Host::default() };
    let configured = ["uplink".to_owned()];
    let found = host.unguarded(|link| link.is_among(&configured));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].interface.as_str(), found[0].instead_of(&configured)),
        ("eth0", vec!["uplink"])
    );
}

#[test]
fn a_container_that_has_its_network_by_a_veth_is_judged_as_a_host() {
    let links = [LO, "eth0 ether veth - - up", "eth1 ether veth - - up"];
    assert_eq!(unguarded(&links, &["eth1"]), [(From::Network, "eth0".to_owned())]);
    assert_eq!(unguarded(&links, &["eth0"]), [(From::ThisHost, "eth1".to_owned())]);
    // With one of our addresses it is not only for containers.
    let found = host(&links, &["eth0"], &["eth1"]).unguarded(|link| link.ifname == "eth0");
    assert_eq!(found[0].from, From::Network);
}

#[test]
fn a_tunnel_cannot_be_guarded_and_is_a_problem_where_knocks_are_for_it() {
    let links =
        [LO, ETH0, "wg0 none wireguard - - up", "tun0 none tun - - up", "ppp0 ppp - - - up"];
    let found = unguarded(&links, &["eth0"]);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|(from, _)| *from == From::Tunnel), "{found:?}");
    let found = host(&links, &["eth0"], &["wg0"]).unguarded(|link| link.ifname == "eth0");
    assert_eq!((found[0].from, &*found[0].interface), (From::TunnelWithOurAddress, "wg0"));
    let findings = findings(&config(), &Ok(found));
    let states: Vec<_> = findings.iter().map(|one| one.state().name()).collect();
    assert_eq!(states, ["problem", "warning"]);
    let remedy = findings[1].remedy().unwrap();
    assert!(remedy.contains("iifname { \"ppp0\", \"tun0\" } udp dport 34020 drop"), "{remedy}");
}

#[test]
fn the_remedy_is_the_line_to_write() {
    let one = |name: &str| Unguarded::alone(From::Network, name, "ether");
    let findings = findings(&config(), &Ok(vec![one("eth1"), one("eth2")]));
    let remedy = findings[0].remedy().unwrap();
    assert!(
        remedy.contains("`interfaces = [\"eth0\", \"eth1\", \"eth2\"]` in /x/config.toml"),
        "{remedy}"
    );
    assert!(findings[0].detail().starts_with("eth1, eth2 are up but not guarded"), "{remedy}");
}

fn config() -> Config {
    config_for(&["eth0"])
}

fn config_for(interfaces: &[&str]) -> Config {
    let text =
        format!("addresses = [\"192.0.2.1\"]\nport = 34020\ngate.interfaces = {interfaces:?}\n");
    let source = ruroco_files::toml_file::Source::new("/x/config.toml", text);
    Config::check(source).or_problems().unwrap()
}
