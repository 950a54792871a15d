//! The two clocks of a verdict, read once and passed on as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ruroco_ipc::boot_clock;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since the Unix epoch: what counters are compared with. May jump.
    pub epoch: u128,
    /// On [the boot clock](boot_clock), by which the kernel stamps candidates. Never jumps.
    pub boot: Duration,
}

impl Now {
    /// Reads the clocks. A wall clock before 1970 reads as 1970, which makes every honest counter
    /// one from the future.
    pub fn read() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch: epoch.as_nanos(), boot: boot_clock::now() }
    }
}
