//! The gate's history: since when it runs, since when it is attached, and which packets it has logged as
//! rejected.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ruroco_common::verdict::{Outcome, Verdict};
use ruroco_daemon::timestamp;

/// Rejected packets are logged at most once in this time, however many senders there are.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// Since when things are as they are.
#[derive(Debug)]
pub struct History {
    /// When the gate was started.
    pub started: Moment,
    /// The same in seconds since 1970.
    pub start_time: u64,
    attached: bool,
    /// Since when it is attached to all interfaces, or not.
    pub changed: Moment,
    refused: Refused,
}

/// A moment on both clocks.
#[derive(Clone, Debug)]
pub struct Moment {
    /// For reckoning.
    pub at: Instant,
    /// For people.
    pub time: String,
}

impl Moment {
    fn now() -> Self {
        Self { at: Instant::now(), time: timestamp::now() }
    }
}

impl History {
    /// Begins now, with a gate that is not attached.
    pub fn begin() -> Self {
        let started = Moment::now();
        let start_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let refused = Refused::since(started.at);
        Self { changed: started.clone(), started, start_time, attached: false, refused }
    }

    /// Takes note of whether the gate is attached to all of its interfaces, and logs it when that has changed.
    pub fn note_attached(&mut self, attached: bool) {
        if attached == self.attached {
            return;
        }
        self.attached = attached;
        self.changed = Moment::now();
        match attached {
            true => tracing::info!("gate is attached"),
            false => tracing::warn!("gate is not attached to all of its interfaces"),
        }
    }

    /// Logs how many packets were refused since this was last logged, if there were any and that is
    /// long enough ago.
    pub fn tell_refused(
        &mut self,
        now: Instant,
        verdicts: impl FnOnce() -> anyhow::Result<Vec<(Verdict, u64)>>,
    ) {
        if !self.refused.may_tell(now) {
            return;
        }
        match verdicts() {
            Ok(verdicts) => {
                if let Some(more) = self.refused.look(now, &verdicts) {
                    tracing::warn!(verdicts = %more, "packets refused");
                }
            }
            // It will be tried again; who asks for the status is told why not.
            Err(error) => tracing::debug!("could not read the verdicts: {error:#}"),
        }
    }

    /// When to look for refused packets even if nothing else happens.
    pub fn next_look(&self) -> Option<Instant> {
        self.refused.looked.checked_add(INTERVAL)
    }
}

/// What is known of the counters of refused packets.
#[derive(Debug)]
struct Refused {
    told: Vec<(Verdict, u64)>,
    looked: Instant,
    quiet_until: Option<Instant>,
}

impl Refused {
    fn since(start: Instant) -> Self {
        Self { told: Vec::new(), looked: start, quiet_until: None }
    }

    fn may_tell(&self, now: Instant) -> bool {
        self.quiet_until.is_none_or(|until| until <= now)
    }

    /// The verdicts to log now, and how many more packets have got them.
    fn look(&mut self, now: Instant, verdicts: &[(Verdict, u64)]) -> Option<String> {
        self.looked = now;
        let told = |verdict| self.told.iter().find(|(of, _)| *of == verdict);
        let more = verdicts.iter().filter(|(verdict, _)| is_refusal(*verdict));
        let more = more.filter_map(|(verdict, count)| {
            let before = told(*verdict).map_or(0, |(_, count)| *count);
            let more = count.saturating_sub(before);
            (more > 0).then(|| format!("{}:{more}", verdict.name()))
        });
        let more = more.collect::<Vec<_>>().join(",");
        if more.is_empty() {
            return None;
        }
        self.told = verdicts.to_vec();
        self.quiet_until = now.checked_add(INTERVAL);
        Some(more)
    }
}

/// Whether a packet with this verdict did not reach its destination. An authentic packet that found no room
/// in the ring was not rejected, but its sender will want to know why nothing happened.
fn is_refusal(verdict: Verdict) -> bool {
    match verdict.outcome() {
        Outcome::Pass => false,
        Outcome::Refuse | Outcome::Close => true,
        Outcome::Take => verdict != Verdict::Candidate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(forged: u64, candidates: u64, ring_full: u64) -> Vec<(Verdict, u64)> {
        vec![
            (Verdict::NotOurs, forged),
            (Verdict::Forged, forged),
            (Verdict::Candidate, candidates),
            (Verdict::RingFull, ring_full),
        ]
    }

    #[test]
    fn a_flood_makes_one_line_a_minute_and_loses_no_count() {
        let start = Instant::now();
        let mut refused = Refused::since(start);
        let second = |seconds| start + Duration::from_secs(seconds);
        assert!(refused.may_tell(start));
        assert_eq!(refused.look(start, &counters(0, 5, 0)), None);
        assert!(refused.may_tell(second(1)), "nothing has been told yet");
        assert_eq!(refused.look(second(1), &counters(1, 5, 0)).as_deref(), Some("forged:1"));
        assert!((2..61).all(|now| !refused.may_tell(second(now))));
        assert!(refused.may_tell(second(61)));
        let more = refused.look(second(61), &counters(1_000_001, 5, 2));
        assert_eq!(more.as_deref(), Some("forged:1000000,ring_full:2"));
        assert_eq!(refused.look(second(200), &counters(1_000_001, 9, 2)), None);
    }

    #[test]
    fn it_looks_once_a_minute_if_nothing_happens() {
        let mut history = History::begin();
        let start = history.started.at;
        assert_eq!(history.next_look(), Some(start + INTERVAL));
        history.tell_refused(start + INTERVAL, || Ok(counters(0, 0, 0)));
        assert_eq!(history.next_look(), Some(start + INTERVAL * 2));
    }
}
