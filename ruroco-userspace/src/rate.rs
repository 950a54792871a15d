//! A token bucket, with time as an argument.

use std::time::Duration;

/// Lets through `per_second` events a second on average and at most as many at once.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// One token lasts this long.
    interval: Duration,
    /// A full bucket lasts this long.
    burst: Duration,
    /// When the bucket will be full again.
    full_at: Duration,
}

impl TokenBucket {
    /// A full bucket; `per_second` of 0 counts as 1.
    pub fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Self { interval, burst: interval.saturating_mul(per_second), full_at: Duration::ZERO }
    }

    /// Takes a token if there is one at `now`, a reading of a clock that never goes back.
    pub fn take(&mut self, now: Duration) -> bool {
        let full_at = self.full_at.max(now).saturating_add(self.interval);
        let there_is_one = full_at.saturating_sub(now) <= self.burst;
        if there_is_one {
            self.full_at = full_at;
        }
        there_is_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bucket_holds_a_second_and_refills() {
        let mut bucket = TokenBucket::new(2);
        let taken: Vec<bool> = [0, 0, 0, 499, 500, 500, 1000, 9000, 9000, 9000]
            .map(|milliseconds| bucket.take(Duration::from_millis(milliseconds)))
            .into();
        assert_eq!(taken, [true, true, false, false, true, false, true, true, true, false]);
    }

    proptest! {
        #[test]
        fn no_more_than_the_rate_ever_passes(
            per_second in 1_u32..50,
            steps in proptest::collection::vec(0_u64..300, 1..200),
        ) {
            let mut bucket = TokenBucket::new(per_second);
            let (mut now, mut taken) = (Duration::ZERO, 0_u32);
            for step in steps {
                now = now.saturating_add(Duration::from_millis(step));
                taken = taken.saturating_add(u32::from(bucket.take(now)));
            }
            let most = f64::from(per_second) * (1.0 + now.as_secs_f64());
            prop_assert!(f64::from(taken) <= most + 1.0);
        }
    }
}
