//! Why a candidate did not become an order, and how that is logged without giving the sender a
//! way to write the log.

use std::time::Duration;

/// The reason for a refusal. None of them consumes the packet's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// The datagram is not 94 bytes long (only `source = "udp"`; XDP has its own verdict).
    WrongLength,
    /// It waited longer than [`MAX_WAIT`](super::verifier::MAX_WAIT) for this process.
    Expired,
    /// No key has this id.
    UnknownKey,
    /// The tag is wrong.
    Forged,
    /// Authentic, but of another version.
    WrongVersion,
    /// The counter is not greater than the key's floor: a copy, or overtaken.
    OldCounter,
    /// The counter is too far ahead of this host's clock.
    FutureCounter,
    /// Made for another host.
    WrongDestination,
    /// Strict, and the claimed source is not the real one.
    WrongSource,
    /// The key may not run this command.
    CommandNotAllowed,
    /// The key has knocked too often within a second.
    RateLimited,
    /// The commander is not there, so the order would be lost.
    CommanderAway,
    /// The new floor could not be written to the disk.
    FloorNotPersisted,
}

/// How many refusals there are.
const COUNT: usize = 13;

impl Refusal {
    /// All refusals, in the order of the checks.
    pub const ALL: [Self; COUNT] = [
        Self::WrongLength,
        Self::Expired,
        Self::UnknownKey,
        Self::Forged,
        Self::WrongVersion,
        Self::OldCounter,
        Self::FutureCounter,
        Self::WrongDestination,
        Self::WrongSource,
        Self::CommandNotAllowed,
        Self::RateLimited,
        Self::CommanderAway,
        Self::FloorNotPersisted,
    ];

    /// The one name of this refusal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongLength => "wrong_length",
            Self::Expired => "expired",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::WrongVersion => "wrong_version",
            Self::OldCounter => "old_counter",
            Self::FutureCounter => "future_counter",
            Self::WrongDestination => "wrong_destination",
            Self::WrongSource => "wrong_source",
            Self::CommandNotAllowed => "command_not_allowed",
            Self::RateLimited => "rate_limited",
            Self::CommanderAway => "commander_away",
            Self::FloorNotPersisted => "floor_not_persisted",
        }
    }
}

/// At most one line for each refusal in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Counts refusals and says when one is worth a line: the first at once, the rest as a sum.
#[derive(Debug, Default)]
pub struct RefusalLog {
    tallies: [Tally; COUNT],
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    total: u64,
    logged: u64,
    quiet_until: Duration,
}

/// A line for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which refusal.
    pub refusal: Refusal,
    /// How many there were since the start.
    pub total: u64,
}

impl RefusalLog {
    /// Counts one.
    pub fn count(&mut self, refusal: Refusal) {
        for (tally, counted) in self.tallies.iter_mut().zip(Refusal::ALL) {
            if counted == refusal {
                tally.total = tally.total.saturating_add(1);
            }
        }
    }

    /// What is to be logged at `now`, a reading of a clock that never goes back.
    pub fn due(&mut self, now: Duration) -> impl Iterator<Item = Summary> {
        self.tallies.iter_mut().zip(Refusal::ALL).filter_map(move |(tally, refusal)| {
            let is_due = tally.total > tally.logged && now >= tally.quiet_until;
            is_due.then(|| {
                tally.logged = tally.total;
                tally.quiet_until = now.saturating_add(LOG_INTERVAL);
                Summary { refusal, total: tally.total }
            })
        })
    }

    /// When something not yet logged will be due, if there is anything.
    pub fn next_due(&self) -> Option<Duration> {
        let pending = self.tallies.iter().filter(|tally| tally.total > tally.logged);
        pending.map(|tally| tally.quiet_until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &mut RefusalLog, now: u64) -> Vec<(&'static str, u64)> {
        log.due(Duration::from_secs(now)).map(|line| (line.refusal.name(), line.total)).collect()
    }

    #[test]
    fn a_million_refusals_make_a_line_every_five_seconds() {
        let mut log = RefusalLog::default();
        log.count(Refusal::Forged);
        assert_eq!(lines(&mut log, 1), [("forged", 1)]);
        for _ in 0..1_000_000 {
            log.count(Refusal::Forged);
        }
        log.count(Refusal::OldCounter);
        assert_eq!(lines(&mut log, 2), [("old_counter", 1)]);
        assert_eq!(log.next_due(), Some(Duration::from_secs(6)));
        assert_eq!(lines(&mut log, 6), [("forged", 1_000_001)]);
        assert_eq!(log.next_due(), None);
        assert_eq!(lines(&mut log, 60), []);
    }

    #[test]
    fn every_refusal_has_its_own_name() {
        for refusal in Refusal::ALL {
            let same = Refusal::ALL.iter().filter(|other| other.name() == refusal.name());
            assert_eq!(same.count(), 1);
        }
    }
}
