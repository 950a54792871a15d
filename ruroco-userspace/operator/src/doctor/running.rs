//! What runs now: each part that a knock needs, and the units.

use std::{path::Path, process::Command};

use nix::unistd::Group;
use ruroco_config::{Config, Source};

use super::Finding;
use crate::health::Health;

/// The programs' units.
const UNITS: [&str; 3] = ["ruroco-gate", "ruroco-server", "ruroco-commander"];

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Health::examine(config).parts;
    // As sd_booted(3) does it.
    if Path::new("/run/systemd/system").is_dir() {
        findings.extend(UNITS.into_iter().map(unit));
        findings.extend(users_of_units(config));
    }
    findings
}

/// Whether the units are for the server's user.
fn users_of_units(config: &Config) -> Option<Finding> {
    let user = config.find_server_user().ok()?;
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

/// `server` is the user of the server's unit. `gate` is the list of groups of the gate's unit, on a host with
/// a gate: it may give its socket only to a group that it is in.
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
        format!(
            "the units do not match `server_user` = \"{user}\", so server and gate cannot connect"
        ),
        format!(
            "add these settings, each on a line of its own, with {}; then restart both units",
            drop_ins.join(", and with ")
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
            format!("run `systemctl start {name}`; the reason is in `journalctl -u {name}`"),
        ),
        (Some(state), _) => Finding::ok(NAME, format!("{name}: the unit is {state}")),
        (None, _) => Finding::unknown(NAME, format!("systemctl does not report {name}")),
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
            ("ruroco", Some("ruroco"), "User=other Group=daemons, and with", "source"),
            ("other", Some("ruroco"), "SupplementaryGroups=daemons;", "User="),
            ("ruroco", None, "User=other", "ruroco-gate"),
        ] {
            let finding = user_of_units("other", "daemons", server, gate).unwrap().to_string();
            assert!(finding.contains(told) && !finding.contains(not_told), "{finding}");
        }
    }
}
