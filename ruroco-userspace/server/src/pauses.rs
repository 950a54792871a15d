//! A short sleep now and then, even under load.
//!
//! A service manager may limit how long a process with real-time scheduling runs without a sleep
//! (`LimitRTTIME=`), to end a process in an endless loop. As long as candidates arrive faster than the server
//! verifies them, waiting for more returns at once, and a busy server would look just like an endless loop: a
//! key holder could have it killed again and again. The kernel restarts its count whenever a process wakes up
//! from a sleep, however short (`enqueue_task_rt` with `ENQUEUE_WAKEUP`, `kernel/sched/rt.c`), and only then.
//!
//! Rationale: decision 0010.

use std::time::{Duration, Instant};

/// How long the loop goes on without a pause at most: an eighth of what the package's unit allows.
const STRETCH: Duration = Duration::from_millis(250);

/// The length of a pause. It must only be a sleep; packets wait in the ring in the meantime.
const LENGTH: Duration = Duration::from_millis(1);

/// When the loop must sleep, even under load.
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
