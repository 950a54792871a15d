//! The leases: which address may start connections through which door, and until when.
//!
//! This is the gate's only copy of the kernel's leases, in the map and in the table of nftables. From it, the gate
//! decides. Only the gate changes leases, except for the counters in them. Times are readings of [the boot clock](ruroco_ipc::boot_clock).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ruroco_common::{
    datagram::KeyId,
    doors::{DoorName, HANDSHAKE_GRACE, LeaseKey, MAX_LEASES},
};
use ruroco_ipc::lease::Answer;

use crate::nft::listing::Element;

/// Most leases that one key may have at the same time.
pub(super) const MAX_PER_KEY: usize = 16;

/// How long the map keeps a lease after its end, for the last packet of a TCP handshake.
const GRACE: Duration = Duration::from_nanos(HANDSHAKE_GRACE);

/// The leases that the kernel has: those in force, and those that ended a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Leases(BTreeMap<LeaseKey, Held>);

/// What the gate knows of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The lease, with what the table of nftables has counted if the table has it.
    pub(crate) lease: Element,
    /// Whether its end has been logged.
    pub(super) has_ended: bool,
    /// How many of its connections are in the sum of its door.
    pub(super) counted: u64,
}

impl Held {
    /// A lease that the kernel has, of which so many connections are in the sum of its door.
    pub(super) const fn new(lease: Element, counted: u64) -> Self {
        Self { lease, has_ended: false, counted }
    }

    fn is_in_force(&self, now: Duration) -> bool {
        now < self.lease.until
    }
}

/// What a knock makes of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// When it ends.
    pub(super) until: Duration,
    /// When it began.
    pub(super) since: Duration,
    /// [`Answer::Opened`] or [`Answer::Renewed`].
    pub(super) answer: Answer,
}

impl Leases {
    /// What becomes of a lease when `key` requests it until then. A lease never becomes shorter.
    ///
    /// # Errors
    /// The answer, if there are too many leases.
    pub(super) fn grant(
        &self,
        lease: &LeaseKey,
        key: KeyId,
        until: Duration,
        now: Duration,
    ) -> Result<Grant, Answer> {
        let held = self.0.get(lease);
        let in_force = held.filter(|held| held.is_in_force(now));
        let adds_to_key = in_force.is_none_or(|held| held.lease.key != key);
        if adds_to_key && self.of_key(key, now) >= MAX_PER_KEY {
            return Err(Answer::TooManyOfKey);
        }
        if held.is_none() && self.is_full() {
            return Err(Answer::Full);
        }
        Ok(match in_force {
            Some(Held { lease, .. }) => {
                Grant { until: lease.until.max(until), since: lease.since, answer: Answer::Renewed }
            }
            None => Grant { until, since: now, answer: Answer::Opened },
        })
    }

    /// Whether the map has no lease.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the map has no room for another lease.
    fn is_full(&self) -> bool {
        u32::try_from(self.0.len()).is_ok_and(|count| count >= MAX_LEASES)
    }

    /// How many leases a key has.
    fn of_key(&self, key: KeyId, now: Duration) -> usize {
        self.0.values().filter(|held| held.lease.key == key && held.is_in_force(now)).count()
    }

    /// Notes that the map has a lease.
    pub(super) fn insert(&mut self, lease: LeaseKey, held: Held) {
        self.0.insert(lease, held);
    }

    /// Notes that so many connections of a lease are in the sum of its door; how many of them were not before.
    pub(super) fn count(&mut self, lease: &LeaseKey, connections: u64) -> u64 {
        let Some(held) = self.0.get_mut(lease) else { return 0 };
        let more = connections.saturating_sub(held.counted);
        held.counted = held.counted.max(connections);
        more
    }

    /// Notes that the map no longer has a lease.
    pub(super) fn remove(&mut self, lease: &LeaseKey) {
        self.0.remove(lease);
    }

    /// How many connections of a lease are in the sum of its door.
    pub(super) fn counted(&self, lease: &LeaseKey) -> u64 {
        self.0.get(lease).map_or(0, |held| held.counted)
    }

    /// The leases that the map has.
    pub(super) fn all(&self) -> Vec<LeaseKey> {
        self.0.keys().copied().collect()
    }

    /// Whether a lease is in force.
    pub(super) fn is_in_force(&self, lease: &LeaseKey, now: Duration) -> bool {
        self.0.get(lease).is_some_and(|held| held.is_in_force(now))
    }

    /// The leases that are in force.
    pub(super) fn in_force(&self, now: Duration) -> impl Iterator<Item = (&LeaseKey, &Held)> {
        self.0.iter().filter(move |(_, held)| held.is_in_force(now))
    }

    /// The leases that have ended since the last call.
    pub(super) fn take_ended(&mut self, now: Duration) -> Vec<(LeaseKey, Held)> {
        let ended = self.0.iter_mut().filter(|(_, held)| !held.has_ended && !held.is_in_force(now));
        let mark = |(lease, held): (&LeaseKey, &mut Held)| {
            held.has_ended = true;
            (*lease, *held)
        };
        ended.map(mark).collect()
    }

    /// The leases that the map need not keep.
    pub(super) fn outdated(&self, now: Duration) -> Vec<LeaseKey> {
        let is_outdated = |held: &Held| held.lease.until.saturating_add(GRACE) < now;
        self.0.iter().filter(|(_, held)| is_outdated(held)).map(|(lease, _)| *lease).collect()
    }

    /// The leases, in force or not, that are for none of these doors, or of none of these keys.
    pub(super) fn unsupported(
        &self,
        has_door: impl Fn(DoorName) -> bool,
        keys: &BTreeSet<KeyId>,
    ) -> Vec<(LeaseKey, Held)> {
        let is_unsupported = |lease: &LeaseKey, held: &Held| {
            !has_door(lease.door) || !keys.contains(&held.lease.key)
        };
        let all = self.0.iter().filter(|(lease, held)| is_unsupported(lease, held));
        all.map(|(lease, held)| (*lease, *held)).collect()
    }

    /// What the gate knows of a lease, in force or not.
    pub(crate) fn get(&self, lease: &LeaseKey) -> Option<&Held> {
        self.0.get(lease)
    }

    /// Notes what the table has counted of a lease, if this is the lease that the gate knows.
    pub(crate) fn note_counted(&mut self, lease: &LeaseKey, found: &Element) {
        if let Some(held) = self.0.get_mut(lease)
            && held.lease.is_same(found)
        {
            held.lease = Element { counter: held.lease.counter, ..*found };
        }
    }

    /// All leases, in force or not, and what the gate knows of them.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&LeaseKey, &Held)> {
        self.0.iter()
    }

    /// When the next lease ends, or leaves the map.
    pub(super) fn next_change(&self) -> Option<Duration> {
        let change = |held: &Held| match held.has_ended {
            false => held.lease.until,
            true => held.lease.until.saturating_add(GRACE),
        };
        self.0.values().map(change).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruroco_common::{
        address::Address,
        doors::{Door, SourcePrefix},
    };

    const A: KeyId = KeyId([1; 8]);
    const B: KeyId = KeyId([2; 8]);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lease(number: u32) -> LeaseKey {
        let name = DoorName::new("ssh").unwrap();
        let door = Door::new(name, SourcePrefix::ADDRESS, false);
        door.lease_key(Address::from_ipv4(number.to_be_bytes()))
    }

    /// Does what the gate does with a request, at a time.
    fn open(leases: &mut Leases, number: u32, key: KeyId, until: u64, now: u64) -> Answer {
        match leases.grant(&lease(number), key, seconds(until), seconds(now)) {
            Err(answer) => answer,
            Ok(Grant { until, since, answer }) => {
                let new = Element { until, since, key, ..Element::NONE };
                leases.insert(lease(number), Held::new(new, 0));
                answer
            }
        }
    }

    #[test]
    fn a_knock_opens_then_renews_and_never_shortens() {
        let mut leases = Leases::default();
        assert_eq!(open(&mut leases, 1, A, 30, 0), Answer::Opened);
        assert_eq!(open(&mut leases, 1, B, 20, 10), Answer::Renewed);
        let held: Vec<Element> = leases.in_force(seconds(29)).map(|(_, held)| held.lease).collect();
        assert_eq!((held[0].until, held[0].since, held[0].key), (seconds(30), seconds(0), B));
        assert!(!leases.is_in_force(&lease(1), seconds(30)));
        assert_eq!(open(&mut leases, 1, A, 60, 30), Answer::Opened);
    }

    #[test]
    fn the_seventeenth_lease_of_a_key_is_refused_and_others_are_not() {
        let mut leases = Leases::default();
        for number in 0..16 {
            assert_eq!(open(&mut leases, number, A, 30, 0), Answer::Opened);
        }
        assert_eq!(open(&mut leases, 16, A, 30, 0), Answer::TooManyOfKey);
        assert_eq!(open(&mut leases, 16, B, 30, 0), Answer::Opened);
        // Neither by taking over the lease of another key.
        assert_eq!(open(&mut leases, 16, A, 31, 0), Answer::TooManyOfKey);
        assert_eq!(open(&mut leases, 0, A, 60, 0), Answer::Renewed);
        // All but one have ended.
        assert_eq!(open(&mut leases, 17, A, 60, 30), Answer::Opened);
    }

    #[test]
    fn a_full_map_takes_no_more_and_loses_nothing() {
        let mut leases = Leases::default();
        for number in 0..MAX_LEASES {
            let key = KeyId(u64::from(number).to_be_bytes());
            assert_eq!(open(&mut leases, number, key, 30, 0), Answer::Opened);
        }
        assert_eq!(open(&mut leases, MAX_LEASES, A, 30, 0), Answer::Full);
        assert_eq!(open(&mut leases, 0, A, 60, 0), Answer::Renewed);
        assert_eq!(leases.in_force(seconds(1)).count(), usize::try_from(MAX_LEASES).unwrap());
    }

    #[test]
    fn a_lease_that_ended_stays_for_the_end_of_handshakes() {
        let mut leases = Leases::default();
        open(&mut leases, 1, A, 30, 0);
        assert_eq!(leases.next_change(), Some(seconds(30)));
        assert!(leases.take_ended(seconds(29)).is_empty());
        assert_eq!(leases.take_ended(seconds(30)).len(), 1);
        assert!(leases.take_ended(seconds(30)).is_empty(), "logged once");
        assert_eq!(leases.next_change(), Some(seconds(90)));
        assert!(leases.outdated(seconds(90)).is_empty());
        assert_eq!(leases.outdated(seconds(91)), [lease(1)]);
    }

    #[test]
    fn each_connection_of_a_lease_is_counted_once() {
        let mut leases = Leases::default();
        open(&mut leases, 1, A, 30, 0);
        let counted = [2, 2, 5].map(|connections| leases.count(&lease(1), connections));
        assert_eq!(counted, [2, 0, 3]);
        assert_eq!(leases.count(&lease(2), 9), 0, "there is no such lease");
    }

    #[test]
    fn a_lease_needs_its_door_and_its_key() {
        let mut leases = Leases::default();
        open(&mut leases, 1, A, 30, 0);
        open(&mut leases, 2, B, 30, 0);
        let keys = BTreeSet::from([A]);
        let unsupported = |has_door| -> Vec<LeaseKey> {
            let all = leases.unsupported(|_| has_door, &keys);
            all.into_iter().map(|(lease, _)| lease).collect()
        };
        assert_eq!(unsupported(true), [lease(2)]);
        assert_eq!(unsupported(false), [lease(1), lease(2)]);
    }

    proptest! {
        #[test]
        fn no_sequence_of_knocks_gives_more_than_was_asked_for(
            knocks in prop::collection::vec((0_u32..40, any::<bool>(), 0_u64..60, 1_u64..60), 1..200),
        ) {
            let (mut leases, mut now) = (Leases::default(), 0);
            let mut latest: BTreeMap<u32, u64> = BTreeMap::new();
            for (number, is_a, wait, length) in knocks {
                now += wait;
                let key = if is_a { A } else { B };
                let was_open = latest.get(&number).is_some_and(|until| now < *until);
                let answer = open(&mut leases, number, key, now + length, now);
                if answer.is_success() {
                    prop_assert_eq!(answer == Answer::Renewed, was_open);
                    let until = latest.entry(number).or_default();
                    *until = (*until).max(now + length);
                } else {
                    prop_assert_eq!(answer, Answer::TooManyOfKey);
                }
                for (number, until) in &latest {
                    prop_assert_eq!(leases.is_in_force(&lease(*number), seconds(now)), now < *until);
                }
                for key in [A, B] {
                    prop_assert!(leases.of_key(key, seconds(now)) <= MAX_PER_KEY);
                }
            }
        }
    }
}
