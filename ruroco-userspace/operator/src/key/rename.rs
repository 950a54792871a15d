//! `ruroco key rename`: the same key under another name.

use std::{fs, io::Write};

use anyhow::{Context, bail};

use super::{
    Host, mentions,
    reload::{Outcome, daemons},
};

/// Renames a key.
///
/// # Errors
/// What could not be done. It can be run again.
pub(super) fn run(host: &Host, key: &str, new: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let config = host.config.path();
    let (from, to) = (host.key_file(key)?, host.key_file(new)?);
    let rules = mentions::rename_rules(config, key, new)?;
    let commands = mentions::rename_in_commands(&host.commands, key, new)?;
    let changes: Vec<_> = rules.into_iter().chain(commands).collect();
    match (from.exists(), to.exists()) {
        (true, true) => bail!("{} exists already. Choose another name", to.display()),
        (true, false) => {
            let failed = || format!("cannot rename {} to {}", from.display(), to.display());
            fs::rename(&from, &to).with_context(failed)?;
            writeln!(out, "renamed {} to {}", from.display(), to.display())?;
        }
        // This was interrupted before.
        (false, true) if !changes.is_empty() => {}
        (false, _) => return Err(host.unknown(key)),
    }
    for change in changes {
        change.write()?;
        writeln!(out, "renamed {key} to {new} in {}", change.path().display())?;
    }
    for daemon in daemons(&host.config) {
        let outcome = daemon.reload().with_context(|| {
            format!(
                "The daemons still use the old name. When you have fixed this, run `{}`",
                daemon.remedy()
            )
        })?;
        if outcome == Outcome::Reloaded {
            writeln!(out, "reloaded {}", daemon.unit())?;
        }
    }
    Ok(())
}
