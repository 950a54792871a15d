//! The output of a command on its way into the log: whole lines, a limited number in each run, and for each
//! key a share of the lines that the log accepts.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ruroco_common::datagram::KeyId;
use ruroco_daemon::rate::SharedRate;
use ruroco_ipc::boot_clock;

/// Bytes of a run's output that are logged; what comes after is counted.
pub const MAX_BYTES: usize = 64 * 1024;

/// Lines of a run's output that are logged, so that empty ones are not free.
pub const MAX_LINES: usize = 500;

/// Longer lines are logged in pieces of this size. The journal splits lines itself at 48 KiB
/// (systemd's `LineMax=`), and other readers much earlier.
const MAX_LINE: usize = 1024;

/// Lines that are logged in each [`PERIOD`], from all runs together. The journal drops what a service
/// logs beyond 10,000 lines in 30 seconds (systemd's `RateLimitBurst=`), and does not know by whose
/// commands: the other half is for lines that say what was run.
const SHARED_LINES: u32 = 5_000;
const PERIOD: Duration = Duration::from_secs(30);

/// Each key's share of the lines that are logged.
#[derive(Debug)]
pub struct LogShares(Mutex<SharedRate>);

impl Default for LogShares {
    /// Nothing was logged yet.
    fn default() -> Self {
        Self(Mutex::new(SharedRate::new(SHARED_LINES, PERIOD, 0)))
    }
}

impl LogShares {
    /// Takes a line of the key's share, if there is one now.
    pub fn take(&self, key: KeyId) -> bool {
        let mut rate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(boot_clock::now(), key)
    }
}

/// The output of one run so far.
#[derive(Debug, Default)]
pub struct Output {
    line: Vec<u8>,
    bytes: usize,
    lines: usize,
    dropped: u64,
}

impl Output {
    /// Takes what was printed, and calls `log` with every line that it completes. Bytes that are
    /// not UTF-8 become replacement characters.
    pub fn push(&mut self, printed: &[u8], mut log: impl FnMut(&str)) {
        let room = MAX_BYTES.saturating_sub(self.bytes);
        for (index, byte) in printed.iter().enumerate() {
            if index >= room || self.lines >= MAX_LINES {
                let rest = printed.len().saturating_sub(index);
                self.dropped = self.dropped.saturating_add(u64::try_from(rest).unwrap_or(u64::MAX));
                return;
            }
            self.bytes = self.bytes.saturating_add(1);
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() >= MAX_LINE {
                self.emit(&mut log);
            }
        }
    }

    /// Logs a last line that had no end. Returns how many bytes were not logged.
    pub fn finish(mut self, mut log: impl FnMut(&str)) -> u64 {
        if !self.line.is_empty() {
            self.emit(&mut log);
        }
        self.dropped
    }

    fn emit(&mut self, log: &mut impl FnMut(&str)) {
        log(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        self.lines = self.lines.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines and how many bytes were not among them.
    fn logged<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, u64) {
        let (mut output, mut lines) = (Output::default(), Vec::new());
        for piece in pieces {
            output.push(piece, |line| lines.push(line.to_owned()));
        }
        let dropped = output.finish(|line| lines.push(line.to_owned()));
        (lines, dropped)
    }

    #[test]
    fn lines_arrive_whole_however_they_were_written() {
        let (lines, dropped) = logged([&b"one\ntw"[..], b"o", b"\n\nth\xffree"]);
        assert_eq!(lines, ["one", "two", "", "th\u{fffd}ree"]);
        assert_eq!(dropped, 0);
    }

    #[test]
    fn a_chatty_command_is_cut_by_bytes_and_by_lines() {
        let (lines, dropped) = logged(std::iter::repeat_n(&[b'x'; 1000][..], 1000));
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), MAX_BYTES);
        assert_eq!(dropped, 1_000_000 - 65_536);

        let (lines, dropped) = logged(std::iter::repeat_n(&b"\n"[..], 1000));
        assert_eq!((lines.len(), dropped), (MAX_LINES, 500));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_unnoticed(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..50)) {
            let printed: usize = pieces.iter().map(Vec::len).sum();
            let mut output = Output::default();
            for piece in &pieces {
                output.push(piece, |_| ());
            }
            let kept = output.bytes;
            let dropped = usize::try_from(output.finish(|_| ())).unwrap();
            prop_assert_eq!(printed.checked_sub(kept), Some(dropped));
        }
    }
}
