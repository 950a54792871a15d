//! The two clocks of a verdict, read once and passed on as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since the Unix epoch: what counters are compared with. May jump.
    pub epoch: u128,
    /// Since the machine started, as the kernel stamps candidates (`CLOCK_BOOTTIME`). Never jumps.
    pub boot: Duration,
}

impl Now {
    /// Reads the clocks. A wall clock before 1970 reads as 1970, which makes every honest counter
    /// one from the future.
    pub fn read() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let boot = clock_gettime(ClockId::Boottime);
        Self {
            epoch: epoch.as_nanos(),
            boot: Duration::new(
                u64::try_from(boot.tv_sec).unwrap_or_default(),
                u32::try_from(boot.tv_nsec).unwrap_or_default(),
            ),
        }
    }
}
