//! Limits how often the log reports events that others cause: a sender of packets, or an attacker in the
//! server, can cause any number of rejections and still not fill the journal.
//!
//! The first event of each kind is logged at once, and the following ones as a sum. An event allocates memory
//! only once for each kind; [`Notices::of`] does that in advance.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    ops::Add,
    time::{Duration, Instant},
};

/// There is at most one line per kind in this time.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Counts what happens by kind and says when which is due to be logged. `K` is the type of kinds, `T` a
/// reading of a clock that never goes back.
#[derive(Debug)]
pub struct Notices<K, T = Instant>(BTreeMap<K, Noted<T>>);

/// What was noted of a kind.
#[derive(Debug)]
struct Noted<T> {
    quiet_until: Option<T>,
    waiting: u64,
    total: u64,
    last: String,
}

/// What to log about a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Due<'a, K> {
    /// The kind.
    pub kind: K,
    /// How many there were since the last line.
    pub count: u64,
    /// How many there were since the start.
    pub total: u64,
    /// The last of them; empty if there is nothing to say about it.
    pub detail: &'a str,
}

impl<K: Ord, T> Default for Notices<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Copy + Ord, T> Notices<K, T> {
    /// With room for these kinds; there may be others.
    pub fn of(kinds: impl IntoIterator<Item = K>) -> Self {
        Self(kinds.into_iter().map(|kind| (kind, Noted::new())).collect())
    }

    /// Takes note of an event; [`Notices::due`] then returns it when it must be logged.
    pub fn note(&mut self, kind: K, detail: impl fmt::Display) {
        let noted = self.0.entry(kind).or_insert_with(Noted::new);
        noted.waiting = noted.waiting.saturating_add(1);
        noted.total = noted.total.saturating_add(1);
        noted.last.clear();
        // A string takes everything, and what cannot be shown is left out.
        let _ = write!(noted.last, "{detail}");
    }
}

impl<K: Copy + Ord, T: Copy + Ord + Add<Duration, Output = T>> Notices<K, T> {
    /// The kinds that have something to tell and have been quiet for long enough.
    pub fn due(&mut self, now: T) -> impl Iterator<Item = Due<'_, K>> {
        let is_due = move |noted: &Noted<T>| noted.quiet_until.is_none_or(|until| until <= now);
        self.waiting(now, is_due)
    }

    /// The kinds that have something to tell, at the end, when nothing can wait any more.
    pub fn rest(&mut self, now: T) -> impl Iterator<Item = Due<'_, K>> {
        self.waiting(now, |_| true)
    }

    #[expect(clippy::arithmetic_side_effects, reason = "a few seconds from now is a time, too")]
    fn waiting(
        &mut self,
        now: T,
        is_due: impl Fn(&Noted<T>) -> bool,
    ) -> impl Iterator<Item = Due<'_, K>> {
        self.0.iter_mut().filter_map(move |(kind, noted)| {
            (noted.waiting > 0 && is_due(noted)).then(|| {
                noted.quiet_until = Some(now + INTERVAL);
                let count = std::mem::take(&mut noted.waiting);
                Due { kind: *kind, count, total: noted.total, detail: &noted.last }
            })
        })
    }

    /// When the next of what was counted is due, even if nothing more happens.
    pub fn next(&self) -> Option<T> {
        self.0
            .values()
            .filter(|noted| noted.waiting > 0)
            .filter_map(|noted| noted.quiet_until)
            .min()
    }
}

impl<T> Noted<T> {
    const fn new() -> Self {
        Self { quiet_until: None, waiting: 0, total: 0, last: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<T>(
        notices: &mut Notices<&'static str, T>,
        now: T,
    ) -> Vec<(&'static str, u64, u64, String)>
    where
        T: Copy + Ord + Add<Duration, Output = T>,
    {
        let due = notices.due(now);
        due.map(|due| (due.kind, due.count, due.total, due.detail.to_owned())).collect()
    }

    fn line(
        kind: &'static str,
        count: u64,
        total: u64,
        detail: &str,
    ) -> (&'static str, u64, u64, String) {
        (kind, count, total, detail.to_owned())
    }

    #[test]
    fn a_flood_makes_one_line_in_five_seconds_and_loses_no_count() {
        let start = Instant::now();
        let mut notices = Notices::default();
        notices.note("wrong_length", "1 byte");
        assert_eq!(lines(&mut notices, start), [line("wrong_length", 1, 1, "1 byte")]);
        assert_eq!(notices.next(), None);

        for bytes in 0..100_000 {
            notices.note("wrong_length", format_args!("{bytes} bytes"));
            assert_eq!(lines(&mut notices, start + INTERVAL / 2), []);
        }
        assert_eq!(notices.next(), Some(start + INTERVAL));
        let all = line("wrong_length", 100_000, 100_001, "99999 bytes");
        assert_eq!(lines(&mut notices, start + INTERVAL), [all]);
        assert_eq!(lines(&mut notices, start + INTERVAL * 9), []);
    }

    #[test]
    fn one_kind_does_not_hide_another() {
        let start = Duration::from_secs(1);
        let mut notices = Notices::of(["wrong_length", "unknown_key", "forged"]);
        assert_eq!((lines(&mut notices, start), notices.next()), (Vec::new(), None));
        notices.note("wrong_length", "");
        assert_eq!(lines(&mut notices, start), [line("wrong_length", 1, 1, "")]);
        notices.note("wrong_length", "");
        notices.note("unknown_key", "a");
        assert_eq!(lines(&mut notices, start), [line("unknown_key", 1, 1, "a")]);
    }
}
