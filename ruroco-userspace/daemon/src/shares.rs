//! A bounded resource that all keys use. No key can use up what the others need.
//!
//! The rule needs no setting (a dynamic threshold: Choudhury and Hahne, "Dynamic queue length thresholds for
//! shared-memory packet switches", 1998): a key may take one more unit as long as it has fewer than are free.
//! A single key gets half of the resource, two greedy keys get a third each, and n of them leave one part in
//! n + 1 to keys that have nothing. Such a key is served as long as anything is free.
//!
//! Rationale: decision 0024.

use std::{collections::HashMap, iter};

use ruroco_common::datagram::KeyId;

/// What each key has of one resource.
#[derive(Clone, Debug)]
pub struct Shares {
    size: u32,
    free: u32,
    taken: HashMap<KeyId, u32>,
}

impl Shares {
    /// A resource of this size of which nothing is taken. As long as no more than so many keys have a
    /// part of it, no memory is allocated.
    pub fn new(size: u32, keys: usize) -> Self {
        Self { size, free: size, taken: HashMap::with_capacity(keys) }
    }

    /// Whether the key may have one more.
    pub fn may_take(&self, key: KeyId) -> bool {
        self.taken.get(&key).copied().unwrap_or_default() < self.free
    }

    /// Gives the key one more, whether or not [it may](Shares::may_take) have it: some others have
    /// decided on.
    pub fn take(&mut self, key: KeyId) {
        let taken = self.taken.entry(key).or_default();
        *taken = taken.saturating_add(1);
        self.free = self.free.saturating_sub(1);
    }

    /// Takes one back from the key.
    pub fn give_back(&mut self, key: KeyId) {
        let Some(taken) = self.taken.get_mut(&key) else { return };
        *taken = taken.saturating_sub(1);
        if *taken == 0 {
            self.taken.remove(&key);
        }
        self.free = self.free.saturating_add(1).min(self.size);
    }

    /// Takes everything back.
    pub fn clear(&mut self) {
        self.taken.clear();
        self.free = self.size;
    }

    /// The keys, each as often as it has taken one.
    pub fn taken(&self) -> impl Iterator<Item = KeyId> {
        let times = |taken: u32| usize::try_from(taken).unwrap_or(usize::MAX);
        self.taken.iter().flat_map(move |(key, taken)| iter::repeat_n(*key, times(*taken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> KeyId {
        KeyId([number; 8])
    }

    /// How much each of so many keys gets if all of them always want more.
    fn greedy(shares: &mut Shares, keys: u8) -> Vec<u32> {
        let mut got = vec![0; usize::from(keys)];
        loop {
            let before = got.clone();
            for number in 0..keys {
                if shares.may_take(key(number)) {
                    shares.take(key(number));
                    got[usize::from(number)] += 1;
                }
            }
            if got == before {
                return got;
            }
        }
    }

    #[test]
    fn greedy_keys_leave_as_much_as_each_of_them_has() {
        for (keys, expected) in [(1, 32), (2, 22), (3, 16), (7, 8), (63, 1)] {
            let mut shares = Shares::new(64, 64);
            let got = greedy(&mut shares, keys);
            assert!(got.iter().all(|got| expected - 1 <= *got && *got <= expected), "{got:?}");
            assert!(shares.may_take(key(u8::MAX)), "{keys} keys have taken all of it");
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut shares = Shares::new(4, 4);
        assert_eq!(greedy(&mut shares, 1), [2]);
        shares.give_back(key(0));
        assert_eq!(greedy(&mut shares, 1), [1]);
        // A key that has nothing gives nothing back.
        shares.give_back(key(9));
        assert!(!shares.may_take(key(0)) && shares.may_take(key(9)));
        shares.clear();
        assert_eq!(greedy(&mut shares, 1), [2]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_made(steps in prop::collection::vec((0_u8..5, any::<bool>()), 0..200)) {
            let mut shares = Shares::new(8, 8);
            let mut model = Vec::new();
            for (number, takes) in steps {
                let count = model.iter().filter(|taken| **taken == number).count();
                if takes {
                    prop_assert_eq!(shares.may_take(key(number)), count + model.len() < 8);
                    if shares.may_take(key(number)) {
                        shares.take(key(number));
                        model.push(number);
                    }
                } else {
                    shares.give_back(key(number));
                    if let Some(at) = model.iter().position(|taken| *taken == number) {
                        model.remove(at);
                    }
                }
                let mut taken: Vec<_> = shares.taken().map(|key| key.0[0]).collect();
                taken.sort_unstable();
                model.sort_unstable();
                prop_assert_eq!(&taken, &model);
            }
        }
    }
}
