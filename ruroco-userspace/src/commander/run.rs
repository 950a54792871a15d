//! One run of one command, from its start to its end.
//!
//! A run is a process group of its own, led by the command. Two things end a run before it ends
//! itself: its timeout, and the commander being stopped. The whole group then gets `SIGTERM` and,
//! [`TERM_GRACE`] later, `SIGKILL`. It is killed earlier if the leader is dead and nobody in the
//! group holds the output any more, since then there is nothing left to wait for. What has left the
//! group (`setsid`) has left the run, too.
//!
//! When a leader ends by itself, processes that it put into the background are left alone: a
//! command may well start something that stays. They keep nothing waiting: their output is read for
//! [`DRAIN_GRACE`] more, then the pipe is closed.
//!
//! All signals are sent while the leader is not yet waited for, dead or alive. Until then its
//! number cannot belong to another process, so no signal can hit a stranger.

use std::{
    io::{self, PipeReader, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{
    audit::Audit, commands::SAFE_PATH, head_start::HeadStart, outcome::Outcome, output::Output,
    permit::Permitted,
};
use crate::wait::wait;

/// How long a group has to end after `SIGTERM` before it gets `SIGKILL`.
pub const TERM_GRACE: Duration = Duration::from_secs(5);

/// How long output is still read when the leader has ended and others hold its pipe open.
pub const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// How much of the output is read at once.
const CHUNK: usize = 8 * 1024;

/// Why we ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Timeout,
    Stop,
}

/// Runs what was permitted and returns when it has ended. It is ended early when the other end of
/// `stop` is closed.
pub fn run(permitted: &Permitted, stop: BorrowedFd<'_>, audit: &Audit) {
    let (command, key) = (permitted.command().name.as_str(), permitted.key());
    let (ip, counter) = (permitted.ip(), permitted.counter());
    tracing::info!(%command, %key, %ip, %counter, "running");
    audit.running(permitted);

    let start = Instant::now();
    let mut output = Output::default();
    let log = |line: &str| tracing::info!(%command, %key, %counter, line, "output");
    let result = execute(permitted, stop, |printed| output.push(printed, log));
    let dropped = output.finish(log);
    if dropped > 0 {
        tracing::warn!(%command, %key, %counter, dropped_bytes = dropped, "too much output");
    }

    let duration = start.elapsed();
    audit.ended(permitted, &result, duration);
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(Outcome::Exit(0)) => {
            let result = Outcome::Exit(0);
            tracing::info!(%command, %key, %ip, %counter, %result, duration_ms, "ended");
        }
        Ok(result) => {
            tracing::warn!(%command, %key, %ip, %counter, %result, duration_ms, "ended");
        }
        Err(error) => {
            tracing::error!(
                %command, %key, %ip, %counter, result = %"could_not_run", duration_ms, %error, "ended"
            );
        }
    }
}

fn execute(
    permitted: &Permitted,
    stop: BorrowedFd<'_>,
    print: impl FnMut(&[u8]),
) -> io::Result<Outcome> {
    let Started { output, mut child, head_start } = spawn(permitted)?;
    let group = leader_of(&child)?;
    let deadline = Instant::now().checked_add(permitted.command().timeout);
    let watched = pidfd_open(group, PidfdFlags::empty()).map_err(io::Error::from).and_then(|pid| {
        if let Some(Err(error)) = head_start.map(|start| start.pass(group, pid.as_fd())) {
            let command = &permitted.command().name;
            tracing::warn!(%command, %error, "it keeps real time: is CAP_SYS_NICE missing?");
        }
        let leader = Some(pid);
        Watch { group, leader, output: Some(output), phase: Phase::Running, deadline, cause: None }
            .until_over(stop, print)
    });
    // Nobody of a group that we wanted to end may be left, and none that we lost sight of.
    if !matches!(watched, Ok(None)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait()?;
    Ok(match watched? {
        Some(Cause::Timeout) => Outcome::TimedOut,
        Some(Cause::Stop) => Outcome::Stopped,
        None => Outcome::from(status),
    })
}

/// A command that has begun.
struct Started {
    output: PipeReader,
    child: Child,
    head_start: Option<HeadStart>,
}

/// Starts the command with nothing of ours but a pipe to print into.
///
/// With a `user`, the standard library drops all supplementary groups and takes none of that user:
/// a command that needs a group names it.
fn spawn(permitted: &Permitted) -> io::Result<Started> {
    let command = permitted.command();
    let (output, writer) = io::pipe()?;
    let mut process = std::process::Command::new(&command.program);
    process
        .args(&command.arguments)
        .env_clear()
        .env("PATH", SAFE_PATH)
        .envs(&command.env)
        .env("RUROCO_IP", permitted.ip().to_string())
        .env("RUROCO_KEY", permitted.key())
        .env("RUROCO_COMMAND", &command.name)
        .current_dir(&command.cwd)
        .process_group(0)
        .stdin(Stdio::null())
        // One pipe for both, so that lines stay in the order they were printed in.
        .stdout(writer.try_clone()?)
        .stderr(writer);
    if let Some(gid) = command.gid {
        process.gid(gid);
    }
    if let Some(uid) = command.uid {
        process.uid(uid);
    }
    let head_start = HeadStart::prepare(&mut process);
    // Our copies of the pipe's writing end go with `process`, or reading would never end.
    let child = process.spawn().map_err(|error| {
        let (program, cwd) = (&command.program, command.cwd.display());
        io::Error::new(error.kind(), format!("could not start {program} in {cwd}: {error}"))
    })?;
    Ok(Started { output, child, head_start })
}

fn leader_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the command has no process id"))
}

/// A run while it lasts.
struct Watch {
    group: Pid,
    /// Readable when the leader has ended; `None` from then on.
    leader: Option<OwnedFd>,
    /// `None` when all writers have closed it, or we no longer care.
    output: Option<PipeReader>,
    phase: Phase,
    /// When the phase is over.
    deadline: Option<Instant>,
    /// Why we ended it, if we did.
    cause: Option<Cause>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has happened yet.
    Running,
    /// The group was told to end.
    Ending,
    /// The leader has ended or the group was killed: what it printed is still to be read.
    Draining,
}

impl Watch {
    /// Waits for leader and output to end and sees to it that they do.
    fn until_over(
        mut self,
        stop: BorrowedFd<'_>,
        mut print: impl FnMut(&[u8]),
    ) -> io::Result<Option<Cause>> {
        while self.leader.is_some() || self.output.is_some() {
            let fds = [
                self.leader.as_ref().map(AsFd::as_fd),
                self.output.as_ref().map(AsFd::as_fd),
                (self.phase == Phase::Running).then_some(stop),
            ];
            let [ended, printed, stopped] = wait(fds, self.deadline)?;
            if printed {
                self.read(&mut print);
            }
            if ended {
                self.leader = None;
                if self.phase == Phase::Running {
                    self.enter(Phase::Draining, Some(DRAIN_GRACE));
                }
            } else if stopped {
                self.end(Cause::Stop);
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.phase_is_over();
            }
        }
        Ok(self.cause)
    }

    fn phase_is_over(&mut self) {
        match self.phase {
            Phase::Running => self.end(Cause::Timeout),
            Phase::Ending => {
                let _ = kill_process_group(self.group, Signal::KILL);
                self.enter(Phase::Draining, Some(DRAIN_GRACE));
            }
            Phase::Draining => {
                self.output = None;
                self.enter(Phase::Draining, None);
            }
        }
    }

    fn end(&mut self, cause: Cause) {
        self.cause = Some(cause);
        let _ = kill_process_group(self.group, Signal::TERM);
        self.enter(Phase::Ending, Some(TERM_GRACE));
    }

    fn enter(&mut self, phase: Phase, length: Option<Duration>) {
        self.phase = phase;
        self.deadline = length.and_then(|length| Instant::now().checked_add(length));
    }

    fn read(&mut self, print: &mut impl FnMut(&[u8])) {
        let mut chunk = [0; CHUNK];
        let Some(output) = &mut self.output else { return };
        match output.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => self.output = None,
            Ok(length) => print(chunk.get(..length).unwrap_or_default()),
        }
    }
}
