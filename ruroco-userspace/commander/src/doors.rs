//! The doors of a run: the commander asks the gate to open or to close them, before the command's program starts.
//!
//! Each request is made in the thread of the run: a gate that hangs delays no other run. The commander tries for as
//! long as [a knock may wait](MAX_WAIT).

use std::{
    os::fd::BorrowedFd,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use ruroco_commands::task::{DoorAction, DoorChange};
use ruroco_ipc::{
    boot_clock,
    door_client::{DoorClient, Failure},
    lease::{Action, Answer, Request},
    order::MAX_WAIT,
};

use super::{audit::Audit, rules::Permitted};

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
    let deadline = boot_clock::to_instant(deadline).unwrap_or_else(Instant::now);
    let gate = DoorClient { socket, stop: Some(stop), deadline };
    let mut failed = Vec::new();
    let mut is_stopped = false;
    for change in permitted.command().task.doors() {
        let changed = match is_stopped {
            true => Err(Failure::Stopping),
            false => request(&gate, permitted, change),
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

/// Requests a change until the gate answers.
fn request(
    gate: &DoorClient<'_>,
    permitted: &Permitted,
    change: &DoorChange,
) -> Result<Changed, Failure> {
    let order = permitted.order();
    let mut wanted = None;
    let answer = gate.request(|| {
        let action = match change.action {
            DoorAction::Open { duration } => {
                // The time counts from the first request on: before, the gate may have been away for a while. A gate
                // that has ended since may have opened the door, so that the time does not begin again.
                let (_, until) = *wanted.get_or_insert_with(|| {
                    (Until::after(duration), boot_clock::now().saturating_add(duration))
                });
                Action::Open { until }
            }
            DoorAction::Close => Action::Close,
        };
        let (door, address) = (change.door, order.address);
        Request { action, door, address, key: order.key, counter: order.counter }
    })?;
    meaning(answer, wanted.map(|(until, _)| until))
}

/// The meaning of an answer to a request to open a door `until` then, or to close it.
const fn meaning(answer: Answer, until: Option<Until>) -> Result<Changed, Failure> {
    match (answer, until) {
        (Answer::Opened, Some(until)) => Ok(Changed::Opened(until)),
        (Answer::Renewed, Some(until)) => Ok(Changed::Renewed(until)),
        (Answer::Closed, None) => Ok(Changed::Closed),
        (Answer::WasClosed, None) => Ok(Changed::WasClosed),
        _ => Err(Failure::UnknownAnswer),
    }
}

impl Until {
    /// When so much time from now on is over.
    fn after(duration: Duration) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { epoch: now.saturating_add(duration).as_secs(), seconds: duration.as_secs() }
    }
}
