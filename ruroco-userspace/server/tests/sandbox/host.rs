//! Where an attempt takes place: a directory with all that the server has, and the process that is
//! started there in its place.

use std::{
    env, fs, io,
    io::Write,
    os::{fd::BorrowedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use ruroco_config::{
    Config,
    key_directory::{self},
};
use ruroco_keys::named_key::NamedKey;
use ruroco_seal::generate_key;
use ruroco_server::{
    floor_file::FloorFile,
    floors::Floors,
    sandbox::{self, Needs, Policy, Report, State},
};
use rustix::{
    process::{Resource, Rlimit, geteuid, setrlimit},
    thread::{UnshareFlags, unshare_unsafe},
};
use tempfile::TempDir;

use super::ROW;

/// Names the directory.
const DIRECTORY: &str = "RUROCO_SANDBOX_DIRECTORY";

/// Says whether there is a sandbox.
const WALL: &str = "RUROCO_SANDBOX_WALL";

/// The first floor of every key, and the present.
pub(crate) const START: u128 = 1_725_821_510_000_000_000;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    /// With this error number.
    Failed(i32),
    /// It was done, and there is no Landlock, or one that does not cover everything.
    NoLandlock,
    /// Some other way: what the process has said.
    Ended(#[expect(dead_code, reason = "for whoever reads the failure")] String),
}

/// Whether there is a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    Up,
    Down,
}

/// The server's files.
pub(crate) struct Host {
    path: PathBuf,
    _directory: Option<TempDir>,
}

impl Host {
    pub(crate) fn new() -> Self {
        // Nothing here is about the disk, so it need not be one.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let host = Self { path: directory.path().to_owned(), _directory: Some(directory) };
        for name in ["etc", "floors", "run", "elsewhere"] {
            fs::create_dir(host.path(name)).unwrap();
        }
        let config = format!(
            "addresses = [\"192.0.2.1\"]\ngate.interfaces = [\"eth0\"]\nkeys_dir = {:?}\n\
             state_dir = {:?}\nsocket_dir = {:?}\nmax_knocks_per_second_per_key = 20_000\n\
             max_knocks_per_second = 20_000\n",
            host.path("etc"),
            host.path("floors"),
            host.path("run"),
        );
        for (name, mode, text) in [
            ("etc/config.toml", 0o644, config.as_str()),
            ("etc/laptop.key", 0o600, generate_key().unwrap().to_text().as_str()),
            ("elsewhere/secret", 0o600, "somebody else's"),
        ] {
            fs::write(host.path(name), text).unwrap();
            fs::set_permissions(host.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let keys = host.keys();
        let ids = keys.iter().map(|named| named.key.id);
        FloorFile::create(&host.path("floors"), &Floors::at(START, ids)).unwrap();
        host
    }

    pub(crate) fn of_environment() -> Self {
        let host = Self { path: env::var_os(DIRECTORY).unwrap().into(), _directory: None };
        // What ends in an endless loop is to end.
        let seconds = Rlimit { current: Some(60), maximum: Some(60) };
        setrlimit(Resource::Cpu, seconds).unwrap();
        if geteuid().is_root() {
            // Whatever goes out goes nowhere.
            // SAFETY: descriptors stay shared, and there is only this thread.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        }
        host
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn config(&self) -> Config {
        Config::read(&self.path("etc/config.toml")).or_problems().unwrap()
    }

    pub(crate) fn keys(&self) -> Vec<NamedKey> {
        key_directory::read_configured(&self.config(), None, key_directory::Occasion::Start)
            .or_problems()
            .unwrap()
            .usable
    }

    /// Starts a process for a row.
    pub(crate) fn start(&self, row: &str, wall: Wall) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(ROW, row).env(DIRECTORY, Path::new(&self.path));
        command.env(WALL, format!("{wall:?}"));
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        pipes.spawn().unwrap()
    }

    pub(crate) fn try_row(&self, row: &str, wall: Wall) -> Outcome {
        Outcome::of(self.start(row, wall))
    }

    /// Enters the sandbox, if there is to be one.
    pub(crate) fn enter(&self, network: Option<BorrowedFd<'_>>) {
        if env::var(WALL).unwrap() == format!("{:?}", Wall::Up) {
            let report = self.enter_for(&Needs::of(&self.config(), network));
            let landlocks = [&report.files, &report.tcp, &report.scopes];
            if landlocks.into_iter().any(|state| *state != State::Enforced) {
                println!("no Landlock");
            }
        }
    }

    pub(crate) fn enter_for(&self, needs: &Needs<'_>) -> Report {
        let report = sandbox::enter(Policy::BestEffort, needs).unwrap();
        assert_eq!(report.system_calls, State::Enforced, "{report}");
        report
    }

    /// Says how an attempt ended, as its last words.
    pub(crate) fn tell(&self, outcome: io::Result<()>) {
        let mut stdout = io::stdout();
        match outcome {
            Ok(()) => writeln!(stdout, "done"),
            Err(error) => writeln!(stdout, "errno {}", error.raw_os_error().unwrap_or_default()),
        }
        .unwrap();
    }
}

impl Outcome {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().next_back().unwrap_or_default();
        match last.strip_prefix("errno ").map(str::parse) {
            _ if !output.status.success() => Self::Ended(format!("{output:?}")),
            Some(Ok(errno)) => Self::Failed(errno),
            None if last == "done" && text.contains("no Landlock") => Self::NoLandlock,
            None if last == "done" => Self::Done,
            _ => Self::Ended(format!("{output:?}")),
        }
    }
}
