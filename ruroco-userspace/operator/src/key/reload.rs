//! Makes the running daemons read their files again, after a key has changed.

use std::{path::Path, process::Command};

use anyhow::{Context, bail};
use ruroco_config::{Config, Source};

use crate::floors::reason;

/// How a daemon reads its keys again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Daemon {
    unit: &'static str,
    verb: &'static str,
}

/// The daemons that have keys, in the order in which they must learn of a new one: the gate passes packets of a key
/// as soon as it has the key, and the commander rejects orders of a key that it does not have.
pub(super) fn daemons(config: &Config) -> [Daemon; 2] {
    let commander = Daemon { unit: "ruroco-commander", verb: "reload" };
    match config.source {
        Source::Xdp => [commander, Daemon { unit: "ruroco-gate", verb: "reload" }],
        // systemd passes it the keys when it starts.
        Source::Udp => [commander, Daemon { unit: "ruroco-server", verb: "restart" }],
    }
}

/// What became of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has read its files again.
    Reloaded,
    /// It does not run, and will read its files when it starts.
    NotRunning,
}

impl Daemon {
    /// The name of its unit.
    pub(super) const fn unit(self) -> &'static str {
        self.unit
    }

    /// The command that reloads it.
    pub(super) fn remedy(self) -> String {
        format!("systemctl {} {}", self.verb, self.unit)
    }

    /// Has it read its files again, and waits until it has.
    ///
    /// # Errors
    /// If it rejects them, or systemd does not run here.
    pub(super) fn reload(self) -> anyhow::Result<Outcome> {
        let Self { unit, verb } = self;
        // sd_booted(3)
        if !Path::new("/run/systemd/system").is_dir() {
            bail!("systemd does not run here. Send SIGHUP to {unit}");
        }
        if !systemctl(&["is-active", "--quiet", unit])?.status.success() {
            return Ok(Outcome::NotRunning);
        }
        let done = systemctl(&[verb, unit])?;
        if !done.status.success() {
            let said = reason(&done.stderr);
            bail!("{unit} did not {verb}: {said}. See the log: journalctl --unit {unit}");
        }
        // A daemon that rejects what its unit did not find wrong says so in its status.
        let status = systemctl(&["show", "--property=StatusText", "--value", unit])?.stdout;
        let status = String::from_utf8_lossy(&status);
        match status.split_once("not reloaded: ") {
            Some((_, why)) => bail!("{unit} did not reload: {}", why.trim()),
            None => Ok(Outcome::Reloaded),
        }
    }
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<std::process::Output> {
    Command::new("systemctl").args(arguments).output().context("cannot start systemctl")
}
