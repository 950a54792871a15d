//! Logging what others cause at a pace of our choosing: a compromised server may connect and ask for
//! nonsense as fast as it likes and still not fill the journal.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// There is at most one line per kind in this time.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Counts what happens by kind and says when which is due to be logged.
#[derive(Debug, Default)]
pub struct Notices(BTreeMap<&'static str, Kind>);

#[derive(Debug)]
struct Kind {
    quiet_until: Option<Instant>,
    waiting: u64,
    last: String,
}

/// What to log about a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    /// The kind.
    pub kind: &'static str,
    /// How many there were since the last line.
    pub count: u64,
    /// The last of them.
    pub detail: String,
}

impl Notices {
    /// Takes note of something; [`Notices::due`] then says whether it is to be logged yet.
    pub fn note(&mut self, kind: &'static str, detail: impl fmt::Display) {
        let kind = self.0.entry(kind).or_insert_with(|| Kind {
            quiet_until: None,
            waiting: 0,
            last: String::new(),
        });
        kind.waiting = kind.waiting.saturating_add(1);
        kind.last = detail.to_string();
    }

    /// The kinds that have something to tell and have been quiet for long enough.
    pub fn due(&mut self, now: Instant) -> Vec<Due> {
        let due = self.0.iter_mut().filter(|(_, kind)| {
            kind.waiting > 0 && kind.quiet_until.is_none_or(|until| until <= now)
        });
        due.map(|(name, kind)| {
            kind.quiet_until = now.checked_add(INTERVAL);
            Due {
                kind: name,
                count: std::mem::take(&mut kind.waiting),
                detail: std::mem::take(&mut kind.last),
            }
        })
        .collect()
    }

    /// When to look again, so that what was counted is told even if nothing more happens.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().filter(|kind| kind.waiting > 0).filter_map(|kind| kind.quiet_until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(kind: &'static str, count: u64, detail: &str) -> Due {
        Due { kind, count, detail: detail.to_owned() }
    }

    #[test]
    fn a_flood_makes_one_line_in_five_seconds_and_loses_no_count() {
        let start = Instant::now();
        let mut notices = Notices::default();
        notices.note("wrong_length", "1 byte");
        assert_eq!(notices.due(start), [due("wrong_length", 1, "1 byte")]);
        assert_eq!(notices.next(), None);

        for bytes in 0..100_000 {
            notices.note("wrong_length", format_args!("{bytes} bytes"));
            assert_eq!(notices.due(start + INTERVAL / 2), []);
        }
        assert_eq!(notices.next(), Some(start + INTERVAL));
        assert_eq!(notices.due(start + INTERVAL), [due("wrong_length", 100_000, "99999 bytes")]);
        assert_eq!(notices.due(start + INTERVAL * 9), []);
    }

    #[test]
    fn one_kind_does_not_hide_another() {
        let start = Instant::now();
        let mut notices = Notices::default();
        notices.note("wrong_length", "");
        notices.due(start);
        notices.note("wrong_length", "");
        notices.note("unknown_key", "a");
        assert_eq!(notices.due(start), [due("unknown_key", 1, "a")]);
    }
}
