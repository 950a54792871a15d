//! Doors: whether they close what they should, and whether what they admit arrives.
//!
//! - the ways past the program, on interfaces that are not guarded;
//! - `listeners`: whether a program listens behind each door, or a container does;
//! - `firewall`: whether the firewall drops what a door admits.

mod firewall;
mod listeners;

use std::{collections::BTreeSet, fmt, fs, process::Command};

use ruroco_config::{
    Config,
    door::{Door, DoorPort, Transport},
};
use ruroco_gate::{nft, status};
use ruroco_messages::plain_error::plain;

use super::{Finding, port};
use crate::{
    health::{Unguarded, look_for_unguarded, paths::From},
    sshd,
};

/// The checks.
const PATH: &str = "door_path";
const EPHEMERAL: &str = "door_port";
const SSH: &str = "door_ssh";
const NFT: &str = "door_nft";

/// What was found, if the host has doors.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    if config.doors.is_empty() {
        return Vec::new();
    }
    let mut findings = paths(config);
    findings.extend(nft(config));
    let forwards = listeners::Forwards::look();
    for door in config.doors.values() {
        findings.extend(listeners::findings(config, door, &forwards));
        findings.extend(ephemeral(door));
    }
    findings.extend(ssh(config, &sshd::ports()));
    findings.extend(firewall::findings(config));
    findings
}

/// Such as `ssh (tcp/22)`.
struct Named<'a>(&'a Door);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.0.ports.iter().map(ToString::to_string).collect();
        write!(f, "{} ({})", self.0.name, ports.join(" "))
    }
}

/// Whether the gate can run `nft`, if a door needs it.
fn nft(config: &Config) -> Option<Finding> {
    let doors = config.doors.values().filter(|door| door.backend.has_nftables());
    let named: Vec<String> = doors.map(|door| Named(door).to_string()).collect();
    if named.is_empty() {
        return None;
    }
    Some(match nft::check_installed() {
        Ok(()) => Finding::ok(NFT, "nft is installed"),
        Err(_) => Finding::problem(
            NFT,
            format!("nft is not installed, so the gate cannot close {}", named.join(", ")),
            "run `apt install nftables && systemctl restart ruroco-gate`",
        ),
    })
}

/// Whether a door can be passed by an interface that is not guarded.
fn paths(config: &Config) -> Vec<Finding> {
    // nftables closes doors on all interfaces.
    let doors = config.doors.values().filter(|door| !door.backend.has_nftables());
    let doors: Vec<&Door> = doors.collect();
    if doors.is_empty() {
        return Vec::new();
    }
    let status = status::ask(&config.socket_dir).ok();
    match look_for_unguarded(config, status.as_ref()) {
        Ok(unguarded) => unguarded.iter().map(|one| path(config, &doors, one)).collect(),
        Err(error) => vec![Finding::unknown(PATH, plain(&error))],
    }
}

fn path(config: &Config, doors: &[&Door], unguarded: &Unguarded) -> Finding {
    let name = &unguarded.interface;
    let named: Vec<String> = doors.iter().map(|door| Named(door).to_string()).collect();
    let named = named.join(", ");
    let what = |from| {
        format!("{name} is not guarded: {from} can connect through it without a knock, to {named}")
    };
    let interfaces = || {
        let superfluous = unguarded.instead_of(&config.gate.interfaces);
        let stay = config.gate.interfaces.iter().map(String::as_str);
        let all = stay.filter(|one| !superfluous.contains(one)).chain([name.as_str()]);
        let quoted: Vec<String> = all.map(|name| format!("\"{name}\"")).collect();
        format!(
            "set `interfaces = [{}]` in {}, then run `systemctl reload ruroco-gate`",
            quoted.join(", "),
            config.path().display()
        )
    };
    match unguarded.from {
        From::Network => Finding::problem(PATH, what("everyone"), interfaces()),
        From::ThisHost => Finding::warning(
            PATH,
            what("a container or virtual machine of this host"),
            format!("if you do not trust them, {}", interfaces()),
        ),
        From::TunnelWithOurAddress => Finding::problem(
            PATH,
            format!("{}; it cannot be guarded (no Ethernet headers)", what("everyone")),
            close_there(config, doors),
        ),
        From::Tunnel => Finding::warning(
            PATH,
            format!(
                "{}; it cannot be guarded (no Ethernet headers)",
                what("the other end of the tunnel")
            ),
            format!("if you do not trust it, {}", close_there(config, doors)),
        ),
    }
}

fn close_there(config: &Config, doors: &[&Door]) -> String {
    let tables: Vec<String> = doors.iter().map(|door| format!("[doors.{}]", door.name)).collect();
    format!(
        "set `backend = [\"xdp\", \"nftables\"]` below {} in {}, then run `systemctl reload ruroco-gate`",
        tables.join(" and "),
        config.path().display()
    )
}

/// Whether the kernel may take a port of the door for a packet from this host.
fn ephemeral(door: &Door) -> Option<Finding> {
    let range = match port::Ephemeral::look() {
        Ok(range) => range,
        Err(error) => return Some(Finding::unknown(EPHEMERAL, error)),
    };
    let taken: Vec<DoorPort> =
        door.ports.iter().filter(|port| range.takes(port.first, port.last)).copied().collect();
    if taken.is_empty() {
        return None;
    }
    let shown: Vec<String> = taken.iter().map(ToString::to_string).collect();
    let why = match taken.iter().any(|port| port.transport == Transport::Udp) || door.is_forwarded {
        true => "and the door would drop the replies to them",
        false => "and the program behind the door could not use the port meanwhile",
    };
    Some(Finding::warning(
        EPHEMERAL,
        format!(
            "{}: the kernel may use {} for outgoing packets ({range}), {why}",
            door.name,
            shown.join(" ")
        ),
        range.remedy(taken.iter().map(|port| (port.first, port.last))),
    ))
}

/// Whether the door named `ssh` is the door of sshd.
fn ssh(config: &Config, sshd: &BTreeSet<u16>) -> Option<Finding> {
    let door = config.doors.values().find(|door| door.name.to_string() == "ssh")?;
    let has = |door: &Door, port: u16| {
        door.ports.iter().any(|ports| ports.contains(Transport::Tcp, port))
    };
    let without: Vec<String> = sshd
        .iter()
        .filter(|port| !config.doors.values().any(|door| has(door, **port)))
        .map(|port| format!("tcp/{port}"))
        .collect();
    if without.is_empty() {
        return sshd
            .iter()
            .any(|port| has(door, *port))
            .then(|| Finding::ok(SSH, format!("sshd is behind the door {}", Named(door))));
    }
    let ports = sshd.iter().map(|port| format!("\"tcp/{port}\"")).collect::<Vec<_>>();
    Some(Finding::warning(
        SSH,
        format!(
            "sshd uses {}, which no door closes; the door named ssh is {}",
            without.join(" "),
            Named(door)
        ),
        format!(
            "set `port = [{}]` in [doors.ssh] in {}, then run `systemctl reload ruroco-gate`. Keep a session open",
            ports.join(", "),
            config.path().display()
        ),
    ))
}

/// What a program prints, if it is installed and succeeds.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The text of a file in the network namespace of this thread; empty if the kernel has no such file.
fn proc_net(name: &str) -> String {
    fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::doctor::State;
    use ruroco_files::toml_file::Source;

    /// A configuration with these doors.
    pub(crate) fn config(doors: &str) -> Config {
        let text = format!(
            "addresses = [\"192.0.2.1\"]\nport = 34020\n[gate]\ninterfaces = [\"eth0\"]\n{doors}"
        );
        Config::check(Source::new("/config.toml", text)).or_problems().unwrap()
    }

    #[test]
    fn an_interface_that_is_not_guarded_leads_past_every_door() {
        let config = config("[doors.ssh]\nport = \"tcp/22\"\n[doors.wg]\nport = \"udp/51820\"\n");
        let unguarded = |from| Unguarded {
            from,
            interface: "eth1".to_owned(),
            kind: "ether".to_owned(),
            above: BTreeSet::new(),
        };
        let doors: Vec<&Door> = config.doors.values().collect();
        let open = path(&config, &doors, &unguarded(From::Network));
        assert_eq!(open.state(), State::Problem);
        assert!(open.detail().contains("to ssh (tcp/22), wg (udp/51820)"), "{open}");
        assert!(open.remedy().unwrap().contains("interfaces = [\"eth0\", \"eth1\"]"), "{open}");
        let tunnel = path(&config, &doors, &unguarded(From::Tunnel));
        assert_eq!(tunnel.state(), State::Warning);
        assert!(tunnel.remedy().unwrap().contains("below [doors.ssh] and [doors.wg]"), "{tunnel}");
    }

    #[test]
    fn sshd_on_a_port_without_a_door_is_a_warning() {
        let config = config("[doors.ssh]\nport = \"tcp/22\"\n[doors.web]\nport = \"tcp/443\"\n");
        let state = |ports: &[u16]| {
            let found = ssh(&config, &ports.iter().copied().collect());
            found.map(|found| found.state())
        };
        assert_eq!(state(&[]), None, "no sshd");
        assert_eq!(state(&[22]), Some(State::Ok));
        assert_eq!(state(&[2200]), Some(State::Warning));
        assert_eq!(state(&[22, 2200]), Some(State::Warning));
        let other = ssh(&config, &[22, 2200].into()).unwrap();
        assert!(other.detail().contains("sshd uses tcp/2200,"), "{other}");
        assert!(other.remedy().unwrap().contains("[\"tcp/22\", \"tcp/2200\"]"), "{other}");
    }
}
