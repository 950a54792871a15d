//! The doors of a run: the commander asks the gate to open or to close them, before the command's program starts.
//!
//! Each request has a connection of its own, in the thread of the run: a gate that hangs delays no other run. If
//! the gate restarts or is busy, the commander tries again for as long as [a knock may wait](MAX_WAIT). A request
//! may reach the gate twice, if the gate ends between request and answer: then the second one has the same end, and
//! the lease becomes no longer.

use std::{
    io::{self, ErrorKind},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The address has a lease, and had none before.
    Opened(Until),
    /// The lease that the address had lasts longer.
    Renewed(Until),
    /// The address has no lease any more.
    Closed,
    /// The address had no lease.
    WasClosed,
}

/// When a lease ends, at the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// Seconds since 1970.
    pub epoch: u64,
    /// Seconds after the request.
    pub seconds: u64,
}

impl Changed {
    /// Its one name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened(_) => Answer::Opened.name(),
            Self::Renewed(_) => Answer::Renewed.name(),
            Self::Closed => Answer::Closed.name(),
            Self::WasClosed => Answer::WasClosed.name(),
        }
    }
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
        let changed = match is_stopped {
            true => Err(Failure::Stopping),
            false => gate.change(permitted, change),
        };
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
    let duration = |until: &Until| format!("{}s", until.seconds);
    match (changed, change.action) {
        (Ok(Changed::Opened(until)), _) => {
            tracing::info!(%door, %ip, %key, %counter, "for" = %duration(until), "opened");
        }
        (Ok(Changed::Renewed(until)), _) => {
            tracing::info!(%door, %ip, %key, %counter, "for" = %duration(until), "renewed");
        }
        (Ok(Changed::Closed), _) => tracing::info!(%door, %ip, %key, %counter, "closed"),
        (Ok(Changed::WasClosed), _) => {
            tracing::info!(%door, %ip, %key, %counter, "was closed already");
        }
        (Err(failure), DoorAction::Open { .. }) => {
            let reason = failure.reason();
            tracing::error!(%door, %ip, %key, %counter, %reason, detail = %failure, "not opened");
        }
        (Err(failure), DoorAction::Close) => {
            let reason = failure.reason();
            tracing::error!(%door, %ip, %key, %counter, %reason, detail = %failure, "not closed");
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
        match PASSING.contains(&error.kind()) {
            true => Self::Passing(error),
            false => Self::Lasting(Failure::Unreachable(error)),
        }
    }
}

/// The errors of a gate that is away, busy, or about to end.
const PASSING: [ErrorKind; 6] = [
    ErrorKind::NotFound,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::BrokenPipe,
    ErrorKind::WouldBlock,
    ErrorKind::Interrupted,
];

impl Gate<'_> {
    /// Requests a change until the gate answers.
    fn change(&self, permitted: &Permitted, change: &DoorChange) -> Result<Changed, Failure> {
        let mut sent = None;
        loop {
            let passing = match self.attempt(permitted, change, &mut sent) {
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

    /// Sends one request and waits for the answer. `sent` is the first lease that was requested of a gate.
    fn attempt(
        &self,
        permitted: &Permitted,
        change: &DoorChange,
        sent: &mut Option<Wanted>,
    ) -> Result<Changed, Trouble> {
        let socket = connect(self.socket)?;
        let order = permitted.order();
        let request = |action| Request {
            action,
            door: change.door,
            address: order.address,
            key: order.key,
            counter: order.counter,
        };
        let ask = |action| {
            let message = request(action).encode();
            send(&socket, &message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
        };
        let changed = match change.action {
            DoorAction::Open { duration } => {
                // The time counts from the first request on that a gate may have carried out, even if it has ended since.
                // Before that, the gate may have been away for a while.
                let wanted = sent.unwrap_or_else(|| Wanted::from_now(duration));
                if wanted.until_boot <= boot_clock::now() {
                    return Err(Trouble::Lasting(Failure::Unanswered));
                }
                ask(Action::Open { until: wanted.until_boot })?;
                *sent = Some(wanted);
                meaning(self.answer(socket.as_fd())?, Some(wanted.until))
            }
            DoorAction::Close => {
                ask(Action::Close)?;
                meaning(self.answer(socket.as_fd())?, None)
            }
        };
        changed.map_err(Trouble::Lasting)
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

/// The meaning of an answer to a request to open a door `until` then, or to close it.
const fn meaning(answer: Answer, until: Option<Until>) -> Result<Changed, Failure> {
    match (answer, until) {
        (Answer::Opened, Some(until)) => Ok(Changed::Opened(until)),
        (Answer::Renewed, Some(until)) => Ok(Changed::Renewed(until)),
        (Answer::Closed, None) => Ok(Changed::Closed),
        (Answer::WasClosed, None) => Ok(Changed::WasClosed),
        (Answer::Opened | Answer::Renewed, None)
        | (Answer::Closed | Answer::WasClosed, Some(_)) => Err(Failure::UnknownAnswer),
        (
            Answer::UnknownDoor
            | Answer::UnknownKey
            | Answer::TooLong
            | Answer::TooManyOfKey
            | Answer::Full
            | Answer::Failed
            | Answer::Malformed,
            _,
        ) => Err(Failure::Rejected(answer)),
    }
}

/// A lease to request.
#[derive(Clone, Copy)]
struct Wanted {
    until: Until,
    /// The same on the boot clock.
    until_boot: Duration,
}

impl Wanted {
    /// For so much time from now on.
    fn from_now(duration: Duration) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = now.saturating_add(duration).as_secs();
        Self {
            until: Until { epoch, seconds: duration.as_secs() },
            until_boot: boot_clock::now().saturating_add(duration),
        }
    }
}
