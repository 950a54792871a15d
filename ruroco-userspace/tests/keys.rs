//! `ruroco key` with arguments that lead to nothing: the message names the mistake, and nothing changes. No daemon
//! runs here.
#![cfg(feature = "with-operator")]
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

const KEY: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\n";

struct Host(tempfile::TempDir);

impl Host {
    /// With the key `laptop` and the commands `default` and `open_ssh`.
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.path("keys")).unwrap();
        fs::set_permissions(host.path("keys"), Permissions::from_mode(0o700)).unwrap();
        host.write("keys/laptop.key", KEY);
        host.write(
            "config.toml",
            &format!(
                "addresses = [\"192.0.2.1\"]\nkeys_dir = {:?}\nsocket_dir = {:?}\nserver_user = \"nobody\"\n\
                 [gate]\ninterfaces = [\"eth0\"]\n",
                host.path("keys"),
                host.path("run"),
            ),
        );
        let command = |name: &str| format!("[commands.{name}]\nrun = [\"/bin/true\"]\n");
        host.write("commands.toml", &(command("default") + &command("open_ssh")));
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
    }

    fn key(&self, arguments: &[&str]) -> Output {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_ruroco"));
        tool.arg("key").args(arguments).arg("--config").arg(self.path("config.toml"));
        tool.arg("--commands").arg(self.path("commands.toml")).output().unwrap()
    }

    /// The message, after which everything is as it was.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.key(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{arguments:?}: {message}");
        assert_eq!(fs::read_dir(self.path("keys")).unwrap().count(), 1, "{message}");
        assert!(!fs::read_to_string(self.path("config.toml")).unwrap().contains("[keys."));
        message
    }
}

#[test]
fn a_key_for_a_command_that_does_not_exist_is_not_added() {
    let message = Host::new().refused(&["add", "visitor", "--command", "open_shh"]);
    for part in ["no command open_shh in", "did you mean open_ssh?", "Commands: default open_ssh"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_date_that_is_none_is_answered_with_an_example() {
    for date in ["tomorrow", "2027-01-31T12:00:00Z", "12:00:00"] {
        let message = Host::new().refused(&["add", "visitor", "--expires", date]);
        assert!(message.contains("use a date such as 2027-01-31"), "{message}");
    }
}

#[test]
fn a_name_that_a_shell_would_split_is_not_given_to_a_key() {
    let host = Host::new();
    for arguments in [&["add", "my phone"][..], &["rename", "laptop", "my phone"]] {
        let message = host.refused(arguments);
        assert!(message.contains("`my phone` is not a valid name"), "{message}");
    }
}

#[test]
fn a_key_that_never_was_is_not_revoked_and_no_daemon_is_asked() {
    let message = Host::new().refused(&["revoke", "labtop"]);
    assert!(message.contains("there is no key labtop"), "{message}");
    assert!(message.contains("did you mean laptop?"), "{message}");
    assert!(!message.contains("SIGHUP") && !message.contains("may still be"), "{message}");
}
