//! What waits for the program of `[notify]`: bounded in all, and shared fairly between keys.
//!
//! A key holder can make events faster than the program runs. Each key therefore has a line of its own, and lines take
//! turns. If there is no room, the longest line loses its newest event: a flood under one key displaces nothing but
//! itself.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Most events that wait.
pub(super) const ROOM: usize = 64;

/// The events that wait.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lines: Mutex<Lines<T>>,
    /// Events that found no room and have not been logged.
    dropped: AtomicU64,
}

// Also if events themselves have no default.
impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { lines: Mutex::new(Lines(VecDeque::new())), dropped: AtomicU64::new(0) }
    }
}

/// The lines that are not empty, in the order of their turns.
#[derive(Debug)]
struct Lines<T>(VecDeque<Line<T>>);

/// What waits of one key, or of no key.
#[derive(Debug)]
struct Line<T> {
    key: String,
    waiting: VecDeque<T>,
}

impl<T> Queue<T> {
    /// Adds an event of a key at the end of its line.
    pub(super) fn add(&self, key: &str, event: T) {
        if !self.lines().add(key, event) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The next event.
    pub(super) fn take(&self) -> Option<T> {
        self.lines().take()
    }

    /// How many events were dropped since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    fn lines(&self) -> MutexGuard<'_, Lines<T>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lines<T> {
    /// Adds an event. Says whether none was dropped for it.
    fn add(&mut self, key: &str, event: T) -> bool {
        let is_full = self.0.iter().map(|line| line.waiting.len()).sum::<usize>() >= ROOM;
        if is_full && !self.make_room_for(key) {
            return false;
        }
        match self.0.iter_mut().find(|line| line.key == key) {
            Some(line) => line.waiting.push_back(event),
            None => {
                self.0.push_back(Line { key: key.to_owned(), waiting: VecDeque::from([event]) })
            }
        }
        !is_full
    }

    /// Drops the newest event of the longest line, if that line would still be at least as long as this key's.
    fn make_room_for(&mut self, key: &str) -> bool {
        let own = self.0.iter().find(|line| line.key == key).map_or(0, |line| line.waiting.len());
        let longest = self.0.iter_mut().max_by_key(|line| line.waiting.len());
        let longest = longest.filter(|line| line.waiting.len() > own.saturating_add(1));
        longest.is_some_and(|line| line.waiting.pop_back().is_some())
    }

    /// The oldest event of the line whose turn it is.
    fn take(&mut self) -> Option<T> {
        let mut line = self.0.pop_front()?;
        let event = line.waiting.pop_front();
        if !line.waiting.is_empty() {
            self.0.push_back(line);
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn drain<T>(queue: &Queue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn a_flood_of_one_key_neither_displaces_nor_delays_the_event_of_another() {
        let queue = Queue::default();
        (0..1000).for_each(|number| queue.add("flood", ("flood", number)));
        queue.add("phone", ("phone", 0));
        (0..1000).for_each(|number| queue.add("flood", ("flood", number)));
        assert_eq!(queue.take_dropped(), 2001 - 64);
        assert_eq!(queue.take_dropped(), 0);
        let all = drain(&queue);
        assert_eq!(all.len(), ROOM);
        assert_eq!(all[..3], [("flood", 0), ("phone", 0), ("flood", 1)]);
    }

    #[test]
    fn the_events_of_a_key_stay_in_order() {
        let queue = Queue::default();
        for number in 0..10 {
            queue.add("a", ("a", number));
            queue.add("b", ("b", number));
        }
        let all = drain(&queue);
        let of = |key| all.iter().filter(move |(of, _)| *of == key).map(|(_, number)| *number);
        assert!(of("a").eq(0..10) && of("b").eq(0..10), "{all:?}");
    }

    proptest! {
        #[test]
        fn each_key_has_its_share_of_the_room(keys in prop::collection::vec(0_u8..90, 0..400)) {
            let queue = Queue::default();
            let mut added: BTreeMap<u8, usize> = BTreeMap::new();
            for key in &keys {
                queue.add(&key.to_string(), *key);
                *added.entry(*key).or_default() += 1;
            }
            let left = drain(&queue);
            prop_assert_eq!(left.len(), keys.len().min(ROOM));
            let dropped = usize::try_from(queue.take_dropped()).unwrap();
            prop_assert_eq!(left.len() + dropped, keys.len());
            let share = ROOM / added.len().max(1);
            for (key, count) in added {
                let kept = left.iter().filter(|of| **of == key).count();
                prop_assert!(kept >= count.min(share), "{} of {}", kept, count);
            }
        }
    }
}
