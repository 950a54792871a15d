//! Network namespaces without a name: they last as long as the file descriptor of their owner and
//! the processes in them, so nothing can be left behind.

use std::{
    fs::{self, File},
    io::Write,
    os::fd::AsRawFd,
    panic,
    path::PathBuf,
    process::{self, Command, Stdio},
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace of its own.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes a namespace, with the loopback interface up.
    ///
    /// # Panics
    /// If this process may not.
    pub fn new() -> Self {
        // On a thread of its own: the namespace is the thread's, and this one keeps its own.
        let file = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("make a network namespace: are you root?");
            File::open("/proc/thread-self/ns/net").expect("open the new network namespace")
        })
        .join()
        .unwrap_or_else(|panic| panic::resume_unwind(panic));
        let namespace = Self { file };
        namespace.ip("link set lo up");
        namespace
    }

    /// The same namespace once more, which then lasts at least as long as this.
    ///
    /// # Panics
    /// If there are too many open files.
    pub fn handle(&self) -> Self {
        Self { file: self.file.try_clone().expect("copy a descriptor") }
    }

    /// Runs `f` on a thread inside. Sockets that it makes stay inside, wherever they go.
    pub fn enter<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = || {
                setns(&self.file, CloneFlags::CLONE_NEWNET).expect("enter a network namespace");
                f()
            };
            scope.spawn(inside).join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// The file that stands for the namespace, for tools that want one. It is there as long as
    /// this process and the namespace's owner are.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd()).into()
    }

    /// A command that runs inside; what is to run is still to be added. Its process id will be that
    /// of the child, because `nsenter` becomes it. (`ip netns exec` would also put another `/sys`
    /// under it.)
    pub fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--");
        command
    }

    /// Runs lines of `ip` commands inside.
    ///
    /// # Panics
    /// If one of them fails.
    #[track_caller]
    pub fn ip(&self, lines: &str) {
        let mut ip = self
            .command()
            .args(["ip", "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run nsenter (package util-linux)");
        let written = ip.stdin.take().expect("its input is a pipe").write_all(lines.as_bytes());
        let output = ip.wait_with_output().expect("wait for ip");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip (package iproute2) refused:\n{lines}\n{said}");
        written.expect("write to ip");
    }

    /// Sets kernel parameters below `net`, such as `("ipv4/ip_forward", "1")`.
    ///
    /// # Panics
    /// If one of them cannot be set.
    pub fn sysctl(&self, settings: &[(&str, &str)]) {
        // /proc/sys/net shows the namespace of the thread that looks.
        self.enter(|| {
            for (name, value) in settings {
                let path = format!("/proc/sys/net/{name}");
                fs::write(&path, value).unwrap_or_else(|e| panic!("write {value} to {path}: {e}"));
            }
        });
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}
