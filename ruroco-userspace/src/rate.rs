//! A token bucket of this process's own.

use std::time::Duration;

use ruroco_common::rate::Rate;

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

    /// Takes a token if there is one at `now`, a reading of a clock that never goes back.
    pub fn take(&mut self, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let taken = self.rate.take(self.full_at, now);
        self.full_at = taken.unwrap_or(self.full_at);
        taken.is_some()
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
}
