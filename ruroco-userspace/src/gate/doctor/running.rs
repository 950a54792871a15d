//! What runs now. Nothing has to.

use std::{io, path::Path, process::Command};

use nix::unistd::Group;

use super::Finding;
use crate::{
    config::{Config, Source},
    gate::status,
};

/// The programs' units.
const UNITS: [&str; 3] = ["ruroco-gate", "ruroco-server", "ruroco-commander"];

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.source == Source::Xdp {
        findings.extend(gate(config));
    }
    // As sd_booted(3) does it.
    if Path::new("/run/systemd/system").is_dir() {
        findings.extend(UNITS.into_iter().map(unit));
        findings.extend(users_of_units(config));
    }
    findings
}

fn gate(config: &Config) -> Vec<Finding> {
    const GATE: &str = "gate";
    const SERVER: &str = "server";
    let status = match status::ask(&config.socket_dir) {
        Ok(status) => status,
        Err(error) if is_away(&error) => {
            return vec![Finding::warning(
                GATE,
                "does not run; if it was stopped, the gate is open, if it crashed, closed",
                "start ruroco-gate",
            )];
        }
        Err(error) => return vec![Finding::unknown(GATE, format!("{error:#}"))],
    };
    let open = status.interfaces.iter().filter(|interface| !interface.attached);
    let open: Vec<String> = open
        .map(|one| format!("{}: {}", one.name, one.problem.as_deref().unwrap_or("not attached")))
        .collect();
    let gate = match open.is_empty() {
        true => Finding::ok(GATE, "runs and is closed"),
        false => Finding::problem(
            GATE,
            format!("runs, but is open on {}", open.join("; ")),
            "see what is said of the interface below, and the gate's log",
        ),
    };
    let server = match status.server_connected {
        true => Finding::ok(SERVER, "has the ring"),
        false => Finding::warning(
            SERVER,
            "no server has the ring: knocks wait in it until one comes, for 30 seconds at most",
            "start ruroco-server",
        ),
    };
    vec![gate, server]
}

/// Whether nobody listens at the status socket.
fn is_away(error: &anyhow::Error) -> bool {
    let kind = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
}

/// Whether the units are for the server's user.
fn users_of_units(config: &Config) -> Option<Finding> {
    let user = config.find_socket_user().ok()?;
    let group = Group::from_gid(user.gid).ok()??;
    let shown = |unit, property| {
        let asked = Command::new("systemctl")
            .args(["show", "--value", "--property", property, "--", unit])
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&asked.stdout).trim().to_owned())
    };
    // Without a user there is no such unit.
    let server = shown("ruroco-server.service", "User").filter(|user| !user.is_empty())?;
    let gate = match config.source {
        Source::Xdp => Some(shown("ruroco-gate.service", "SupplementaryGroups")?),
        Source::Udp => None,
    };
    user_of_units(&user.name, &group.name, &server, gate.as_deref())
}

/// `server` is the user of its unit, `gate` are the groups of its own, where there is to be a gate: it
/// may not give its socket to whom it likes, but to a group that it is in.
fn user_of_units(user: &str, group: &str, server: &str, gate: Option<&str>) -> Option<Finding> {
    const NAME: &str = "systemd";
    let mut drop_ins = Vec::new();
    if server != user {
        drop_ins.push(format!("systemctl edit ruroco-server: [Service] User={user} Group={group}"));
    }
    if gate.is_some_and(|groups| !groups.split_whitespace().any(|one| one == group)) {
        drop_ins.push(format!("systemctl edit ruroco-gate: [Service] SupplementaryGroups={group}"));
    }
    if drop_ins.is_empty() {
        return None;
    }
    Some(Finding::problem(
        NAME,
        format!("`socket_user` is {user}, and the units are for {server}: the two could not talk"),
        format!(
            "write, with a line for each setting, in {}; then restart them",
            drop_ins.join(", in ")
        ),
    ))
}

fn unit(name: &'static str) -> Finding {
    const NAME: &str = "systemd";
    let asked = Command::new("systemctl")
        .args(["show", "--property=LoadState,ActiveState", "--", &format!("{name}.service")])
        .output();
    let text = match asked {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return Finding::unknown(NAME, format!("systemctl: {error}")),
    };
    let value = |field: &str| text.lines().find_map(|line| line.strip_prefix(field));
    match (value("LoadState="), value("ActiveState=")) {
        (Some("loaded"), Some("active")) => Finding::ok(NAME, format!("{name} is active")),
        (Some("loaded"), Some(state)) => Finding::warning(
            NAME,
            format!("{name} is {state}"),
            format!("see: journalctl -u {name}; run: systemctl start {name}"),
        ),
        (Some(state), _) => Finding::ok(NAME, format!("{name}: the unit is {state}")),
        (None, _) => Finding::unknown(NAME, format!("systemctl does not tell of {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_for_another_user_than_the_configured_one_are_a_problem_with_the_drop_ins_to_write() {
        assert!(user_of_units("ruroco", "ruroco", "ruroco", Some("ruroco")).is_none());
        assert!(user_of_units("other", "daemons", "other", Some("ruroco daemons")).is_none());
        assert!(user_of_units("other", "daemons", "other", None).is_none());
        for (server, gate, told, not_told) in [
            ("ruroco", Some("ruroco"), "User=other Group=daemons, in", "source"),
            ("other", Some("ruroco"), "SupplementaryGroups=daemons;", "User="),
            ("ruroco", None, "User=other", "ruroco-gate"),
        ] {
            let finding = user_of_units("other", "daemons", server, gate).unwrap().to_string();
            assert!(finding.contains(told) && !finding.contains(not_told), "{finding}");
        }
    }
}
