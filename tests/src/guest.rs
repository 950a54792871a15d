//! A booted Debian in the place of the server's host: systemd as its first process, in a container
//! of its own (systemd-nspawn), on the network of one of the lab's namespaces.
//!
//! The base system, made by `cargo xtask test --system`, is only read: what the guest writes is kept
//! in memory and gone with it, but outlasts a reboot.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    directory::Directory,
    mount::{self, Mount},
    namespace::Namespace,
    programs, wait,
};

/// Names the folder of the base system.
pub const BASE: &str = "RUROCO_DEBIAN";

/// Names the folder with the packages, which the guest sees as [`PACKAGES_INSIDE`].
pub const PACKAGES: &str = "RUROCO_PACKAGES";

/// Where the guest sees the packages.
pub const PACKAGES_INSIDE: &str = "/packages";

/// How long starting a whole system may take, on a busy machine.
const BOOT_DEADLINE: Duration = Duration::from_secs(120);

/// What programs in the guest may do at most: loading BPF programs, and what systemd itself needs.
const CAPABILITIES: &str = "CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYS_ADMIN,\
                            CAP_SYS_NICE,CAP_SYS_RESOURCE";

/// A running system. Dropping it ends it, and all that runs in it.
#[derive(Debug)]
pub struct Guest {
    // In the order in which they are to be dropped.
    machine: Machine,
    _root: Mount,
    _memory: Mount,
    directory: Directory,
    _turn: MutexGuard<'static, ()>,
}

/// Guests share the cgroup of this process, in which each takes itself for the only one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[derive(Debug)]
struct Machine {
    nspawn: Child,
    /// The guest's process 1, as seen from outside.
    init: u32,
}

impl Guest {
    /// Boots a system on a host's network, and waits until nothing is being started any more.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn boot(host: &Namespace) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        mount::keep_to_this_thread();
        let directory = Directory::new();
        let memory = Mount::memory(&directory.path().join("memory"), 1 << 30);
        let [root, upper, work] =
            ["root", "memory/upper", "memory/work"].map(|name| directory.path().join(name));
        let base = folder(BASE);
        let root_mount = Mount::overlay(&root, &base, &upper, &work);
        let machine = Machine::boot(host, &root);
        let guest = Self { machine, _root: root_mount, _memory: memory, directory, _turn: turn };
        let failed = guest.run("systemctl --failed --plain --no-legend; mountpoint /sys/fs/bpf");
        assert_eq!(failed.trim(), "/sys/fs/bpf is a mountpoint", "{}", guest.run("journalctl -b"));
        guest
    }

    /// Ends it as a power cut would, and boots it again.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn reboot(&mut self, host: &Namespace) {
        self.machine.end();
        // The network namespace is the lab's and stays. A kernel that loses its power forgets its firewall.
        let flushed = host.command().args(["nft", "flush", "ruleset"]).status();
        assert!(flushed.expect("run nft").success(), "the tables of nftables stay");
        self.machine = Machine::boot(host, &self.directory.path().join("root"));
    }

    /// A command that runs inside as root; what is to run is still to be added.
    pub fn command(&self) -> Command {
        self.machine.command()
    }

    /// Runs a line of shell inside.
    pub fn try_run(&self, line: &str) -> Output {
        self.command().args(["/bin/sh", "-c", line]).output().expect("run nsenter")
    }

    /// Runs a line of shell inside, and tells what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{line}: {}\n{out}\n{error}", output.status);
        out
    }

    /// Writes a file inside, readable by all.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: &str, content: &str) {
        self.write_bytes(path, content.as_bytes());
    }

    /// The same with what is no text.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_bytes(&self, path: &str, content: &[u8]) {
        let inside = self.directory.path().join("root").join(path.trim_start_matches('/'));
        fs::write(&inside, content).unwrap_or_else(|e| panic!("write {path}: {e}"));
    }

    /// Waits until a line of shell succeeds inside.
    ///
    /// # Panics
    /// If it does not in time; shows what the units say.
    #[track_caller]
    pub fn wait_until(&self, line: &str) {
        if wait::poll(wait::DEADLINE, || self.try_run(line).status.success().then_some(()))
            .is_none()
        {
            panic!("waited in vain for: {line}\n{}", self.journal());
        }
    }

    /// A property of a unit.
    #[track_caller]
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.run(&format!("systemctl show --value --property {name} {unit}")).trim().to_owned()
    }

    /// What the units have logged.
    pub fn journal(&self) -> String {
        text(
            &self.try_run("journalctl --no-pager --output short-monotonic --unit 'ruroco*'").stdout,
        )
    }
}

impl Machine {
    fn boot(host: &Namespace, root: &Path) -> Self {
        let mut nspawn = host.command();
        programs::add_launcher(&mut nspawn, None);
        nspawn.args(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"]);
        nspawn.arg("--directory").arg(root);
        nspawn.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"]);
        nspawn.arg(format!("--capability={CAPABILITIES}"));
        nspawn.args([
            "--system-call-filter=bpf perf_event_open seccomp landlock_create_ruleset \
                     landlock_add_rule landlock_restrict_self",
            "--console=read-only",
        ]);
        let packages = folder(PACKAGES);
        nspawn.arg(format!("--bind-ro={}:{PACKAGES_INSIDE}", packages.display()));
        // So that there can be a BPF file system below /sys, as on any other host.
        nspawn.env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1");
        nspawn.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let nspawn = nspawn.spawn().expect("run systemd-nspawn (package systemd-container)");
        let mut machine = Self { nspawn, init: 0 };
        let up = wait::poll(BOOT_DEADLINE, || {
            machine.init = machine.find_init()?;
            let mut state = machine.command();
            let state = state.args(["systemctl", "is-system-running"]).output().ok()?;
            // Degraded: some unit has failed, which is for a test to judge.
            ["running", "degraded"].contains(&text(&state.stdout).trim()).then_some(())
        });
        assert!(up.is_some(), "the guest did not boot within {BOOT_DEADLINE:?}");
        machine
    }

    /// nspawn's only child that has a process number of its own inside.
    fn find_init(&self) -> Option<u32> {
        let nspawn = self.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--all", "--wdns=/", "--"]);
        command.args(["/usr/bin/env", "--ignore-environment", "HOME=/root", "LC_ALL=C.UTF-8"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// With its first process, everything in the guest ends.
    fn end(&mut self) {
        if let Some(init) = self.find_init().and_then(|init| i32::try_from(init).ok()) {
            let _ = kill(Pid::from_raw(init), Signal::SIGKILL);
        }
        let deadline = wait::poll(wait::DEADLINE, || self.nspawn.try_wait().ok().flatten());
        if deadline.is_none() {
            let _ = self.nspawn.kill();
            let _ = self.nspawn.wait();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

fn folder(variable: &str) -> PathBuf {
    let path = env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask test --system`")).into()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
