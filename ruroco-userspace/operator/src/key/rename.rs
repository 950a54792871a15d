//! `ruroco key rename`: the same key under another name.

use std::io::Write;

use anyhow::{Context, bail};
use ruroco_commands::approved::Approved;
use ruroco_config::key_directory::Occasion;
use ruroco_files::durable;
use ruroco_messages::plain_error::plain;

use super::{
    Answer, Host, mentions,
    reload::{OnFailure, reload},
    tell,
};

/// Renames a key.
///
/// # Errors
/// What could not be done. It can be run again.
pub(super) fn run(host: &Host, key: &str, new: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let config = host.config.path();
    let (from, to) = (host.key_file(key)?, host.new_key_file(new)?);
    let rules = mentions::rename_rules(config, key, new)?;
    let commands = mentions::rename_in_commands(&host.commands, key, new)?;
    let changes: Vec<_> = rules.into_iter().chain(commands).collect();
    match (from.exists(), to.exists()) {
        (true, _) => {
            Approved::read(config, &host.commands, Occasion::Reload)
                .or_problems()
                .context("Nothing was changed, because there are mistakes in the files")?;
            let failed = || format!("cannot rename {} to {}", from.display(), to.display());
            durable::rename_new(&from, &to).with_context(failed)?;
            tell(out, format_args!("renamed {} to {}", from.display(), to.display()));
        }
        // This was interrupted before.
        (false, true) if !changes.is_empty() || host.gate_has(key) == Answer::Yes => {}
        (false, _) => return Err(host.unknown(key)),
    }
    let mut failures = Vec::new();
    for change in changes {
        let path = change.path().display();
        match change.write() {
            Ok(()) => tell(out, format_args!("renamed {key} to {new} in {path}")),
            Err(error) => failures.push(plain(&error)),
        }
    }
    if !failures.is_empty() {
        bail!(
            "{}\nThe daemons do not start with the old name there. When you have fixed this, run the same command again",
            failures.join("\n")
        );
    }
    reload(host, OnFailure::GoOn, out).context("The daemons still use the old name")?;
    Ok(())
}
