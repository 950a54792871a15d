//! How many events a second may happen: a token bucket for the kernel and for user space, with the
//! time as an argument.
//!
//! All that a bucket remembers is the time at which it will be full again, so that it is one word
//! in a BPF map.
//!
//! Rationale: decision 0027.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A full bucket holds what one second brings. Nanoseconds.
const FULL: u64 = 1_000_000_000;

/// So many events a second on average, and at most as many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Rate {
    /// After how many nanoseconds the next token comes; 0 if none ever does.
    interval: u64,
}

impl Rate {
    /// Not one event. Memory that was never filled means the same.
    pub const NEVER: Self = Self { interval: 0 };

    /// So many events a second, at most one in a nanosecond; 0 is [`Rate::NEVER`].
    #[expect(clippy::as_conversions, reason = "`u64::from` is not const")]
    pub const fn per_second(events: u32) -> Self {
        match FULL.checked_div(events as u64) {
            None => Self::NEVER,
            Some(0) => Self { interval: 1 },
            Some(interval) => Self { interval },
        }
    }

    /// Whether this is [`Rate::NEVER`].
    #[inline(always)]
    pub const fn is_never(self) -> bool {
        self.interval == 0
    }

    /// Takes a token from a bucket that will be full again at `full_at`, if there is one at `now`;
    /// when the bucket will be full again then. Both times are nanoseconds of the same clock, which
    /// never goes back; a bucket that was never used is full at 0.
    #[inline(always)]
    pub const fn take(self, full_at: u64, now: u64) -> Option<u64> {
        if self.is_never() {
            return None;
        }
        let from = if full_at > now { full_at } else { now };
        let full_at = from.saturating_add(self.interval);
        if full_at.saturating_sub(now) <= FULL { Some(full_at) } else { None }
    }

    /// When [`Rate::take`] next finds a token in such a bucket, if none is taken before: a time that
    /// may have passed.
    pub const fn next_token(self, full_at: u64) -> u64 {
        if self.is_never() {
            return u64::MAX;
        }
        full_at.saturating_add(self.interval).saturating_sub(FULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Bucket(Rate, u64);

    impl Bucket {
        fn take(&mut self, now: u64) -> bool {
            let taken = self.0.take(self.1, now);
            self.1 = taken.unwrap_or(self.1);
            taken.is_some()
        }
    }

    #[test]
    fn a_bucket_holds_a_second_and_refills() {
        let mut bucket = Bucket(Rate::per_second(2), 0);
        let taken = [0, 0, 0, 499, 500, 500, 1000, 9000, 9000, 9000]
            .map(|milliseconds| bucket.take(milliseconds * 1_000_000));
        assert_eq!(taken, [true, true, false, false, true, false, true, true, true, false]);
    }

    #[test]
    fn what_nobody_has_filled_lets_nothing_through() {
        let unfilled = Rate::read_from_bytes(&[0; 8]).unwrap();
        for rate in [unfilled, Rate::NEVER, Rate::per_second(0)] {
            assert!(rate.is_never());
            assert_eq!(rate.take(0, u64::MAX), None);
        }
    }

    #[test]
    fn any_rate_but_0_lets_something_through() {
        for events in [1, 999_999_999, 1_000_000_000, 1_000_000_001, u32::MAX] {
            assert!(Rate::per_second(events).take(0, 0).is_some(), "{events}");
        }
    }

    proptest! {
        #[test]
        fn no_more_than_the_rate_ever_passes(
            per_second: u32,
            full_at in 0_u64..10_000_000_000,
            steps in proptest::collection::vec(0_u64..300_000_000, 1..200),
        ) {
            let mut bucket = Bucket(Rate::per_second(per_second), full_at);
            let (mut now, mut taken) = (0_u64, 0_u128);
            for step in steps {
                now = now.saturating_add(step);
                taken = taken.saturating_add(u128::from(bucket.take(now)));
            }
            // Times a billion, so that nothing is rounded.
            let most = u128::from(per_second).saturating_mul(u128::from(FULL.saturating_add(now)));
            prop_assert!(taken.saturating_mul(u128::from(FULL)) <= most);
        }
    }
}
