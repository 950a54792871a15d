//! What runs now. Nothing has to.

use std::{io, path::Path, process::Command};

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
