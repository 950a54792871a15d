//! The maps that the gate fills: the addresses and port that the XDP program guards, and the keys.
//!
//! Nothing here reads the maps: the keys in the program leave the kernel through no descriptor that the gate
//! hands over or pins.

use std::collections::HashSet;

use anyhow::Context;
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapError},
};
use ruroco_common::{
    chacha20poly1305,
    datagram::KeyId,
    guarded::Guarded,
    keys::{self, KeyEntry},
    maps,
};
use ruroco_keys::{
    key::{Cipher, Key},
    named_key::NamedKey,
};
use zerocopy::{IntoBytes, transmute};
use zeroize::{Zeroizing, zeroize_stack};

// In user space a map's keys and values are the bytes of the shared types.
type EntryBytes = [u8; size_of::<KeyEntry>()];

/// A slot without a key.
const EMPTY: EntryBytes = transmute!(KeyEntry::EMPTY);

/// With the shift of so many slots it is no use to try more: random ids, as many as there may be,
/// have found their places long before.
const LEAST_SHIFT: u32 = u64::BITS - 22;

/// More bytes of stack than putting a key into the map takes.
const STACK_OF_ADD: usize = 16 << 10;

/// Where each of some keys is to stand.
pub(super) struct Places {
    /// See [`keys::home`].
    pub(super) shift: u32,
    slots: Vec<u32>,
}

impl Places {
    /// Finds a place for each key, in as few slots as will do.
    pub(super) fn of(keys: &[NamedKey]) -> anyhow::Result<Self> {
        let ids: Vec<KeyId> = keys.iter().map(|named| named.key.id).collect();
        let least = u32::try_from(ids.len()).context("too many keys")?.max(1).saturating_mul(2);
        let most_shift = u64::BITS.saturating_sub(least.next_power_of_two().trailing_zeros());
        let mut shifts = (LEAST_SHIFT..=most_shift).rev();
        let found = shifts.find_map(|shift| Some(Self { shift, slots: slots(&ids, shift)? }));
        found.context("the ids of the keys are too similar for a fast table. Make new keys")
    }

    /// Makes the maps large enough.
    pub(super) fn size(&self, loader: &mut EbpfLoader<'_>) {
        let homes = 1_u32.checked_shl(u64::BITS.saturating_sub(self.shift)).unwrap_or(u32::MAX);
        for map in [maps::KEYS, maps::KEY_BUCKETS] {
            loader.map_max_entries(map, homes.saturating_add(keys::PROBES));
        }
    }
}

/// A slot for each key, or `None` if one is too far from its home.
fn slots(ids: &[KeyId], shift: u32) -> Option<Vec<u32>> {
    let mut taken = HashSet::new();
    let place = |id: &KeyId| {
        let home = keys::home(*id, shift);
        (home..home.saturating_add(keys::PROBES)).find(|slot| taken.insert(*slot))
    };
    ids.iter().map(place).collect()
}

/// The keys as the program has them.
pub(super) struct Keys {
    entries: Array<MapData, EntryBytes>,
    filled: Vec<(KeyId, u32)>,
}

/// Says what the program is to guard.
pub(super) fn guard(ebpf: &mut Ebpf, guarded: &Guarded) -> anyhow::Result<()> {
    let map = ebpf.map_mut(maps::GUARDED).context("the object file has no map GUARDED")?;
    let mut map: Array<_, [u8; size_of::<Guarded>()]> = map.try_into()?;
    let bytes = <&[u8; size_of::<Guarded>()]>::try_from(guarded.as_bytes())?;
    map.set(0, bytes, 0)?;
    Ok(())
}

impl Keys {
    /// Gives the program its keys.
    pub(super) fn fill(
        ebpf: &mut Ebpf,
        keys: &[NamedKey],
        places: &Places,
    ) -> anyhow::Result<Self> {
        let mut filled = Self { entries: take(ebpf, maps::KEYS)?, filled: Vec::new() };
        let mut places = keys.iter().zip(&places.slots);
        let added = places.try_for_each(|(named, slot)| filled.add(&named.key, *slot));
        // A key that is put together and moved leaves copies behind.
        zeroize_stack::<STACK_OF_ADD>();
        if let Err(error) = added {
            filled.wipe()?;
            return Err(error);
        }
        Ok(filled)
    }

    /// In a frame of its own, which is gone afterwards.
    #[inline(never)]
    #[expect(clippy::needless_borrows_for_generic_args, reason = "a copy would not be wiped")]
    fn add(&mut self, key: &Key, slot: u32) -> anyhow::Result<()> {
        // Before it is in the map, so that it is wiped with the others if it gets there.
        self.filled.push((key.id, slot));
        let entry: Zeroizing<EntryBytes> = Zeroizing::new(transmute!(entry(key)));
        Ok(self.entries.set(slot, &*entry, 0)?)
    }

    /// Has the program forget one key and treat it as unknown. A packet that is judged meanwhile may find half of
    /// the key, and is then forged; the server has the last word.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub(super) fn remove(&mut self, id: KeyId) -> anyhow::Result<()> {
        let mut places = self.filled.iter().filter(|(filled, _)| *filled == id);
        let removed: EntryBytes = transmute!(KeyEntry::removed(id));
        Ok(places.try_for_each(|(_, slot)| self.entries.set(*slot, removed, 0))?)
    }

    /// Has the program forget its keys, by writing over them.
    ///
    /// # Errors
    /// The first one; all keys were tried.
    pub(super) fn wipe(&mut self) -> anyhow::Result<()> {
        let outcomes = self.filled.iter().map(|(_, slot)| self.entries.set(*slot, EMPTY, 0));
        Ok(outcomes.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()?)
    }
}

fn entry(key: &Key) -> KeyEntry {
    match key.cipher {
        Cipher::ChaCha20Poly1305 => {
            KeyEntry::authenticated(key.id, chacha20poly1305::Key::new(key.secret.expose()))
        }
        Cipher::Aes256GcmSiv => KeyEntry::unchecked(key.id),
    }
}

/// A map, which is then no longer the object's.
pub(super) fn take<M>(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<M>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).with_context(|| format!("the object file has no map {name}"))?;
    Ok(map.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruroco_common::keys::Check;
    use std::collections::HashMap;

    /// What the program would find: each key's own slot, whatever the others are.
    fn all_are_found(ids: &[KeyId], shift: u32) -> bool {
        let Some(slots) = slots(ids, shift) else { return false };
        let mut entries = HashMap::new();
        for (id, slot) in ids.iter().zip(slots) {
            assert!(entries.insert(slot, KeyEntry::unchecked(*id)).is_none(), "a slot for each");
        }
        all_can_be_found(ids, shift, &entries)
    }

    fn all_can_be_found(ids: &[KeyId], shift: u32, entries: &HashMap<u32, KeyEntry>) -> bool {
        let empty = KeyEntry::EMPTY;
        let find = |id| keys::find(id, shift, |slot| Some(entries.get(&slot).unwrap_or(&empty)));
        ids.iter().all(|id| {
            let Check::Throttle(slot) = find(*id) else { return false };
            let KeyId(mut other) = *id;
            other[0] ^= 0x55;
            let other = KeyId(other);
            entries.contains_key(&slot)
                && (ids.contains(&other) || matches!(find(other), Check::NoKey))
        })
    }

    #[test]
    fn as_many_random_keys_as_there_may_be_find_their_places() {
        let mut ids: Vec<KeyId> = Vec::new();
        let mut state = 1_u64;
        for _ in 0..maps::MAX_KEYS {
            // Numerical Recipes' generator; only its upper bits would be random enough alone.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ids.push(KeyId((state ^ state.rotate_right(29)).to_le_bytes()));
        }
        for count in [1, 2, 10_000, ids.len()] {
            let shifts = LEAST_SHIFT..=63;
            assert!(
                shifts.rev().any(|shift| slots(&ids[..count], shift).is_some()),
                "{count} keys"
            );
        }
    }

    proptest! {
        #[test]
        fn every_key_is_found_and_no_other(
            ids in prop::collection::hash_set(prop::array::uniform8(0_u8..4), 1..200),
        ) {
            let ids: Vec<KeyId> = ids.into_iter().map(KeyId).collect();
            let mut shifts = (LEAST_SHIFT..=63).rev().filter(|shift| slots(&ids, *shift).is_some());
            prop_assert!(all_are_found(&ids, shifts.next().unwrap()));
        }

        #[test]
        fn a_key_that_is_removed_is_unknown_and_hides_no_other(
            ids in prop::collection::hash_set(prop::array::uniform8(0_u8..4), 1..200),
            removed: prop::sample::Index,
        ) {
            let mut ids: Vec<KeyId> = ids.into_iter().map(KeyId).collect();
            let mut shifts = (LEAST_SHIFT..=63).rev().filter(|shift| slots(&ids, *shift).is_some());
            let shift = shifts.next().unwrap();
            let places = slots(&ids, shift).unwrap();
            let removed = ids[removed.index(ids.len())];
            let entry = |id: &KeyId| match *id == removed {
                true => KeyEntry::removed(*id),
                false => KeyEntry::unchecked(*id),
            };
            let entries = places.into_iter().zip(ids.iter().map(entry)).collect();
            ids.retain(|id| *id != removed);
            prop_assert!(all_can_be_found(&ids, shift, &entries));
            let empty = KeyEntry::EMPTY;
            let entry = |slot| Some(entries.get(&slot).unwrap_or(&empty));
            prop_assert!(matches!(keys::find(removed, shift, entry), Check::NoKey));
        }
    }
}
