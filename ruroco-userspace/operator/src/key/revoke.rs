//! `ruroco key revoke`: makes the host reject a key, in one command.

use std::io::{self, Write};

use anyhow::{Context, bail};
use ruroco_files::durable;
use ruroco_messages::plain_error::plain;

use super::{
    Answer, Host, mentions,
    reload::{OnFailure, reload},
    tell,
};
use crate::doors;

/// Revokes a key. If an earlier attempt was interrupted before the daemons had read their files again, they do so
/// now, although there is no key file any more. With `cut`, TCP sessions end that it may have opened.
///
/// # Errors
/// If there is no such key, a daemon may still accept it, or sessions could not be ended.
pub(super) fn run(host: &Host, key: &str, cut: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let Removed { was_there, mut failures } = remove_from_files(host, key, out)?;
    let was_known = if was_there { Answer::Yes } else { host.gate_has(key) };
    match (was_there, was_known) {
        (false, Answer::No) => return Err(host.unknown(key)),
        (false, Answer::Yes) => {
            tell(out, format_args!("{key} was deleted before, but ruroco-gate still has it"));
        }
        _ => {}
    }
    let is_running = match reload(host, OnFailure::GoOn, out) {
        Ok(is_running) => is_running,
        Err(error) => {
            failures.push(plain(&error));
            true
        }
    };
    // After the reload, so that the key opens no door in between; and even if that has failed.
    let cut = if cut { doors::cut_sessions_of_key(&host.config, key, out) } else { Ok(()) };
    if !failures.is_empty() {
        failures.extend(cut.err().map(|error| plain(&error)));
        bail!("{key} may still be accepted.\n{}", failures.join("\n"));
    }
    cut.with_context(|| format!("{key} is revoked, but its sessions were not ended"))?;
    if was_known == Answer::Unknown {
        return Err(host.unknown(key).context("The daemons have no such key now"));
    }
    tell(
        out,
        match is_running {
            true => format!(
                "\n{key} is revoked: the host rejects its next knock. Commands that it has started go on."
            ),
            false => format!("\n{key} is revoked. The units of gate and commander are not active."),
        },
    );
    Ok(())
}

/// What was done with files.
#[derive(Debug)]
struct Removed {
    /// Whether there was a file of the key, or a file that mentioned it.
    was_there: bool,
    failures: Vec<String>,
}

/// Deletes the file of the key, and its name in other files.
fn remove_from_files(host: &Host, key: &str, out: &mut impl Write) -> anyhow::Result<Removed> {
    let config = host.config.path();
    let file = host.key_file(key)?;
    let mut failures = Vec::new();
    let mut changes = Vec::new();
    // A file that cannot be changed, for example because it is not TOML, must not keep the key in force.
    for found in
        [mentions::remove_rules(config, key), mentions::remove_from_commands(&host.commands, key)]
    {
        match found {
            Ok(change) => changes.extend(change),
            Err(error) => failures.push(plain(&error)),
        }
    }
    let mut was_there = !changes.is_empty();
    // First, and on the disk: without its rules, the key could do more than before if this were interrupted.
    match durable::remove(&file) {
        Ok(()) => {
            was_there = true;
            tell(out, format_args!("deleted {}", file.display()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot delete {}", file.display()));
        }
    }
    for change in changes {
        match change.write() {
            Ok(()) => tell(out, format_args!("removed {key} from {}", change.path().display())),
            Err(error) => failures.push(plain(&error)),
        }
    }
    Ok(Removed { was_there, failures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_config::Config;
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    const KEY: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_mistake_in_another_file_keeps_no_key_from_being_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        write(&path("phone.key"), KEY);
        let config = format!(
            "addresses = [\"192.0.2.1\"]\nsource = \"udp\"\nkeys_dir = {:?}\n[keys.phone]\ncommands = []\n",
            dir.path()
        );
        write(&path("config.toml"), &config);
        write(&path("commands.toml"), "nonsense");
        let config = Config::read(&path("config.toml")).or_problems().unwrap();
        let host = Host { config, commands: path("commands.toml") };
        // Nobody reads what it prints.
        let removed = remove_from_files(&host, "phone", &mut &mut [][..]).unwrap();
        assert!(!path("phone.key").exists());
        assert!(!fs::read_to_string(path("config.toml")).unwrap().contains("phone"));
        assert!(removed.was_there);
        assert_eq!(removed.failures.len(), 1, "{removed:?}");
        assert!(removed.failures[0].contains("commands.toml"), "{removed:?}");
        let again = remove_from_files(&host, "phone", &mut Vec::new()).unwrap();
        assert!(!again.was_there);
    }
}
