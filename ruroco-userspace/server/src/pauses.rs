//! A short sleep now and then, however much there is to do.
//!
//! A service manager may bound how long a process in real time goes on without sleeping
//! (`LimitRTTIME=`), so that one that runs wild is ended. As long as candidates come faster than they
//! are judged, waiting for more of them returns at once, and a server that does what it is there for
//! would look just like that: whoever has a key could have it killed again and again. The kernel counts
//! anew whenever a process wakes up from a sleep, however short (`enqueue_task_rt` with
//! `ENQUEUE_WAKEUP`, `kernel/sched/rt.c`), and only then.
//!
//! Rationale: decision 0010.

use std::time::{Duration, Instant};

/// How long the loop goes on without a pause at most: an eighth of what the package's unit allows.
const STRETCH: Duration = Duration::from_millis(250);

/// How long a pause is. It only has to be a sleep; what comes meanwhile waits in the ring.
const LENGTH: Duration = Duration::from_millis(1);

/// When the loop is to sleep whatever there is to do.
#[derive(Debug)]
pub struct Pauses {
    due: Instant,
}

impl Pauses {
    /// The first is due at once.
    pub fn starting(now: Instant) -> Self {
        Self { due: now }
    }

    /// Until when to sleep now, if a pause is due. Whether the loop has slept since the last one does
    /// not matter: where little comes, nothing waits for a pause that follows it.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        if now < self.due {
            return None;
        }
        self.due = now.checked_add(STRETCH)?;
        now.checked_add(LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_the_loop_goes_on_it_sleeps_in_every_stretch() {
        let start = Instant::now();
        let mut pauses = Pauses::starting(start);
        let turn = Duration::from_micros(700);
        let (mut now, mut last) = (start, start);
        while now < start + STRETCH * 8 {
            now += turn;
            if let Some(end) = pauses.take(now) {
                assert!(now - last <= STRETCH + turn, "{:?} without a pause", now - last);
                assert!(end > now);
                (now, last) = (end, end);
            }
        }
        assert!(now - last <= STRETCH + turn);
    }

    #[test]
    fn pauses_cost_next_to_nothing() {
        let start = Instant::now();
        let mut pauses = Pauses::starting(start);
        let turns = (0..10_000).map(|turn| start + Duration::from_micros(100) * turn);
        let slept: Duration = turns.filter_map(|now| Some(pauses.take(now)? - now)).sum();
        assert!(slept <= Duration::from_millis(10), "{slept:?} of a second");
    }
}
