//! What `ruroco doctor` finds of doors: ways past them, and what keeps a connection from its program.

use std::{net::TcpListener, path::Path, process::Stdio};

use ruroco_lab::{
    files::Options,
    lab::{Lab, require_tool},
    mount::Mount,
    network::SERVER,
};

use crate::{
    doctor::{Findings, doctor},
    doors::{LONG, PORT, options},
};

/// A host with a door and no program behind it.
fn host(fields: &str) -> Lab {
    Lab::running(&options(LONG, fields))
}

/// Runs a command line, as a remedy says it, on the host.
#[track_caller]
fn run(lab: &Lab, line: &str) {
    let mut command = lab.network.server.command();
    let output = command.args(["sh", "-c", line]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_program_has_to_listen_where_others_can_connect() {
    let lab = host("");
    let at = format!("tcp/{PORT}");
    let listen = |ip: &str| lab.network.server.enter(|| TcpListener::bind((ip, PORT)).unwrap());
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("door_listener", "warning", &["no program listens", &at, "ss -Hltnp"]);
    for local in ["127.0.0.1", "::1"] {
        let _program = listen(local);
        let findings = Findings::of(&mut doctor(&lab));
        findings.expect("door_listener", "warning", &["listens only on", local]);
    }
    for reachable in ["0.0.0.0", "::", &SERVER.v4.to_string()] {
        let _program = listen(reachable);
        let findings = Findings::of(&mut doctor(&lab));
        findings.expect("door_listener", "ok", &[&at, reachable]);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_that_is_not_guarded_leads_past_the_door() {
    let lab = Lab::running(&Options { interfaces: vec!["server0"], ..options(LONG, "") });
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("door_path", "warning", &["third1", "container", "without a knock"]);
    lab.network.server.ip("route add default via 198.51.100.2 dev third1\n");
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("door_path", "problem", &["third1", "everyone", "`interfaces ="]);
    let lab = host("");
    let findings = Findings::of(&mut doctor(&lab));
    assert!(
        findings.all.iter().all(|finding| finding["name"] != "door_path"),
        "{:#?}",
        findings.all
    );
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_firewall_that_drops_what_the_door_admits_is_a_warning() {
    require_tool("nft");
    let lab = host("");
    Findings::of(&mut doctor(&lab)).expect("door_firewall", "ok", &[]);
    run(
        &lab,
        "nft 'add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }'",
    );
    run(
        &lab,
        "nft add rule inet filter input ct state vmap { established : accept, invalid : drop }",
    );
    run(&lab, "nft add rule inet filter input iif lo accept");
    let remedy = format!("nft insert rule inet filter input tcp dport {PORT} accept");
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("door_firewall", "warning", &["chain input of table inet filter", &remedy]);
    run(&lab, &remedy);
    Findings::of(&mut doctor(&lab)).expect("door_firewall", "ok", &[]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_forwarded_port_needs_a_door_for_it() {
    require_tool("nft");
    let forward = format!(
        "nft 'add table ip nat; add chain ip nat prerouting {{ type nat hook prerouting priority -100; }}; \
         add rule ip nat prerouting tcp dport {PORT} dnat to 198.51.100.2:80'"
    );
    let lab = host("");
    run(&lab, &forward);
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("door_forwarded", "warning", &["`forwarded = true` in [doors.test]"]);
    let lab = host("forwarded = true");
    run(&lab, &forward);
    let findings = Findings::of(&mut doctor(&lab));
    let told = |name: &str| findings.all.iter().any(|finding| finding["name"] == name);
    assert!(!told("door_forwarded") && !told("door_listener"), "{:#?}", findings.all);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_port_of_a_door_that_the_kernel_may_give_away_is_a_warning() {
    let lab = host("");
    let told = || Findings::of(&mut doctor(&lab));
    assert!(told().all.iter().all(|finding| finding["name"] != "door_port"));
    lab.network.server.sysctl(&[("ipv4/ip_local_port_range", "2000 3000")]);
    let remedy = format!("sysctl -w net.ipv4.ip_local_reserved_ports={PORT}");
    told().expect("door_port", "warning", &[&format!("tcp/{PORT}"), &remedy]);
    run(&lab, &remedy);
    assert!(told().all.iter().all(|finding| finding["name"] != "door_port"));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_of_nftables_needs_nft() {
    for source in ["xdp", "udp"] {
        let lab = Lab::running(&Options { source, ..options(LONG, "backend = \"nftables\"") });
        Findings::of(&mut doctor(&lab)).expect("door_nft", "ok", &[]);
        let hidden = Mount::without(Path::new("/usr/sbin/nft"), &lab.files.path("hidden"));
        let findings = Findings::of(&mut doctor(&lab));
        let told = [&format!("test (tcp/{PORT})"), "apt install nftables"];
        findings.expect("door_nft", "problem", &told);
        drop(hidden);
    }
    let lab = host("");
    let findings = Findings::of(&mut doctor(&lab));
    assert!(
        findings.all.iter().all(|finding| finding["name"] != "door_nft"),
        "{:#?}",
        findings.all
    );
}
