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
    let mut failures = remove_from_files(host, key, out)?;
    let mut is_running = false;
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

/// Deletes the file of the key, and its name in other files. What could not be done in those.
fn remove_from_files(host: &Host, key: &str, out: &mut impl Write) -> anyhow::Result<Vec<String>> {
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
        match change.write() {
            Ok(()) => writeln!(out, "removed {key} from {}", change.path().display())?,
            Err(error) => failures.push(plain(&error)),
        }
    }
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_config::Config;
    use std::{os::unix::fs::PermissionsExt, path::Path};

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
        let failures = remove_from_files(&host, "phone", &mut Vec::new()).unwrap();
        assert!(!path("phone.key").exists());
        assert!(!fs::read_to_string(path("config.toml")).unwrap().contains("phone"));
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].contains("commands.toml"), "{failures:?}");
    }
}
