//! The floors: for each key, the highest counter that was ever accepted. They ensure that a knock runs at
//! most once, across crashes and restarts.
//!
//! Rationale: decision 0001.

use std::collections::HashMap;

use ruroco_common::datagram::KeyId;

/// The highest accepted counter of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floors(HashMap<KeyId, u128>);

impl Floors {
    /// Floors of `floor` for all of these keys.
    pub fn at(floor: u128, keys: impl Iterator<Item = KeyId>) -> Self {
        Self::default().with_new(floor, keys)
    }

    /// The same with a floor of `floor` for those of these keys that have none.
    pub fn with_new(mut self, floor: u128, keys: impl Iterator<Item = KeyId>) -> Self {
        for key in keys {
            self.0.entry(key).or_insert(floor);
        }
        self
    }

    /// The floor of a key, if it has one.
    pub fn of(&self, key: KeyId) -> Option<u128> {
        self.0.get(&key).copied()
    }

    /// Whether the key's floor could be raised to this: it has none, or a lower one.
    pub fn is_below(&self, key: KeyId, floor: u128) -> bool {
        self.of(key).is_none_or(|present| present < floor)
    }

    /// Raises the key's floor; what is not [below](Self::is_below) stays.
    pub(super) fn raise(&mut self, key: KeyId, floor: u128) {
        let present = self.0.entry(key).or_insert(floor);
        *present = floor.max(*present);
    }

    /// How many keys have a floor.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (KeyId, u128)> {
        self.0.iter().map(|(key, floor)| (*key, *floor))
    }
}
