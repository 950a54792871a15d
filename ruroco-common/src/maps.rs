//! Names, layouts and sizes of the BPF maps, for the program that reads them and the gate that
//! fills them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    chacha20poly1305::Key,
    datagram::{Datagram, KeyId, TAG_SIZE},
    rate::Rate,
};

/// Array of one [`Guarded`](crate::guarded::Guarded).
pub const GUARDED: &str = "GUARDED";
/// Hash map of the keys there are: [`KeyId`] to the key's slot, a `u32`.
pub const KEY_SLOTS: &str = "KEY_SLOTS";
/// Array of one [`KeyEntry`] for each slot. Unlike in a hash map, what is written over in an array
/// is gone.
pub const KEYS: &str = "KEYS";
/// Array of one `u64` for each slot: the bucket of a key whose tags the kernel cannot check, see
/// [`Rate::take`].
pub const KEY_BUCKETS: &str = "KEY_BUCKETS";
/// Array of one `u64`: the bucket of what is refused and goes to the stack, see [`Rate::take`].
pub const REFUSED_BUCKET: &str = "REFUSED_BUCKET";
/// Hash set of the [`Seen`] packets: to one unused byte. The least recently met ones make room.
pub const SEEN: &str = "SEEN";
/// Array per CPU of one `u64` counter for each [`Verdict`](crate::verdict::Verdict).
pub const VERDICTS: &str = "VERDICTS";
/// The ring of [`Candidate`](crate::candidate::Candidate)s.
pub const CANDIDATES: &str = "CANDIDATES";

/// Name of the XDP program; BPF object names have at most 15 characters (`BPF_OBJ_NAME_LEN`).
pub const PROGRAM: &str = "ruroco";

/// Most keys a gate may know. The gate makes the maps as large as the keys it has need.
pub const MAX_KEYS: u32 = 65_536;
/// How many packets are remembered, but for up to 128 that each CPU holds free (`LOCAL_FREE_TARGET`,
/// kernel/bpf/bpf_lru_list.c). Whoever has recorded more authentic packets than this can send
/// the forgotten ones again, each of which costs the verifier one decryption; its floors refuse it.
pub const MAX_SEEN: u32 = 65_536;
/// Size of the ring in bytes, a power of two and a multiple of the page size. With 152 bytes for
/// each record it holds 6,898 candidates.
pub const RING_SIZE: u32 = 1 << 20;

/// What is let through unchecked, a second and key, of keys whose tags the kernel cannot check. The
/// verifier refuses a forgery in a few microseconds.
pub const THROTTLE: Rate = Rate::per_second(100);

/// What the program knows about a key.
///
/// It can neither be printed nor compared. It is plain memory: whoever has one in user space is to
/// wipe it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KeyEntry {
    check: u32,
    key: Key,
}

/// How packets of a key are checked.
pub enum Check<'a> {
    /// Not at all: there is no such key.
    NoKey,
    /// By their tag under this key.
    Tag(&'a Key),
    /// By their number, with the bucket in this slot: the kernel does not know AES-256-GCM-SIV.
    Throttle(u32),
}

impl KeyEntry {
    /// No key, as in an unfilled map.
    pub const EMPTY: Self = Self { check: Self::NO_KEY, key: Key::ZERO };
    /// A key of a cipher that the kernel does not know; so it does not get to know the key either.
    pub const UNCHECKED: Self = Self { check: Self::THROTTLE, key: Key::ZERO };

    const NO_KEY: u32 = 0;
    const TAG: u32 = 1;
    const THROTTLE: u32 = 2;

    /// A key of ChaCha20-Poly1305.
    pub const fn authenticated(key: Key) -> Self {
        Self { check: Self::TAG, key }
    }

    /// How packets of this key, which is in this slot, are checked.
    #[inline(always)]
    pub const fn check(&self, slot: u32) -> Check<'_> {
        match self.check {
            Self::TAG => Check::Tag(&self.key),
            Self::THROTTLE => Check::Throttle(slot),
            _ => Check::NoKey,
        }
    }
}

/// What a packet is recognised by when it comes again: its tag, beside whose it is. With the tag
/// alone, somebody with a key could make a packet that has another's pass for seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Seen {
    key_id: KeyId,
    tag: [u8; TAG_SIZE],
}

impl Seen {
    /// What this packet will be recognised by.
    #[inline(always)]
    pub const fn of(datagram: &Datagram) -> Self {
        Self { key_id: datagram.key_id, tag: datagram.tag }
    }
}
