//! A commander on a host of its own: a temporary directory with configuration, keys and socket,
//! the real binary, and its log.

use std::{
    ffi::CString,
    fs,
    io::{self, BufRead, BufReader},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::PermissionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::User;
use ruroco_common::{address::Address, command::CommandHash, datagram::KeyId};
use ruroco_ipc::{
    boot_clock,
    order::Order,
    slots::{self, SlotReport},
};
use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect,
        recv, send, socket_with,
    },
    process::{Pid, Signal, geteuid, kill_process},
};
use tempfile::TempDir;

/// How long anything may take before a test fails. Waiting ends as soon as what is waited for is
/// there, so this is for machines under load.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(5);

/// Orders in a second, where the limit is not what is tested.
const PLENTY: u32 = 1000;

pub(crate) const LAPTOP: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);
pub(crate) const PHONE: KeyId = KeyId([4, 1, 2, 3, 4, 5, 6, 7]);
const KEYS: [(&str, &str); 2] = [
    ("laptop", "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="),
    ("phone", "chacha20poly1305:BAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="),
];

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(PAUSE);
    }
}

/// Whether this test has the rights it needs; says so loudly if it has not.
pub(crate) fn is_root(test: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED, NOT TESTED: {test} needs root");
    }
    is_root
}

/// An order by the laptop for 192.0.2.1, whose packet has just come.
pub(crate) fn order(command: &str) -> Order {
    Order {
        command: CommandHash::of(command),
        address: Address::from_ipv4([192, 0, 2, 1]),
        key: LAPTOP,
        counter: 17,
        received_at: boot_clock::now(),
    }
}

/// The pids of the living processes in a process group.
pub(crate) fn living_in_group(group: i32) -> Vec<i32> {
    let stat = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.unwrap().file_name().into_string().ok()?;
        let stat = stat(&pid)?;
        // pid (name) state parent group …, and the name may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let is_alive = fields[0] != "Z" && fields[0] != "X";
        (is_alive && fields[2] == group.to_string()).then(|| pid.parse().unwrap())
    });
    pids.collect()
}

/// Fails if a system call has.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Shows a process and its children these files and directories in the place of others. Takes root.
pub(crate) fn put_in_place(command: &mut Command, pairs: &[(&Path, &str)]) {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let pairs: Vec<_> =
        pairs.iter().map(|(own, place)| (text(own), text(Path::new(place)))).collect();
    let mount = |source: Option<&CString>, place: *const libc::c_char, flags| {
        let source = source.map_or(std::ptr::null(), |source| source.as_ptr());
        let (kind, data) = (std::ptr::null(), std::ptr::null());
        // SAFETY: reads texts up to their ends; for these flags the others may be missing.
        check(unsafe { libc::mount(source, place, kind, flags, data) })
    };
    let put = move || {
        // SAFETY: takes a number and touches no memory.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
        mount(None, c"/".as_ptr(), libc::MS_REC | libc::MS_PRIVATE)?;
        for (own, place) in &pairs {
            mount(Some(own), place.as_ptr(), libc::MS_BIND)?;
        }
        Ok(())
    };
    // SAFETY: these are system calls, on memory that was there before.
    unsafe { command.pre_exec(put) };
}

/// A host that a commander can run on.
pub(crate) struct Host {
    dir: TempDir,
}

impl Host {
    /// With this `commands.toml`, in which `DIR` stands for [`Host::path`].
    pub(crate) fn new(commands: &str) -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        // Other users have to come as far as the socket to be turned away there.
        host.set_mode("", 0o755);
        fs::create_dir(host.path("etc")).unwrap();
        for (name, key) in KEYS {
            host.write(&format!("etc/{name}.key"), key, 0o600);
        }
        host.configure(&own_name(), PLENTY);
        host.write_commands(commands);
        host
    }

    /// Makes this the `commands.toml`, in which `DIR` stands for [`Host::path`].
    pub(crate) fn write_commands(&self, text: &str) {
        let text = text.replace("DIR", self.path("").to_str().unwrap());
        self.write("commands.toml", &text, 0o600);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/commander.sock")
    }

    /// Lets so many orders through in a second.
    pub(crate) fn configure_rate(&self, per_second: u32) {
        self.configure(&own_name(), per_second);
    }

    /// Lets the server be another user than the one who runs the tests.
    pub(crate) fn configure_user(&self, server_user: &str) {
        self.configure(server_user, PLENTY);
    }

    /// Has the sockets be in another directory.
    pub(crate) fn configure_socket_dir(&self, name: &str) {
        let text = fs::read_to_string(self.path("config.toml")).unwrap();
        let [old, new] = ["run", name].map(|name| format!("socket_dir = {:?}", self.path(name)));
        assert!(text.contains(&old));
        self.write("config.toml", &text.replace(&old, &new), 0o644);
    }

    /// Adds doors, and what they need.
    pub(crate) fn configure_doors(&self, doors: &str) {
        self.configure(&own_name(), PLENTY);
        let text = fs::read_to_string(self.path("config.toml")).unwrap();
        assert!(text.contains("source = \"udp\""));
        let text = text.replace("source = \"udp\"", "gate.interfaces = [\"lo\"]");
        self.write("config.toml", &format!("{text}{doors}"), 0o644);
    }

    /// Leaves `audit_dir` at its default.
    pub(crate) fn configure_default_audit_dir(&self) {
        let text = fs::read_to_string(self.path("config.toml")).unwrap();
        let own = format!("audit_dir = {:?}\n", self.path("log"));
        assert!(text.contains(&own));
        self.write("config.toml", &text.replace(&own, ""), 0o644);
    }

    fn configure(&self, server_user: &str, max_knocks_per_second: u32) {
        let config = format!(
            "addresses = [\"192.0.2.9\"]\nsource = \"udp\"\nkeys_dir = {:?}\nsocket_dir = {:?}\naudit_dir = {:?}\n\
             server_user = {server_user:?}\n\
             max_knocks_per_second = {max_knocks_per_second}\n",
            self.path("etc"),
            self.path("run"),
            self.path("log"),
        );
        self.write("config.toml", &config, 0o644);
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        self.set_mode(name, mode);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What a command wrote into a file with a line end after it, once it is there.
    pub(crate) fn written(&self, name: &str) -> String {
        eventually(name, || {
            let text = fs::read_to_string(self.path(name)).ok()?;
            Some(text.strip_suffix('\n')?.to_owned())
        })
    }

    /// The process id that a command wrote into a file.
    pub(crate) fn written_pid(&self, name: &str) -> i32 {
        self.written(name).parse().unwrap()
    }

    /// A commander that does not listen yet.
    pub(crate) fn spawn(&self) -> Commander {
        self.spawn_by(|_| ())
    }

    /// The same, whose start is prepared in some way.
    pub(crate) fn spawn_by(&self, prepare: impl FnOnce(&mut Command)) -> Commander {
        // A umask that takes nothing away: nothing may depend on a better one.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "umask 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ruroco-commander")])
            .arg("--config")
            .arg(self.path("config.toml"))
            .arg("--commands")
            .arg(self.path("commands.toml"))
            .env("SECRET_OF_THE_COMMANDER", "1")
            // Nothing ever comes from it, and it does not end.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let sink = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines() {
                sink.lock().unwrap().push(line.unwrap());
            }
        });
        Commander { child, log, socket: self.socket() }
    }

    /// A commander that listens.
    pub(crate) fn start(&self) -> Commander {
        self.start_by(|_| ())
    }

    /// The same, whose start is prepared in some way.
    pub(crate) fn start_by(&self, prepare: impl FnOnce(&mut Command)) -> Commander {
        let commander = self.spawn_by(prepare);
        commander.line(&["listening socket="]);
        commander
    }

    /// What a commander says that is meant to refuse to start.
    pub(crate) fn refusal_to_start(&self) -> String {
        let mut commander = self.spawn();
        assert_eq!(commander.ended().code(), Some(1));
        commander.line(&["Error: "])
    }
}

fn own_name() -> String {
    User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}

/// A running commander. Dropping it ends it and what it runs.
pub(crate) struct Commander {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    socket: PathBuf,
}

impl Commander {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The lines of the log that have all of `parts` in them, as many as there are yet.
    pub(crate) fn lines_with(&self, parts: &[&str]) -> Vec<String> {
        let has_all = |line: &String| parts.iter().all(|part| line.contains(part));
        self.lines().into_iter().filter(has_all).collect()
    }

    /// The first line of the log that has all of `parts` in it, once it is there.
    pub(crate) fn line(&self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.lines_with(parts).into_iter().next() {
                return line;
            }
            assert!(Instant::now() < deadline, "no line with {parts:?} in {:#?}", self.lines());
            thread::sleep(PAUSE);
        }
    }

    /// What the command printed, as it stands between the quotes in the log.
    pub(crate) fn output(&self, command: &str) -> Vec<String> {
        let lines = self.lines_with(&[&format!("output command={command} "), " line="]);
        let quoted = lines.iter().map(|line| line.split_once(" line=\"").unwrap().1);
        quoted.map(|line| line.strip_suffix('"').unwrap().to_owned()).collect()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection(try_connect(&self.socket).unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `SCHED_RR` with the least priority.
    pub(crate) fn run_in_real_time(&self) {
        let pid = self.pid().to_string();
        let chrt = Command::new("chrt").args(["--all-tasks", "--rr", "--pid", "1", &pid]).status();
        assert!(chrt.unwrap().success(), "chrt (Debian: util-linux) failed");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Has it read its files anew, and waits for the line that says so, which has all of `parts` in it.
    pub(crate) fn reload(&self, parts: &[&str]) {
        let before = self.lines_with(parts).len();
        self.signal(Signal::HUP);
        eventually("the line of a reload", || {
            (self.lines_with(parts).len() > before).then_some(())
        });
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the commander to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Commander {
    /// Does not panic, for it may run because something else has.
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let is_running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if is_running(&mut self.child) {
            self.signal(Signal::TERM);
        }
        while is_running(&mut self.child) && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects as the server does.
pub(crate) fn try_connect(socket: &Path) -> rustix::io::Result<OwnedFd> {
    let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&fd, &SocketAddrUnix::new(socket)?)?;
    Ok(fd)
}

/// The server's end.
pub(crate) struct Connection(pub(crate) OwnedFd);

impl Connection {
    pub(crate) fn send(&self, order: &Order) {
        self.send_bytes(&order.encode());
    }

    pub(crate) fn send_bytes(&self, message: &[u8]) {
        send(&self.0, message, SendFlags::NOSIGNAL).unwrap();
    }

    /// What is found in a report that has come or comes: how many messages were read, and whose commands
    /// have slots.
    pub(crate) fn reported<T>(
        &self,
        what: &str,
        mut look: impl FnMut(u64, &[KeyId]) -> Option<T>,
    ) -> T {
        let mut buffer = [0; slots::MAX_SIZE + 1];
        eventually(&format!("a report of {what}"), || {
            let (length, _) = recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
            let report = SlotReport::decode(&buffer[..length]).unwrap();
            look(report.read, report.taken)
        })
    }
}
