//! One running program: what it logged, and its end.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::wait::{self, DEADLINE};

/// A child process, killed and reaped when dropped. If that happens because a test failed, its log
/// is shown.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: Vec<String>,
    closed: bool,
}

impl Daemon {
    /// Starts a program and begins to read what it logs to standard error.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let stderr = child.stderr.take().expect("it was just piped");
        let log = Arc::new(Log::default());
        let reader = thread::spawn({
            let log = Arc::clone(&log);
            move || log.read(stderr)
        });
        Self { name: name.to_owned(), child, log, reader: Some(reader) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn lines(&self) -> Vec<String> {
        self.log.state.lock().unwrap().lines.clone()
    }

    /// The lines so far that have all these parts.
    pub fn lines_with(&self, parts: &[&str]) -> Vec<String> {
        self.lines().into_iter().filter(|line| has(line, parts)).collect()
    }

    /// Waits for a line that has all these parts, and returns the first one.
    ///
    /// # Panics
    /// If there is none within the deadline, or the program ends without one.
    #[track_caller]
    pub fn wait_for(&self, parts: &[&str]) -> String {
        self.wait_for_nth(1, parts)
    }

    /// Waits for the `n`th line (counted from 1) that has all these parts.
    ///
    /// # Panics
    /// As [`Daemon::wait_for`].
    #[track_caller]
    pub fn wait_for_nth(&self, n: usize, parts: &[&str]) -> String {
        let end = Instant::now() + DEADLINE;
        let mut state = self.log.state.lock().unwrap();
        loop {
            let mut matching = state.lines.iter().filter(|line| has(line, parts));
            if let Some(line) = matching.nth(n - 1) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            let closed = state.closed;
            if closed || left.is_zero() {
                drop(state);
                let why = if closed { "it has ended" } else { "the time is up" };
                panic!("{} has not logged {parts:?} ({n} times): {why}", self.name);
            }
            state = self.log.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is not there any more.
    pub fn signal(&self, signal: Signal) {
        // It has not been waited for, so the id is still its own.
        let pid = Pid::from_raw(self.pid().try_into().unwrap());
        kill(pid, signal).unwrap_or_else(|e| panic!("send {signal} to {}: {e}", self.name));
    }

    /// Waits for it to end.
    ///
    /// # Panics
    /// If it does not within the deadline.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = wait::until(&what, || self.child.try_wait().expect("wait for a child"));
        self.finish_log();
        status
    }

    /// Ends it as a crash would: SIGKILL, nothing can be tidied up.
    ///
    /// # Panics
    /// If it had ended by itself before.
    #[track_caller]
    pub fn crash(&mut self) {
        self.signal(Signal::SIGKILL);
        let status = self.wait_for_end();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{} had ended before", self.name);
    }

    fn finish_log(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.finish_log();
        if thread::panicking() {
            let lines: Vec<_> = self.lines().iter().map(|line| format!("    {line}\n")).collect();
            eprintln!("{} had logged:\n{}", self.name, lines.concat());
        }
    }
}

impl Log {
    fn read(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            self.state.lock().unwrap().lines.push(line);
            self.changed.notify_all();
        }
        self.state.lock().unwrap().closed = true;
        self.changed.notify_all();
    }
}

fn has(line: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| line.contains(part))
}
