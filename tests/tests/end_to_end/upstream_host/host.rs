//! A host as upstream ruroco leaves it, and packets as its client makes them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use nix::{sys::signal::Signal, unistd::User};
use ruroco_common::address::Address;
use ruroco_keys::key::Key;
use ruroco_lab::{
    daemon::Daemon,
    directory::Directory,
    knock::Knock,
    mount::{self, Mount},
    namespace::Namespace,
    programs, wait,
};

/// The sample that upstream ships, with an address in the place of its placeholders.
pub(super) const CONFIG: &str = r#"ips = ["127.0.0.1"]
address = "[::]:34020"
config_dir = "/etc/ruroco/"
blocklist_dir = "/var/lib/ruroco"
socket_dir = "/run/ruroco"
socket_user = "ruroco"
socket_group = "ruroco"
"#;

/// Both values that a command may have, and the second in both spellings.
const COMMANDS: &str = r#"# run by the commander
[commands]                   # MANDATORY - but can be empty
default = "echo default $RUROCO_IP >> /var/log/ran"
open_port = { cmd = "echo open_port $RUROCO_IP >> /var/log/ran", timeout_sec = 120 }

[commands.close_port]
cmd = "echo close_port ${RUROCO_IP} >> /var/log/ran"
"#;

/// A key as `gen` prints it, without an end of line. Its id is 00 01 02 03 04 05 06 07.
pub(super) const KEY: &str = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// What upstream's client made with it: the command `default`, counter 1725821510000000000, strict, no
/// claimed source, to 127.0.0.1.
pub(super) const PACKET: &str = "0001020304050607a0a1a2a3a4a5a6a7a8a9aaabf125dd6e758957aaa88f67dbcef8ddb20bf7\
                      c25543c7ef8e9e0c47c41cdd74786574931dee77fe5f7828ea876c5b2b637c8aad7ae87f6dd1\
                      8d53fe371c80ca77db95600ff4ccb53180e5";

/// Its counter.
pub(super) const COUNTER: u128 = 1_725_821_510_000_000_000;

/// A `blocklist.msgpck` with this floor for that key.
pub(super) fn blocklist(floor: u128) -> Vec<u8> {
    let entry = [0x91, 0x81, 0x98, 0, 1, 2, 3, 4, 5, 6, 7, 0xc4, 0x10];
    [&entry[..], &floor.to_be_bytes()].concat()
}

/// Where systemd would pass keys to the server.
const CREDENTIALS: &str = "/run/credentials-of-the-server";

pub(super) const PORT: u16 = 34020;
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An address that upstream's filter lets pass.
pub(super) const PUBLIC: &str = "1.1.1.1";

/// A host in a network and with file systems of its own.
pub(super) struct Host {
    // In the order in which they are to be dropped.
    pub(super) server: Option<Daemon>,
    pub(super) commander: Option<Daemon>,
    pub(super) network: Namespace,
    _mounts: Vec<Mount>,
    directory: Directory,
    pub(super) user: User,
    /// What is known to have run.
    ran: Vec<String>,
}

impl Host {
    /// One on which upstream has accepted knocks up to this floor.
    pub(super) fn new(floor: u128) -> Self {
        let host = Self::without_blocklist();
        host.write_as_server(&host.blocklist(), &blocklist(floor), 0o600);
        host
    }

    pub(super) fn without_blocklist() -> Self {
        mount::keep_to_this_thread();
        let directory = Directory::new();
        let root = directory.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        let memory = root.join("memory");
        let mut mounts = vec![Mount::memory(&memory, 16 << 20)];
        for place in ["/etc", "/var", "/run"] {
            let place = Path::new(place);
            let name = place.file_name().unwrap().to_str().unwrap();
            let (upper, work) = (memory.join(name), memory.join(format!("{name}.work")));
            mounts.push(Mount::overlay(place, place, &upper, &work));
        }
        // The last one mounted is unmounted first.
        mounts.reverse();
        for (file, line) in [
            ("/etc/passwd", "ruroco:x:64020:64020::/nonexistent:/bin/false\n"),
            ("/etc/group", "ruroco:x:64020:\n"),
        ] {
            let text = fs::read_to_string(file).unwrap();
            let others = text.lines().filter(|line| !line.starts_with("ruroco:"));
            let others: String = others.map(|line| format!("{line}\n")).collect();
            fs::write(file, others + line).unwrap();
        }
        let user = User::from_name("ruroco").unwrap().expect("it was just made");
        let host = Self {
            server: None,
            commander: None,
            network: Namespace::new(),
            _mounts: mounts,
            directory,
            user,
            ran: Vec::new(),
        };
        for dir in ["/etc/ruroco", "/var/lib/ruroco", "/var/log/ruroco", "/run/ruroco"] {
            let _ = fs::remove_dir_all(dir);
        }
        let _ = fs::remove_file("/var/log/ran");
        for (dir, owner) in [("/etc/ruroco", 0), ("/run/ruroco", 0), ("/var/lib/ruroco", 64020)] {
            fs::create_dir(dir).unwrap();
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
            chown(dir, Some(owner), Some(owner)).unwrap();
        }
        host.write_config(CONFIG);
        write("/etc/ruroco/commands.toml".as_ref(), COMMANDS.as_bytes(), 0o600);
        host.write_as_server("/etc/ruroco/laptop.key".as_ref(), KEY.as_bytes(), 0o600);
        host
    }

    pub(super) fn write_config(&self, text: &str) {
        write("/etc/ruroco/config.toml".as_ref(), text.as_bytes(), 0o644);
    }

    /// Adds lines that upstream knows.
    pub(super) fn configure(&self, lines: &str) {
        self.write_config(&format!("{CONFIG}{lines}\n"));
    }

    pub(super) fn write_as_server(&self, path: &Path, content: &[u8], mode: u32) {
        write(path, content, mode);
        chown(path, Some(self.user.uid.as_raw()), Some(self.user.gid.as_raw())).unwrap();
    }

    pub(super) fn blocklist(&self) -> PathBuf {
        "/var/lib/ruroco/blocklist.msgpck".into()
    }

    /// What `ruroco import` makes of it, and the keys where systemd passes them to the server.
    #[track_caller]
    pub(super) fn import(&self) -> String {
        let done = self.import_command().output().unwrap();
        let [said, error] = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(done.status.success(), "{said}{error}");
        let _ = fs::remove_dir_all(CREDENTIALS);
        fs::create_dir(CREDENTIALS).unwrap();
        fs::set_permissions(CREDENTIALS, fs::Permissions::from_mode(0o755)).unwrap();
        for key in fs::read_dir("/etc/ruroco/keys").unwrap() {
            let key = key.unwrap();
            let name = format!("keys_{}", key.file_name().to_str().unwrap());
            let passed = Path::new(CREDENTIALS).join(name);
            self.write_as_server(&passed, &fs::read(key.path()).unwrap(), 0o400);
        }
        said.into_owned()
    }

    pub(super) fn import_command(&self) -> Command {
        let mut command = self.tool_command();
        command.args(["import", "--yes"]);
        command
    }

    pub(super) fn tool_command(&self) -> Command {
        let mut command = self.network.command();
        programs::add_launcher(&mut command, None);
        let [tool, _] = ["ruroco", "ruroco-server"]
            .map(|name| programs::reachable_by_all(&programs::path(name), self.directory.path()));
        command.arg(tool);
        command
    }

    pub(super) fn server_command(&self) -> Command {
        let mut command = self.network.command();
        if Path::new(CREDENTIALS).exists() {
            command.env("CREDENTIALS_DIRECTORY", CREDENTIALS);
        }
        programs::add_launcher(&mut command, Some(&self.user));
        let program = programs::path("ruroco-server");
        command.arg(programs::reachable_by_all(&program, self.directory.path()));
        command
    }

    pub(super) fn commander_command(&self) -> Command {
        let mut command = self.network.command();
        programs::add_launcher(&mut command, None);
        command.arg(programs::path("ruroco-commander"));
        command
    }

    #[track_caller]
    pub(super) fn import_and_start(&mut self) {
        self.import();
        self.start();
    }

    #[track_caller]
    pub(super) fn start(&mut self) {
        let commander = Daemon::start("ruroco-commander", &mut self.commander_command());
        commander.wait_for(&["listening", "/run/ruroco/"]);
        self.commander = Some(commander);
        self.start_server();
    }

    #[track_caller]
    pub(super) fn start_server(&mut self) {
        let server = Daemon::start("ruroco-server", &mut self.server_command());
        server.wait_for(&["ready", "udp"]);
        self.server = Some(server);
    }

    #[track_caller]
    pub(super) fn stop_server(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.signal(Signal::SIGTERM);
        assert!(server.wait_for_end().success());
    }

    pub(super) fn send(&self, datagram: &[u8]) {
        self.network.enter(|| {
            let socket = UdpSocket::bind((HERE, 0)).unwrap();
            socket.send_to(datagram, (HERE, PORT)).unwrap();
        });
    }

    #[track_caller]
    pub(super) fn expect_refusal(&self, reason: &str) {
        self.server.as_ref().expect("it runs").wait_for(&["refused", reason]);
    }

    /// Makes sure that this has run, and nothing else since the last time.
    #[track_caller]
    pub(super) fn expect_run(&mut self, run: &str) {
        self.ran.push(run.to_owned());
        let read = || fs::read_to_string("/var/log/ran").unwrap_or_default();
        let ran = wait::until(&format!("{run} to run"), || {
            let ran: Vec<_> = read().lines().map(str::to_owned).collect();
            (ran.len() >= self.ran.len()).then_some(ran)
        });
        assert_eq!(ran, self.ran);
    }

    /// Makes sure that a good knock runs, and that nothing that was sent before will.
    #[track_caller]
    pub(super) fn expect_next_knock_to_run(&mut self) {
        self.send(&seal(&knock("default").from(PUBLIC)));
        self.expect_run(&format!("default {PUBLIC}"));
    }
}

pub(super) fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chown(path, Some(0), Some(0)).unwrap();
}

pub(super) fn packet() -> Vec<u8> {
    let (digits, _) = PACKET.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.iter().map(byte).collect()
}

pub(super) trait Claim {
    fn from(self, ip: &str) -> Self;
}

impl Claim for Knock {
    /// The same for another address than it comes from.
    fn from(mut self, ip: &str) -> Self {
        self.plaintext.claimed_source = Some(Address::from(ip.parse::<IpAddr>().unwrap()));
        self
    }
}

/// A good one, of now.
pub(super) fn knock(command: &str) -> Knock {
    Knock::to(HERE, command)
}

pub(super) fn seal(knock: &Knock) -> [u8; 94] {
    knock.seal(&Key::parse(KEY).unwrap())
}

/// Knocks come from loopback here, which upstream's filter refuses.
pub(super) const ALLOW: &str = "allow_non_routable_ips = true";

/// For more than two knocks in a second.
pub(super) const LIMITS: &str =
    "max_requests_per_second = 1000\nmax_requests_per_second_global = 1000";
