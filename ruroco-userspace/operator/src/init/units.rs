//! The units of the package, which systemd is to start now and at each boot.

use std::{io::Write, path::Path, process::Command};

use anyhow::{Context, bail};

use super::steps::write_new;
use crate::floors;

/// The daemons.
const GATE: &str = "ruroco-gate.service";
const COMMANDER: &str = "ruroco-commander.service";
const SERVER: &str = "ruroco-server.service";

/// Opens the port of a server without XDP.
const SOCKET: &str = "ruroco-udp.socket";

/// The port that the package's socket has.
const PACKAGED_PORT: u16 = 80;

/// Where the administrator's units and drop-ins are.
const DIRECTORY: &str = "/etc/systemd/system";

/// What the server's unit needs without a gate.
const WITHOUT_GATE: &str = include_str!("../../../../packaging/examples/udp.conf");

/// Starts all daemons.
///
/// # Errors
/// If systemd does not do it.
pub(super) fn start(out: &mut impl Write) -> anyhow::Result<()> {
    if !is_booted() {
        return Ok(writeln!(
            out,
            "systemd does not run here: start gate, commander and server yourself"
        )?);
    }
    enable(&[GATE, COMMANDER, SERVER], out)
}

/// The same without XDP: systemd opens the port and passes it to the server, with the keys. The gate runs only for doors.
///
/// # Errors
/// If a drop-in cannot be written, or systemd does not do it.
pub(super) fn start_without_xdp(
    port: u16,
    has_doors: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if !is_booted() {
        return Ok(writeln!(
            out,
            "systemd does not run here: start commander and server yourself"
        )?);
    }
    let drop_in =
        |unit: &str, name: &str| Path::new(DIRECTORY).join(format!("{unit}.d")).join(name);
    write_new(&drop_in(SERVER, "udp.conf"), WITHOUT_GATE, 0o644, out)?;
    if port != PACKAGED_PORT {
        let text = format!("[Socket]\nListenDatagram=\nListenDatagram=[::]:{port}\n");
        write_new(&drop_in(SOCKET, "port.conf"), &text, 0o644, out)?;
    }
    systemctl(&["daemon-reload"])?;
    match has_doors {
        true => enable(&[SOCKET, GATE, COMMANDER, SERVER], out),
        false => enable(&[SOCKET, COMMANDER, SERVER], out),
    }
}

/// sd_booted(3)
fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn enable(units: &[&str], out: &mut impl Write) -> anyhow::Result<()> {
    systemctl(&[&["enable", "--now"], units].concat())?;
    Ok(writeln!(out, "started {}", units.join(", "))?)
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    let said = Command::new("systemctl").args(arguments).output();
    let said = said.context("could not start systemctl")?;
    if !said.status.success() {
        bail!(
            "could not start the units: {}\nSee the log: journalctl --unit 'ruroco-*'",
            floors::reason(&said.stderr)
        );
    }
    Ok(())
}
