//! The clock by which the kernel stamps packets: time since the machine started, sleep included
//! (`CLOCK_BOOTTIME`). It never jumps, and is the same for all processes of a host.
//!
//! Rationale: decision 0006.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Reads the clock.
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// A reading of this clock on that of [`Instant`], for waiting until then.
pub fn to_instant(at: Duration) -> Option<Instant> {
    Instant::now().checked_add(at.saturating_sub(now()))
}
