//! The maps that the gate fills: what the XDP program is to guard, and for whom.
//!
//! Nothing here reads: what the program knows of a key leaves the kernel through no descriptor that
//! the gate hands over or pins.

use anyhow::Context;
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use ruroco_common::{
    chacha20poly1305,
    datagram::{KEY_ID_SIZE, KeyId},
    guarded::Guarded,
    maps::{self, KeyEntry},
};
use zerocopy::{IntoBytes, transmute};
use zeroize::Zeroizing;

use crate::key::{Cipher, Key};

// In user space a map's keys and values are the bytes of the shared types.
type EntryBytes = [u8; size_of::<KeyEntry>()];

/// A slot without a key.
const EMPTY: EntryBytes = transmute!(KeyEntry::EMPTY);

/// The keys as the program has them.
pub(super) struct Keys {
    slots: HashMap<MapData, [u8; KEY_ID_SIZE], u32>,
    entries: Array<MapData, EntryBytes>,
    ids: Vec<KeyId>,
}

/// Makes the maps as large as they have to be for so many keys.
pub(super) fn size_for(keys: usize, loader: &mut EbpfLoader<'_>) -> anyhow::Result<()> {
    let keys = u32::try_from(keys).context("too many keys")?.max(1);
    for map in [maps::KEY_SLOTS, maps::KEYS, maps::KEY_BUCKETS] {
        loader.map_max_entries(map, keys);
    }
    Ok(())
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
    pub(super) fn fill<'a>(
        ebpf: &mut Ebpf,
        keys: impl Iterator<Item = &'a Key>,
    ) -> anyhow::Result<Self> {
        let slots = take(ebpf, maps::KEY_SLOTS)?;
        let entries = take(ebpf, maps::KEYS)?;
        let mut filled = Self { slots, entries, ids: Vec::new() };
        for key in keys {
            if let Err(error) = filled.add(key) {
                filled.wipe()?;
                return Err(error);
            }
        }
        Ok(filled)
    }

    #[expect(clippy::needless_borrows_for_generic_args, reason = "a copy would not be wiped")]
    fn add(&mut self, key: &Key) -> anyhow::Result<()> {
        let slot = u32::try_from(self.ids.len())?;
        // Before it is in the map, so that it is wiped with the others if it gets there.
        self.ids.push(key.id);
        let entry: Zeroizing<EntryBytes> = Zeroizing::new(transmute!(entry(key)));
        self.entries.set(slot, &*entry, 0)?;
        self.slots.insert(key.id.0, slot, 0)?;
        Ok(())
    }

    /// Has the program forget its keys, and writes over them.
    ///
    /// # Errors
    /// The first one; all keys were tried.
    pub(super) fn wipe(&mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for (slot, KeyId(id)) in (0..).zip(&self.ids) {
            // One that never got there is as good as one that has gone.
            let removed = match self.slots.remove(id) {
                Err(MapError::KeyNotFound) => Ok(()),
                removed => removed,
            };
            outcome = outcome.and(removed).and(self.entries.set(slot, EMPTY, 0));
        }
        Ok(outcome?)
    }
}

fn entry(key: &Key) -> KeyEntry {
    match key.cipher {
        Cipher::ChaCha20Poly1305 => {
            KeyEntry::authenticated(chacha20poly1305::Key::new(key.secret.expose()))
        }
        Cipher::Aes256GcmSiv => KeyEntry::UNCHECKED,
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
