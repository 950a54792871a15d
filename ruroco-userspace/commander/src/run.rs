//! One run of one command, from its start to its end.
//!
//! A run is a session of its own, led by the command, and a process group. Two events end a run early: its
//! timeout, and the end of the commander. The whole group then gets `SIGTERM` and, [`TERM_GRACE`] later,
//! `SIGKILL`. It is killed earlier if the leader is dead and no process in the group has the output open any
//! more, because nothing is left to wait for. A process that has left the group (`setsid`) has left the run,
//! too.
//!
//! When a leader ends by itself, processes that it put into the background continue: a command may well start
//! a daemon. The run does not wait for them: their output is read for [`DRAIN_GRACE`] more, then the run is
//! over and [another module](super::left_behind) empties the pipe.
//!
//! All signals are sent before the leader is waited for, dead or alive. Until then, its number cannot belong
//! to another process, so no signal can hit an unrelated process.

use std::{
    io::{self, PipeReader, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use ruroco_commands::task::Program;
use ruroco_daemon::wait::wait;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{
    audit::Audit,
    doors,
    outcome::{NotRun, Outcome},
    output::{LogShares, Output},
    rules::Permitted,
    spawn::{Started, spawn},
};

/// The time a group gets to end after `SIGTERM` before it gets `SIGKILL`.
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

/// Starts a permitted run and returns when it has ended. Returns its output if a process still has it open.
/// When the other end of `stop` is closed, the run ends early. The gate opens and closes doors at the socket
/// `doors`.
pub fn run(
    permitted: &Permitted,
    stop: BorrowedFd<'_>,
    doors: &Path,
    audit: &Audit,
    log_shares: &LogShares,
) -> Option<PipeReader> {
    let (command, key) = (permitted.command().name.as_str(), permitted.key());
    let (ip, counter) = (permitted.ip(), permitted.counter());
    tracing::info!(%command, %key, %ip, %counter, "running");
    audit.running(permitted);

    let start = Instant::now();
    let mut output = Output::default();
    let mut beyond_share = 0_u64;
    let mut log = |line: &str| {
        if log_shares.take(permitted.key_id()) {
            tracing::info!(%command, %key, %counter, line, "output");
        } else {
            let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
            beyond_share = beyond_share.saturating_add(length);
        }
    };
    let (result, left) = match doors::change_all(permitted, doors, stop, audit) {
        Ok(()) => execute(permitted, stop, |printed| output.push(printed, &mut log)),
        Err(failed) if failed.is_stopped => (Ok(Outcome::Stopped), None),
        Err(failed) => (Err(failed.into()), None),
    };
    let dropped = output.finish(&mut log).saturating_add(beyond_share);
    if dropped > 0 {
        tracing::warn!(%command, %key, %counter, dropped_bytes = dropped, "too much output");
    }

    let duration = start.elapsed();
    audit.ended(permitted, &result, duration);
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(result @ (Outcome::Exit(0) | Outcome::Done)) => {
            tracing::info!(%command, %key, %ip, %counter, %result, duration_ms, "ended");
        }
        Ok(result) => {
            tracing::warn!(%command, %key, %ip, %counter, %result, duration_ms, "ended");
        }
        Err(error) => {
            let result = error.name();
            tracing::error!(
                %command, %key, %ip, %counter, %result, duration_ms, %error, "ended"
            );
        }
    }
    left
}

/// How it ended, and its output, if a process still has it open.
fn execute(
    permitted: &Permitted,
    stop: BorrowedFd<'_>,
    print: impl FnMut(&[u8]),
) -> (Result<Outcome, NotRun>, Option<PipeReader>) {
    let mut left = None;
    let outcome = match permitted.command().task.program() {
        Some(program) => watch(permitted, program, stop, print, &mut left),
        None => Ok(Outcome::Done),
    };
    (outcome.map_err(NotRun::from), left)
}

fn watch(
    permitted: &Permitted,
    program: &Program,
    stop: BorrowedFd<'_>,
    print: impl FnMut(&[u8]),
    left: &mut Option<PipeReader>,
) -> io::Result<Outcome> {
    let (command, started) = (permitted.command(), spawn(permitted, program)?);
    supervise(&command.name, started, command.timeout, stop, print, left)
}

/// Watches a program until its end, which comes after `timeout` at the latest.
pub(super) fn supervise(
    name: &str,
    started: Started,
    timeout: Duration,
    stop: BorrowedFd<'_>,
    print: impl FnMut(&[u8]),
    left: &mut Option<PipeReader>,
) -> io::Result<Outcome> {
    let Started { output, mut child, head_start } = started;
    let group = leader_of(&child)?;
    let deadline = Instant::now().checked_add(timeout);
    let watched = pidfd_open(group, PidfdFlags::empty()).map_err(io::Error::from).and_then(|pid| {
        if let Some(Err(error)) = head_start.map(|start| start.pass(group, pid.as_fd())) {
            tracing::warn!(command = %name, %error, "the command keeps real-time scheduling. Check that the commander has \
                CAP_SYS_NICE");
        }
        let leader = Some(pid);
        Watch { group, leader, output: Some(output), phase: Phase::Running, deadline, cause: None }
            .until_over(stop, print, left)
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
    /// The group has received `SIGTERM`.
    Ending,
    /// The leader has ended or the group was killed: what it printed is still to be read.
    Draining,
}

impl Watch {
    /// Waits for leader and output to end and sees to it that they do, or that the output is `left`.
    fn until_over(
        mut self,
        stop: BorrowedFd<'_>,
        mut print: impl FnMut(&[u8]),
        left: &mut Option<PipeReader>,
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
                self.phase_is_over(left);
            }
        }
        Ok(self.cause)
    }

    fn phase_is_over(&mut self, left: &mut Option<PipeReader>) {
        match self.phase {
            Phase::Running => self.end(Cause::Timeout),
            Phase::Ending => {
                let _ = kill_process_group(self.group, Signal::KILL);
                self.enter(Phase::Draining, Some(DRAIN_GRACE));
            }
            Phase::Draining => {
                *left = self.output.take();
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
