//! Runs that wait for the rate limit, in the order of their arrival.
//!
//! An order beyond `max_knocks_per_second` is not rejected, because its counter is used up already: it waits.
//! A sound server sends no more than the limit, so orders wait only if they arrived together because one of
//! the two processes was busy. Each waiting order has its [slot](ruroco_ipc::slots), so there are never more
//! of them than slots.

use std::{collections::VecDeque, mem, time::Duration};

use ruroco_daemon::rate::TokenBucket;

use super::{refusal::Refusal, rules::Permitted, runs::Slot};

/// The runs that wait, and the limit.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<(Permitted, Slot)>,
    rate: TokenBucket,
}

impl Queue {
    /// None waits yet, and so many can be started in a second.
    pub fn new(per_second: u32) -> Self {
        Self { waiting: VecDeque::new(), rate: TokenBucket::new(per_second) }
    }

    /// Goes on with another limit. What has been used up of it stays so.
    pub fn change(&mut self, per_second: u32) {
        self.rate.change(per_second);
    }

    /// Adds a run.
    pub fn push(&mut self, permitted: Permitted, slot: Slot) {
        self.waiting.push_back((permitted, slot));
    }

    /// The next run that can be started at `now`, a reading of the boot clock.
    pub fn next(&mut self, now: Duration) -> Option<(Permitted, Slot)> {
        if self.waiting.is_empty() || !self.rate.take(now) {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Judges the waiting runs again after the rules have changed. A rejected run leaves the queue and frees
    /// its slot.
    pub fn judge_again(
        &mut self,
        judge: impl Fn(&Permitted) -> Result<Permitted, Refusal>,
    ) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (waiting, slot) in mem::take(&mut self.waiting) {
            match judge(&waiting) {
                Ok(permitted) => self.push(permitted, slot),
                Err(refusal) => refusals.push(refusal),
            }
        }
        refusals
    }

    /// When the next run can be started, on the boot clock, if one waits.
    pub fn due(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then(|| self.rate.next_token())
    }
}
