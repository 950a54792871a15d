//! The doors of a run: the commander asks the gate to open or to close them, before the command's program starts.
//!
//! Each request has a connection of its own, in the thread of the run: a gate that hangs delays no other run. If
//! the gate restarts or is busy, the commander tries again for as long as [a knock may wait](MAX_WAIT). A request
//! may reach the gate twice, if the gate ends between request and answer: then the second one renews the lease
//! of the first.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use ruroco_commands::task::{DoorAction, DoorChange};
use ruroco_daemon::wait::wait;
use ruroco_ipc::{
    boot_clock,
    lease::{Action, Answer, Request},
    order::MAX_WAIT,
    private_socket::connect,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::{audit::Audit, door_failure::Failure, rules::Permitted};

/// How long to wait before the next attempt to reach the gate.
const AGAIN: Duration = Duration::from_millis(100);

/// What became of a door.
#[derive(Debug)]
pub struct Changed {
    /// The gate's answer.
    pub answer: Answer,
    /// When the lease ends, if the door was opened; seconds since 1970.
    pub until: Option<u64>,
}

/// The doors that a run could not change.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct DoorsFailed {
    text: String,
    /// Whether the end of the commander is a reason.
    pub is_stopped: bool,
}

/// Changes all doors of a run, even if one of them fails. When the other end of `stop` is closed, the remaining
/// ones fail.
///
/// # Errors
/// The doors that failed, each with its reason.
pub fn change_all(
    permitted: &Permitted,
    socket: &Path,
    stop: BorrowedFd<'_>,
    audit: &Audit,
) -> Result<(), DoorsFailed> {
    let deadline = permitted.order().received_at.saturating_add(MAX_WAIT);
    let gate = Gate { socket, stop, deadline: boot_clock::to_instant(deadline) };
    let mut failed = Vec::new();
    let mut is_stopped = false;
    for change in permitted.command().task.doors() {
        let changed = gate.change(permitted, change);
        log(permitted, change, &changed);
        audit.door(permitted, change, &changed);
        if let Err(failure) = changed {
            let (verb, door) = (verb(change.action), change.door);
            failed.push(format!("could not {verb} {door}: {}", failure.reason()));
            is_stopped |= matches!(failure, Failure::Stopping);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(DoorsFailed { text: failed.join("; "), is_stopped }),
    }
}

/// A word for what was to be done with a door.
const fn verb(action: DoorAction) -> &'static str {
    match action {
        DoorAction::Open { .. } => "open",
        DoorAction::Close => "close",
    }
}

fn log(permitted: &Permitted, change: &DoorChange, changed: &Result<Changed, Failure>) {
    let (door, key, ip) = (change.door, permitted.key(), permitted.ip());
    let counter = permitted.counter();
    match (changed, change.action) {
        (Ok(Changed { answer, .. }), DoorAction::Open { duration }) => {
            let duration = format_args!("{}s", duration.as_secs());
            match answer {
                Answer::Renewed => {
                    tracing::info!(%door, %ip, %key, %counter, "for" = %duration, "renewed");
                }
                _ => tracing::info!(%door, %ip, %key, %counter, "for" = %duration, "opened"),
            }
        }
        (Ok(Changed { answer, .. }), DoorAction::Close) => match answer {
            Answer::WasClosed => tracing::info!(%door, %ip, %key, %counter, "was closed already"),
            _ => tracing::info!(%door, %ip, %key, %counter, "closed"),
        },
        (Err(failure), action) => {
            let (reason, detail) = (failure.reason(), failure);
            match action {
                DoorAction::Open { .. } => {
                    tracing::error!(%door, %ip, %key, %counter, %reason, %detail, "not opened");
                }
                DoorAction::Close => {
                    tracing::error!(%door, %ip, %key, %counter, %reason, %detail, "not closed");
                }
            }
        }
    }
}

/// The gate, as a run sees it.
struct Gate<'a> {
    socket: &'a Path,
    stop: BorrowedFd<'a>,
    /// When to give up.
    deadline: Option<Instant>,
}

/// Why an attempt gave no answer.
enum Trouble {
    /// The next one may.
    Passing(io::Error),
    /// None will.
    Lasting(Failure),
}

impl From<Errno> for Trouble {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, ConnectionRefused, ConnectionReset, Interrupted, NotFound, WouldBlock,
        };
        match error.kind() {
            NotFound | ConnectionRefused | ConnectionReset | BrokenPipe | WouldBlock
            | Interrupted => Self::Passing(error),
            _ => Self::Lasting(Failure::Unreachable(error)),
        }
    }
}

impl Gate<'_> {
    /// Requests a change until the gate answers.
    fn change(&self, permitted: &Permitted, change: &DoorChange) -> Result<Changed, Failure> {
        loop {
            let passing = match self.attempt(permitted, change) {
                Ok(changed) => return Ok(changed),
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(error)) => error,
            };
            let now = Instant::now();
            if self.is_over(now) {
                return Err(Failure::Away(passing));
            }
            let next = now.checked_add(AGAIN);
            let [is_stopped] =
                wait([Some(self.stop)], next.min(self.deadline)).map_err(Failure::Unreachable)?;
            if is_stopped {
                return Err(Failure::Stopping);
            }
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_none_or(|deadline| deadline <= now)
    }

    /// Sends one request and waits for the answer.
    fn attempt(&self, permitted: &Permitted, change: &DoorChange) -> Result<Changed, Trouble> {
        let socket = connect(self.socket)?;
        // The time counts from the request on: the gate may have been away for a while.
        let (action, until) = match change.action {
            DoorAction::Open { duration } => {
                let until = boot_clock::now().saturating_add(duration);
                (Action::Open { until }, seconds_since_1970(duration))
            }
            DoorAction::Close => (Action::Close, None),
        };
        let order = permitted.order();
        let request = Request {
            action,
            door: change.door,
            address: order.address,
            key: order.key,
            counter: order.counter,
        };
        send(&socket, &request.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        let answer = self.answer(socket.as_fd())?;
        let fits = match action {
            Action::Open { .. } => matches!(answer, Answer::Opened | Answer::Renewed),
            Action::Close => matches!(answer, Answer::Closed | Answer::WasClosed),
        };
        match (fits, answer.is_success()) {
            (true, _) => Ok(Changed { answer, until }),
            (false, true) => Err(Trouble::Lasting(Failure::UnknownAnswer)),
            (false, false) => Err(Trouble::Lasting(Failure::Rejected(answer))),
        }
    }

    fn answer(&self, socket: BorrowedFd<'_>) -> Result<Answer, Trouble> {
        loop {
            let [has_come, is_stopped] = wait([Some(socket), Some(self.stop)], self.deadline)?;
            if has_come {
                // One byte more than an answer, so that one which is too long does not look right.
                let mut answer = [0; 2];
                return match recv(socket, &mut answer, RecvFlags::DONTWAIT)? {
                    (0, _) => Err(Trouble::Passing(io::Error::other("it closed the connection"))),
                    (1, _) => {
                        Answer::decode(answer[0]).ok_or(Trouble::Lasting(Failure::UnknownAnswer))
                    }
                    _ => Err(Trouble::Lasting(Failure::UnknownAnswer)),
                };
            }
            if is_stopped {
                return Err(Trouble::Lasting(Failure::Stopping));
            }
            if self.is_over(Instant::now()) {
                return Err(Trouble::Lasting(Failure::Silent));
            }
        }
    }
}

/// When a time from now on is over.
fn seconds_since_1970(duration: Duration) -> Option<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(now.saturating_add(duration).as_secs())
}
