//! Networks that are put together under a running gate: it must not be in the way, and must be closed
//! as soon as packets arrive.
//!
//! In each of them the gate starts first. Then the rest of the network is made, all of which has to
//! succeed; knocks run; and a forged one has no answer. Some kinds of devices are not in every kernel:
//! without one, its test passes and reports that it has tested nothing.

use aya::programs::XdpMode;
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    knock::forge,
    lab::Lab,
    namespace::Namespace,
    network::{CLIENT_INTERFACE, Family, SERVER_INTERFACE},
    wait,
};

use crate::{doctor::attach_others, recovery::under_fire};

/// How the server is connected to the client.
struct Arrangement {
    /// `interfaces` of the gate.
    guarded: &'static [&'static str],
    /// `mode` of the gate, and the one that it has on each of them.
    mode: (&'static str, &'static str),
    /// What `ip` does on the server before the gate starts. There is no link to the client then.
    before: &'static str,
    /// What it does under the gate, when both ends of the link exist and are down.
    after: &'static str,
    /// The interface with the server's addresses.
    server: &'static str,
    /// What `ip` does on the client.
    on_client: &'static str,
    /// The interface with the client's addresses.
    client: &'static str,
}

const DIRECT: Arrangement = Arrangement {
    guarded: &[SERVER_INTERFACE],
    mode: ("auto", "generic"),
    before: "",
    after: "",
    server: SERVER_INTERFACE,
    on_client: "",
    client: CLIENT_INTERFACE,
};

const BRIDGE: Arrangement = Arrangement {
    guarded: &["br0"],
    before: "link add br0 address 02:00:00:00:01:01 type bridge\n",
    after: "link set server0 master br0\nlink set server0 up\n",
    server: "br0",
    ..DIRECT
};

const MACVLAN: Arrangement = Arrangement {
    after: "link set server0 address 02:00:00:00:01:10\n\
            link set server0 up\n\
            link add link server0 name above0 address 02:00:00:00:01:01 type macvlan mode bridge\n",
    server: "above0",
    ..DIRECT
};

/// Whether this kernel has these kinds of devices.
pub(crate) fn kernel_has(kinds: &[&str]) -> bool {
    let place = Namespace::new();
    place.ip("link add below0 type veth\n");
    let has = |kind: &str| {
        let options: &[&str] = match kind {
            "vlan" => &["id", "5"],
            "vrf" => &["table", "5"],
            _ => &[],
        };
        let mut ip = place.command();
        ip.args(["ip", "link", "add", "link", "below0", "name", "above0", "type", kind]);
        let added = ip.args(options).output().expect("run ip").status.success();
        if added {
            place.ip("link delete above0\n");
        } else {
            eprintln!("nothing was tested: this kernel has no {kind} devices");
        }
        added
    };
    kinds.iter().all(|kind| has(kind))
}

/// Starts the gate, makes the network, and makes sure that it works and is guarded.
fn build(arrangement: &Arrangement) -> Lab {
    let (mode, attached) = arrangement.mode;
    let interfaces = arrangement.guarded.to_vec();
    let mut lab = Lab::new(&Options { mode, interfaces, ..Options::default() });
    lab.network.disconnect_client();
    lab.network.server.ip(arrangement.before);
    lab.start_commander();
    // It is on its interfaces, or waits for them.
    lab.start_gate_until(&["interface="]);
    lab.start_server();

    lab.network.add_client_link();
    lab.network.server.ip(arrangement.after);
    lab.network.client.ip(arrangement.on_client);
    lab.network.bring_link_up(arrangement.server, arrangement.client);
    let status = wait::until("the gate to be closed", || {
        Some(lab.status()).filter(|status| status["attached"] == true)
    });
    for interface in status["interfaces"].as_array().unwrap() {
        assert_eq!(interface["mode"], attached, "{status:#}");
        assert!(interface["problem"].is_null(), "{status:#}");
    }
    expect_to_be_guarded(&mut lab);
    lab
}

fn expect_to_be_guarded(lab: &mut Lab) {
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
        let forged = forge(lab.seal(&lab.good_knock(family)));
        lab.expect_verdict(Verdict::Forged, 1, |lab| lab.send(family, &forged));
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_bond_gets_its_ports_under_the_gate_whether_or_not_they_have_native_xdp() {
    if !kernel_has(&["bond"]) {
        return;
    }
    for before in [
        "link add bond0 type bond mode active-backup miimon 100\n",
        "link add bond0 type bond mode balance-rr miimon 100\n",
        "link add bond0 type bond mode 802.3ad miimon 100\n",
    ] {
        let mut lab = build(&Arrangement {
            guarded: &["bond0"],
            before,
            after: "link set server0 master bond0\n\
                    link set server0 up\n\
                    link set bond0 up\n",
            server: "bond0",
            ..DIRECT
        });
        // A driver without native XDP, another one with it, and a port that goes.
        lab.network.server.ip("link add port1 type veth peer name far1\n\
             link add link far1 name port2 type macvlan\n\
             link set port2 master bond0\n\
             link set port1 master bond0\n\
             link set port1 nomaster\n\
             link set bond0 mtu 1400\n");
        expect_to_be_guarded(&mut lab);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_bond_is_guarded_at_its_ports_too() {
    if !kernel_has(&["bond"]) {
        return;
    }
    for mode in [("native", "native"), ("generic", "generic")] {
        build(&Arrangement {
            guarded: &[SERVER_INTERFACE],
            mode,
            before: "link add bond0 type bond mode active-backup miimon 100\n",
            after: "link set server0 master bond0\n\
                    link set server0 up\n\
                    link set bond0 up\n",
            server: "bond0",
            ..DIRECT
        });
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_is_to_be_native_on_a_bond_warns_that_ports_will_be_rejected() {
    if !kernel_has(&["bond"]) {
        return;
    }
    let options = Options { mode: "native", interfaces: vec!["bond0"], ..Options::default() };
    let mut lab = Lab::new(&options);
    lab.network.server.ip("link add bond0 type bond mode active-backup\n");
    lab.start_gate();
    lab.gate().wait_for(&["WARN", "bond0", "native mode on a bond device", "rejects each port"]);
    // And so it is.
    lab.network.server.ip("link add port1 type veth peer name far1\n\
         link add link far1 name port2 type macvlan\n");
    let mut ip = lab.network.server.command();
    let rejected = ip.args(["ip", "link", "set", "port2", "master", "bond0"]).output().unwrap();
    let said = String::from_utf8_lossy(&rejected.stderr);
    assert!(!rejected.status.success() && said.contains("XDP"), "{said}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_team_gets_its_ports_under_the_gate() {
    if !kernel_has(&["team"]) {
        return;
    }
    let mut lab =
        Lab::new(&Options { mode: "auto", interfaces: vec!["team0"], ..Options::default() });
    lab.network.disconnect_client();
    lab.network.server.ip("link add team0 type team\n");
    lab.start_gate();
    lab.network.add_client_link();
    // What a port is for is teamd's to say, which the lab does not have.
    lab.network.server.ip("link set server0 master team0\nlink set team0 up\n");
    let status = lab.status();
    assert_eq!(status["interfaces"][0]["mode"], "generic", "{status:#}");
    assert_eq!(status["attached"], true, "{status:#}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_bridge_is_guarded_itself_or_at_its_ports() {
    let mut lab = build(&BRIDGE);
    lab.network.server.ip("tuntap add mode tap name tap0\n\
         link set tap0 master br0\n\
         link set br0 mtu 1400\n\
         link set tap0 nomaster\n");
    expect_to_be_guarded(&mut lab);
    for mode in [("native", "native"), ("auto", "generic")] {
        let guarded = &[SERVER_INTERFACE];
        let mut lab = build(&Arrangement { guarded, mode, ..BRIDGE });
        // A port that leaves the bridge, and comes back.
        lab.network.server.ip(&format!("link set server0 nomaster\n{}", BRIDGE.after));
        expect_to_be_guarded(&mut lab);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_vlan_is_guarded_itself_or_at_the_interface_below() {
    if !kernel_has(&["vlan"]) {
        return;
    }
    const VLAN: Arrangement = Arrangement {
        after: "link set server0 up\n\
                link add link server0 name server0.5 type vlan id 5\n",
        server: "server0.5",
        on_client: "link set client0 up\n\
                    link add link client0 name client0.5 type vlan id 5\n",
        client: "client0.5",
        ..DIRECT
    };
    for mode in [("native", "native"), ("generic", "generic")] {
        build(&Arrangement { mode, ..VLAN });
    }
    build(&Arrangement { guarded: &["server0.5"], ..VLAN });
    // Both, in the order in which the kernel would reject the one below.
    build(&Arrangement { guarded: &["server0.5", SERVER_INTERFACE], ..VLAN });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_macvlan_is_guarded_itself_or_at_the_interface_below() {
    build(&Arrangement { guarded: &["above0"], ..MACVLAN });
    for mode in [("native", "native"), ("auto", "generic")] {
        build(&Arrangement { mode, ..MACVLAN });
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_device_and_the_one_below_it_may_both_be_guarded_in_any_order() {
    for guarded in [&["above0", SERVER_INTERFACE], &[SERVER_INTERFACE, "above0"]] {
        let mode = "auto";
        let options = Options { mode, interfaces: guarded.to_vec(), ..Options::default() };
        let mut lab = Lab::new(&options);
        lab.network.server.ip("link add link server0 name above0 type macvlan\n");
        lab.start_commander();
        lab.start_gate();
        lab.start_server();
        expect_to_be_guarded(&mut lab);
    }
}

/// How a gate comes to know another configuration.
#[derive(Clone, Copy, Debug)]
enum Change {
    Reload,
    /// Nothing can be tidied up: the program stays where it was.
    CrashAndStart,
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_interface_below_can_be_guarded_instead_by_a_reload_and_by_a_start_after_a_crash() {
    let macvlan = Arrangement { guarded: &["above0"], ..MACVLAN };
    for (arrangement, above) in [(&BRIDGE, "br0"), (&macvlan, "above0")] {
        for change in [Change::Reload, Change::CrashAndStart] {
            for interfaces in [&[SERVER_INTERFACE][..], &[above, SERVER_INTERFACE]] {
                eprintln!("{above} -> {interfaces:?}: {change:?}");
                let mut lab = build(arrangement);
                let before = format!("interfaces = {:?}", [above]);
                let after = format!("interfaces = {interfaces:?}");
                lab.files.change_config(|text| text.replace(&before, &after));
                match change {
                    Change::Reload => lab.reload_gate(),
                    Change::CrashAndStart => {
                        lab.gate().crash();
                        lab.start_gate();
                    }
                }
                lab.gate().wait_for(&["WARN", above, "detached", "server0, which lies below"]);
                let status = lab.status();
                assert_eq!(status["attached"], true, "{status:#}");
                assert_eq!(lab.files.pinned().len(), interfaces.len(), "{status:#}");
                expect_to_be_guarded(&mut lab);
            }
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_interface_above_can_be_guarded_instead_without_a_gap() {
    let guarded = &[SERVER_INTERFACE];
    let mut lab = build(&Arrangement { guarded, ..BRIDGE });
    under_fire(&mut lab, |lab| {
        lab.files.change_config(|text| text.replace("[\"server0\"]", "[\"br0\"]"));
        lab.reload_gate();
    });
    assert_eq!(lab.files.pinned().len(), 1);
    expect_to_be_guarded(&mut lab);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn where_a_program_of_others_is_above_ours_does_not_give_way() {
    let mut lab = build(&Arrangement { guarded: &["above0"], ..MACVLAN });
    lab.network.server.ip("link add link server0 name other0 type macvlan mode bridge\n");
    let _others = attach_others(&lab, "other0", XdpMode::Skb);
    lab.files.change_config(|text| text.replace("[\"above0\"]", "[\"server0\"]"));
    lab.expect_no_reload_of_gate(&["server0", "attached to other0, which lies above it"]);
    assert_eq!(lab.gate().lines_with(&["detached"]), [""; 0]);
    expect_to_be_guarded(&mut lab);
    lab.gate().crash();
    let output = lab.gate_command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("bpftool link list"), "{said}");
    assert_eq!(lab.files.pinned().len(), 1, "the program that the gate has left stays");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_vrf_is_guarded_at_the_interfaces_that_belong_to_it() {
    if !kernel_has(&["vrf"]) {
        return;
    }
    const VRF: Arrangement = Arrangement {
        before: "link add vrf0 type vrf table 5\nlink set vrf0 up\n",
        after: "link set server0 master vrf0\n",
        ..DIRECT
    };
    for mode in [("native", "native"), ("auto", "generic")] {
        build(&Arrangement { mode, ..VRF });
    }
    // The VRF itself sees nothing of what arrives.
    for mode in ["generic", "auto", "native"] {
        let lab = Lab::new(&Options { mode, interfaces: vec!["vrf0"], ..Options::default() });
        lab.network.server.ip(VRF.before);
        let output = lab.gate_command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("ip link show master vrf0"), "{said}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_mtu_changes_under_the_gate_at_both_ends() {
    let mut lab = build(&DIRECT);
    for mtu in [9000, 1280, 1500] {
        let set = |interface: &str| format!("link set {interface} mtu {mtu}\n");
        lab.network.client.ip(&set(CLIENT_INTERFACE));
        lab.network.server.ip(&set(SERVER_INTERFACE));
        expect_to_be_guarded(&mut lab);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_is_to_be_native_on_a_veth_warns_that_the_peers_mtu_is_limited() {
    const WARNING: &str = "native mode on a veth device: the kernel limits the MTU of its peer";
    let mut lab = Lab::running(&Options { mode: "native", ..Options::default() });
    lab.gate().wait_for(&["WARN", SERVER_INTERFACE, WARNING]);
    let checked = checked(&lab);
    assert!(checked.contains(WARNING) && checked.contains("mode = \"auto\""), "{checked}");
    // And so it is.
    let mut ip = lab.network.client.command();
    let rejected =
        ip.args(["ip", "link", "set", CLIENT_INTERFACE, "mtu", "9000"]).output().unwrap();
    assert!(!rejected.status.success(), "{rejected:?}");
    expect_to_be_guarded(&mut lab);
}

/// What `ruroco check` shows.
pub(crate) fn checked(lab: &Lab) -> String {
    let commands = lab.files.commands();
    let arguments = ["check", "--commands", commands.to_str().unwrap()];
    let output = lab.tool_command(&arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn queues_and_offloads_change_under_the_gate() {
    let mut lab = build(&DIRECT);
    for change in [
        &["-L", SERVER_INTERFACE, "rx", "1", "tx", "1"][..],
        &["-K", SERVER_INTERFACE, "gro", "on"],
        &["-K", SERVER_INTERFACE, "gro", "off"],
    ] {
        let output = lab.network.server.command().arg("ethtool").args(change).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // 80: what is asked for is so already.
        assert!(
            output.status.success() || said.contains("no channel parameters changed"),
            "{said}"
        );
        expect_to_be_guarded(&mut lab);
    }
    lab.network.server.ip("link set server0 down\nlink set server0 up\n");
    assert_eq!(lab.status()["attached"], true);
}
