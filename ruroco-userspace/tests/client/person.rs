//! A person with a folder of their own, and keys that must show up nowhere but where they are asked
//! for.

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_ruroco-client");

/// A key, its id and its secret part.
pub(crate) const KEY: &str =
    "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
pub(crate) const KEY_ID: &str = "0001020304050607";
const SECRET: &str = "gISIjJCUmJygpKissLS4vMDEy";

/// The same key as an invitation has it.
pub(crate) const INVITATION: &str = "ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3AAAECAwQFBgcgISIjJCUmJygpKissLS4vMDEy\
     MzQ1Njc4OTo7PD0%2BPw%3D%3D&command=open_ssh&command=close_ssh&wait=22";

pub(crate) struct Person(tempfile::TempDir);

impl Person {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With the key `home`.
    pub(crate) fn with_key() -> Self {
        let person = Self::new();
        person.say(&["key", "import", "home"], KEY);
        person
    }

    /// The client's folder, which it makes itself.
    pub(crate) fn folder(&self) -> PathBuf {
        self.0.path().join("config")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// A file outside the client's folder.
    pub(crate) fn write(&self, name: &str, content: &str, mode: u32) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Writes `client.toml`.
    pub(crate) fn write_hosts(&self, text: &str) {
        fs::create_dir_all(self.folder()).unwrap();
        fs::write(self.folder().join("client.toml"), text).unwrap();
    }

    pub(crate) fn hosts(&self) -> String {
        fs::read_to_string(self.folder().join("client.toml")).unwrap_or_default()
    }

    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.0.path()).env("RUROCO_CONF_DIR", self.folder());
        // No test gets at the keyring of whoever runs it.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        command
    }

    /// What the client prints when it does what it is told. No secret may be in it.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.say(arguments, "")
    }

    /// The same when something comes from standard input.
    #[track_caller]
    pub(crate) fn say(&self, arguments: &[&str], input: &str) -> String {
        let (code, out, err) = self.start(arguments, input);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        expect_no_secret(&format!("{out}{err}"));
        out
    }

    /// What it prints when a secret was asked for.
    #[track_caller]
    pub(crate) fn reveal(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.start(arguments, "");
        assert_eq!(code, 0, "{arguments:?}: {err}");
        expect_no_secret(&err);
        out
    }

    /// Why it does not do what it is told.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        self.refused_input(arguments, "")
    }

    #[track_caller]
    pub(crate) fn refused_input(&self, arguments: &[&str], input: &str) -> String {
        let (code, out, err) = self.start(arguments, input);
        assert_eq!(code, 1, "{arguments:?}: {out}{err}");
        expect_no_secret(&format!("{out}{err}"));
        err
    }

    /// Exit code, standard output and standard error.
    pub(crate) fn start(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut client = self.command(CLIENT);
        client.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().unwrap();
        // One that needs no input may be gone.
        let _ = client.stdin.take().unwrap().write_all(input.as_bytes());
        let done = client.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    }
}

#[track_caller]
pub(crate) fn expect_no_secret(text: &str) {
    assert!(!text.contains(SECRET), "a secret is shown: {text}");
}

/// The permissions of a file or a folder.
pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
