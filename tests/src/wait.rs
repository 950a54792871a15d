//! Waiting for something to become true, with an end.
//!
//! No test sleeps and hopes: it asks again until it has its answer, and fails when the deadline
//! has passed.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take. Generous, because it is only ever waited for in full when a test
/// fails, and machines that run tests are busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often to ask.
const INTERVAL: Duration = Duration::from_millis(5);

/// Asks `attempt` until it has an answer; `None` when `deadline` has passed.
pub fn poll<T>(deadline: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = attempt() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}

/// Asks `attempt` until it has an answer.
///
/// # Panics
/// If there is none within [`DEADLINE`]; `what` says what was waited for.
#[track_caller]
pub fn until<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    poll(DEADLINE, attempt).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain for {what}"))
}
