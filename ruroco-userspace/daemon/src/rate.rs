//! Rate limits inside a process: a token bucket, and a number of events of which every key has its share.

use std::time::Duration;

use ruroco_common::{datagram::KeyId, rate::Rate};

use crate::shares::Shares;

/// Lets through so many events a second on average and at most as many at once.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// When the bucket will be full again, in nanoseconds.
    full_at: u64,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(per_second: u32) -> Self {
        Self { rate: Rate::per_second(per_second), full_at: 0 }
    }

    /// Goes on at another rate. The bucket is full again when it would have been.
    pub fn change(&mut self, per_second: u32) {
        self.rate = Rate::per_second(per_second);
    }

    /// Goes on from where another bucket has got to: it is as full as that one.
    pub fn resume(&mut self, other: &Self) {
        self.full_at = other.full_at;
    }

    /// Whether there is a token at `now`, a reading of a clock that never goes back.
    pub fn has_token(&self, now: Duration) -> bool {
        self.rate.take(self.full_at, nanoseconds(now)).is_some()
    }

    /// Takes a token if there is one at `now`.
    pub fn take(&mut self, now: Duration) -> bool {
        let taken = self.rate.take(self.full_at, nanoseconds(now));
        self.full_at = taken.unwrap_or(self.full_at);
        taken.is_some()
    }

    /// When there will be a token again, on the same clock. That time may have passed.
    pub fn next_token(&self) -> Duration {
        Duration::from_nanos(self.rate.next_token(self.full_at))
    }
}

fn nanoseconds(now: Duration) -> u64 {
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Lets through so many events in each period, of which [every key has its share](Shares).
///
/// A period begins with the first event after the last one.
#[derive(Clone, Debug)]
pub struct SharedRate {
    shares: Shares,
    period: Duration,
    /// When the period is over.
    end: Duration,
}

impl SharedRate {
    /// So many events, caused by no more than so many keys.
    pub fn new(events: u32, period: Duration, keys: usize) -> Self {
        Self { shares: Shares::new(events, keys), period, end: Duration::ZERO }
    }

    /// Goes on from where another one has got to.
    pub fn resume(&mut self, other: &Self) {
        self.end = other.end;
        other.shares.taken().for_each(|key| self.shares.take(key));
    }

    /// Takes an event of the key's share, if there is one at `now`, a reading of a clock that never goes
    /// back.
    pub fn take(&mut self, now: Duration, key: KeyId) -> bool {
        if self.end <= now {
            self.shares.clear();
            self.end = now.saturating_add(self.period);
        }
        let may_take = self.shares.may_take(key);
        if may_take {
            self.shares.take(key);
        }
        may_take
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_remembers_what_was_taken() {
        let mut bucket = TokenBucket::new(2);
        let taken = [0, 0, 0, 499, 500, 500].map(|now| bucket.take(Duration::from_millis(now)));
        assert_eq!(taken, [true, true, false, false, true, false]);
    }

    #[test]
    fn another_rate_fills_no_bucket() {
        let mut bucket = TokenBucket::new(2);
        let at = Duration::from_millis;
        assert_eq!([(); 3].map(|()| bucket.take(at(0))), [true, true, false]);
        let mut faster = TokenBucket::new(100);
        faster.resume(&bucket);
        assert_eq!([0, 9, 10, 10].map(|now| faster.take(at(now))), [false, false, true, false]);
    }

    #[test]
    fn a_bucket_says_when_there_will_be_a_token() {
        let mut bucket = TokenBucket::new(2);
        let now = Duration::from_secs(10);
        assert!(bucket.next_token() <= now);
        assert_eq!([(); 3].map(|()| bucket.take(now)), [true, true, false]);
        let next = bucket.next_token();
        assert_eq!(next, Duration::from_millis(10_500));
        assert!(!bucket.has_token(next - Duration::from_nanos(1)) && bucket.has_token(next));
    }

    #[test]
    fn a_key_that_wants_everything_leaves_something_in_every_period() {
        let [greedy, other] = [1, 2].map(|number| KeyId([number; 8]));
        let mut rate = SharedRate::new(10, Duration::from_secs(1), 2);
        for second in 0..3_u64 {
            let at = |milliseconds: u64| Duration::from_millis(second * 1000 + milliseconds);
            let got = (0..999).filter(|milliseconds| rate.take(at(*milliseconds), greedy)).count();
            assert_eq!(got, 5);
            assert!(rate.take(at(999), other));
        }
        let mut next = SharedRate::new(10, Duration::from_secs(1), 2);
        next.resume(&rate);
        assert!(!next.take(Duration::from_millis(2999), greedy), "a reload gives nothing back");
        assert!(next.take(Duration::from_millis(3000), greedy));
    }
}
