//! Has the daemons that run read their files again, after a key has changed.

use std::{
    fmt::{self, Display},
    io::Write,
    path::Path,
    process::Command,
};

use anyhow::{Context, bail};
use ruroco_commands::approved::Approved;
use ruroco_config::{
    Config, Source,
    key_directory::{self, Occasion},
};
use ruroco_messages::plain_error::plain;

use super::{Host, tell};
use crate::floors::reason;

/// How a daemon gets the keys that exist now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Daemon {
    unit: &'static str,
    verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Reload,
    Restart,
    Stop,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// Leave the other daemons as they are.
    Stop,
    /// Reload them nevertheless.
    GoOn,
}

/// The daemons that have keys, in the order in which they must learn of a new one: the gate passes packets of a key
/// as soon as it has the key, and the commander rejects orders of a key that it does not have.
fn daemons(config: &Config) -> Vec<Daemon> {
    let commander = Daemon { unit: "ruroco-commander", verb: Verb::Reload };
    let gate = Daemon { unit: "ruroco-gate", verb: Verb::Reload };
    let verb = match (config.source, key_directory::owners(&config.keys_dir)) {
        (Source::Xdp, _) => return vec![commander, gate],
        // Without a key the server does not start.
        (Source::Udp, Ok(keys)) if keys.is_empty() => Verb::Stop,
        // systemd passes it the keys when it starts.
        (Source::Udp, _) => Verb::Restart,
    };
    let mut daemons = vec![commander, Daemon { unit: "ruroco-server", verb }];
    // For doors, and without an XDP program.
    daemons.extend(config.has_gate().then_some(gate));
    daemons
}

/// Has all daemons that run read their files again, one after the other; whether one of them runs.
///
/// # Errors
/// If a daemon rejects its files, or systemd does not run here. The message says what to run.
pub(super) fn reload(
    host: &Host,
    on_failure: OnFailure,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let mut daemons = &daemons(&host.config)[..];
    // sd_booted(3)
    if !Path::new("/run/systemd/system").is_dir() {
        let names: Vec<_> = daemons.iter().map(|daemon| daemon.unit).collect();
        bail!("systemd does not run here. Send SIGHUP to {}", names.join(", then to "));
    }
    let mut failures = Vec::new();
    let mut is_running = false;
    while let [daemon, rest @ ..] = daemons {
        match daemon.reload(host) {
            Ok(true) => {
                is_running = true;
                tell(out, format_args!("{} {}", daemon.verb.done(), daemon.unit));
            }
            Ok(false) => tell(out, format_args!("{} is not running", daemon.unit)),
            Err(error) => {
                let left = if on_failure == OnFailure::Stop { daemons } else { &[*daemon] };
                let left: Vec<_> = left.iter().map(ToString::to_string).collect();
                let (why, then) = (plain(&error), left.join(" && "));
                failures.push(format!("{why}. When you have fixed this, run `{then}`"));
                if on_failure == OnFailure::Stop {
                    break;
                }
            }
        }
        daemons = rest;
    }
    match failures.as_slice() {
        [] => Ok(is_running),
        failures => bail!("{}", failures.join("\n")),
    }
}

impl Daemon {
    /// Whether it runs, and then has read its files again.
    fn reload(self, host: &Host) -> anyhow::Result<bool> {
        let unit = self.unit;
        let state = systemctl(&["is-active", unit])?.stdout;
        match String::from_utf8_lossy(&state).trim() {
            "active" | "reloading" | "refreshing" => {}
            "inactive" | "failed" | "unknown" => return Ok(false),
            other => bail!("cannot tell whether {unit} runs: systemctl reports {other:?}"),
        }
        let check =
            || Approved::read(host.config.path(), &host.commands, Occasion::Reload).or_problems();
        if self.verb == Verb::Restart {
            // Unlike a reload, a restart with a mistake in a file would end the server for all keys.
            check().with_context(|| format!("{unit} was not restarted"))?;
        }
        let verb = self.verb.to_string();
        let done = systemctl(&[&verb, unit])?;
        if !done.status.success() {
            let said = match check() {
                Err(problems) => problems.to_string(),
                Ok(_) => format!("{}. See the log: journalctl --unit {unit}", reason(&done.stderr)),
            };
            bail!("{unit} did not {verb}: {said}");
        }
        // A daemon that rejects what its unit did not find wrong reports it in its status.
        let status = systemctl(&["show", "--property=StatusText", "--value", unit])?.stdout;
        let status = String::from_utf8_lossy(&status);
        match status.split_once("not reloaded: ") {
            Some((_, why)) => bail!("{unit} did not reload: {}", why.trim()),
            None => Ok(true),
        }
    }
}

impl Display for Daemon {
    /// The command that has it read its files again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "systemctl {} {}", self.verb, self.unit)
    }
}

impl Verb {
    const fn done(self) -> &'static str {
        match self {
            Self::Reload => "reloaded",
            Self::Restart => "restarted",
            Self::Stop => "no key is left: stopped",
        }
    }
}

impl Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Stop => "stop",
        })
    }
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<std::process::Output> {
    Command::new("systemctl").args(arguments).output().context("cannot start systemctl")
}
