//! What the XDP program knows of each key, and where it finds it: a hash table in an array, with one
//! cache line for each key.
//!
//! A hash map of the kernel's would not do. What is written over there stays in memory, and this
//! holds secrets; and a flood under many key ids would wait three times for memory, not once.
//!
//! Rationale: decision 0007.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    chacha20poly1305::Key,
    datagram::{KEY_ID_SIZE, KeyId},
};

/// A key is in one of so many slots from [`home`] on, and no slot before it is empty.
pub const PROBES: u32 = 16;

/// What the program knows about a key.
///
/// It can neither be printed nor compared. It is plain memory: code in user space must wipe
/// its copies.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct KeyEntry {
    id: KeyId,
    check: u32,
    key: Key,
    /// Always zero; fills the cache line.
    padding: [u8; 20],
}

const _: () = assert!(size_of::<KeyEntry>() == 64);

/// How packets of a key are checked.
pub enum Check<'a> {
    /// Not at all: there is no such key.
    NoKey,
    /// By their tag under this key, and then by their number, with the bucket in this slot.
    Tag(&'a Key, u32),
    /// By their number, with the bucket in this slot: the kernel does not know AES-256-GCM-SIV.
    Throttle(u32),
}

impl KeyEntry {
    /// No key, as in an unfilled map.
    pub const EMPTY: Self =
        Self { id: KeyId([0; KEY_ID_SIZE]), check: Self::NO_KEY, key: Key::ZERO, padding: [0; 20] };

    const NO_KEY: u32 = 0;
    const TAG: u32 = 1;
    const THROTTLE: u32 = 2;
    const REMOVED: u32 = 3;

    /// A key of ChaCha20-Poly1305.
    pub const fn authenticated(id: KeyId, key: Key) -> Self {
        Self { id, check: Self::TAG, key, ..Self::EMPTY }
    }

    /// A key of a cipher that the kernel does not know; so it does not get to know the key either.
    pub const fn unchecked(id: KeyId) -> Self {
        Self { id, check: Self::THROTTLE, ..Self::EMPTY }
    }

    /// The place of a key that the program no longer accepts. Unlike an empty slot, it does not end the search for
    /// the keys that stand behind it.
    pub const fn removed(id: KeyId) -> Self {
        Self { id, check: Self::REMOVED, ..Self::EMPTY }
    }

    /// Whether no key ever stood here.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.check == Self::NO_KEY
    }
}

/// The first slot in which a key may stand, among as many as 64 less `shift` bits can number.
#[inline(always)]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "slots have 32 bits")]
pub const fn home(id: KeyId, shift: u32) -> u32 {
    // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4), in whose
    // upper bits all those of an id have their part.
    (u64::from_ne_bytes(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (shift & 63)) as u32
}

/// Looks a key up among the entries of a map. An empty slot ends the search, so a single key is removed with
/// [`KeyEntry::removed`].
#[inline(always)]
pub fn find<'a>(id: KeyId, shift: u32, entry: impl Fn(u32) -> Option<&'a KeyEntry>) -> Check<'a> {
    let home = home(id, shift);
    for probe in 0..PROBES {
        let slot = home.wrapping_add(probe);
        match entry(slot) {
            None => return Check::NoKey,
            Some(entry) if entry.is_empty() => return Check::NoKey,
            Some(entry) if entry.id != id => {}
            Some(entry) if entry.check == KeyEntry::TAG => return Check::Tag(&entry.key, slot),
            Some(entry) if entry.check == KeyEntry::THROTTLE => return Check::Throttle(slot),
            Some(_) => return Check::NoKey,
        }
    }
    Check::NoKey
}
