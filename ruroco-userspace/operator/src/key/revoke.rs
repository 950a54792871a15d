//! `ruroco key revoke`: makes the host reject a key, in one command.

use std::{fs, io, io::Write};

use anyhow::{Context, bail};
use ruroco_messages::plain_error::plain;

use super::{
    Host, mentions,
    reload::{Outcome, daemons},
};

/// Revokes a key.
///
/// # Errors
/// If there is no such key, or a daemon still accepts it.
pub(super) fn run(host: &Host, key: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let config = host.config.path();
    let file = host.key_file(key)?;
    let rules = mentions::remove_rules(config, key)?;
    let commands = mentions::remove_from_commands(&host.commands, key)?;
    let changes: Vec<_> = rules.into_iter().chain(commands).collect();
    // First: without its rules, the key could do more than before if this were interrupted.
    match fs::remove_file(&file) {
        Ok(()) => writeln!(out, "deleted {}", file.display())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && changes.is_empty() => {
            return Err(host.unknown(key));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot delete {}", file.display()));
        }
    }
    for change in changes {
        change.write()?;
        writeln!(out, "removed {key} from {}", change.path().display())?;
    }
    let mut is_running = false;
    let mut failures = Vec::new();
    for daemon in daemons(&host.config) {
        match daemon.reload() {
            Ok(Outcome::Reloaded) => {
                is_running = true;
                writeln!(out, "reloaded {}", daemon.unit())?;
            }
            Ok(Outcome::NotRunning) => writeln!(out, "{} is not running", daemon.unit())?,
            Err(error) => {
                failures.push(format!("{}. Then run `{}`", plain(&error), daemon.remedy()))
            }
        }
    }
    match failures.as_slice() {
        [] if is_running => writeln!(
            out,
            "\n{key} is revoked: the host rejects its next knock. Commands that it has started go on."
        )?,
        [] => writeln!(out, "\n{key} is revoked. No daemon is running.")?,
        failures => bail!("{key} may still be accepted.\n{}", failures.join("\n")),
    }
    Ok(())
}
