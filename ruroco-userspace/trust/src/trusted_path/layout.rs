//! Which directories ruroco shares with other programs, by the common layout of Linux systems (hier(7)).
//!
//! Other programs, or a person, depend on the owner and the mode of such a directory. No message advises a
//! change, even if the directory prevents ruroco from starting.

use std::path::{Component, Path};

/// Names in `/var` that the system gives a meaning.
const IN_VAR: [&str; 16] = [
    "account", "backups", "cache", "crash", "db", "empty", "lib", "local", "lock", "log", "mail",
    "opt", "run", "spool", "tmp", "www",
];

/// Names in `/run` that the system gives a meaning.
const IN_RUN: [&str; 8] = ["credentials", "dbus", "lock", "log", "media", "shm", "systemd", "user"];

/// Whether a directory is one of the system's, or a person's home.
pub fn is_systems(path: &Path) -> bool {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_str().unwrap_or_default()),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => {
            None
        }
    };
    let names: Vec<&str> = path.components().filter_map(name).collect();
    match names[..] {
        [] | [_] => true,
        ["sys" | "usr", ..] => names.len() <= 3,
        ["boot" | "dev" | "proc", ..] => true,
        ["home", _] | ["run", "user", _] => true,
        ["var", name] => IN_VAR.contains(&name),
        ["run", name] => IN_RUN.contains(&name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_the_system_and_homes_are_told_from_ours() {
        for path in [
            "/",
            "/etc",
            "/root",
            "/tmp",
            "/home/alice",
            "/usr/local/sbin",
            "/var/lib",
            "/var/log",
            "/run/user/1000",
            "/run/lock",
            "/sys/fs/bpf",
        ] {
            assert!(is_systems(Path::new(path)), "{path}");
        }
        for path in [
            "/etc/ruroco",
            "/etc/ruroco/keys",
            "/var/lib/ruroco",
            "/var/log/ruroco",
            "/run/ruroco",
            "/home/alice/ruroco",
            "/usr/local/etc/ruroco",
            "/var/ruroco",
            "/opt/ruroco",
            "/sys/fs/bpf/ruroco",
        ] {
            assert!(!is_systems(Path::new(path)), "{path}");
        }
    }
}
