//! Names, layouts and sizes of the BPF maps, for the program that reads them and the gate that
//! fills them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Array of one [`Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// Hash set of our addresses: [`Address`](crate::address::Address) to one unused byte.
pub const ADDRESSES: &str = "ADDRESSES";
/// Hash map of keys: [`KeyId`](crate::datagram::KeyId) to [`KeyEntry`].
pub const KEYS: &str = "KEYS";
/// Array per CPU of one `u64` counter for each [`Verdict`](crate::verdict::Verdict).
pub const VERDICTS: &str = "VERDICTS";
/// The ring of [`Candidate`](crate::candidate::Candidate)s.
pub const CANDIDATES: &str = "CANDIDATES";

/// Name of the XDP program; BPF object names have at most 15 characters (`BPF_OBJ_NAME_LEN`).
pub const PROGRAM: &str = "ruroco";

/// Most addresses a host may have behind one gate.
pub const MAX_ADDRESSES: u32 = 1024;
/// Most keys a gate may know.
pub const MAX_KEYS: u32 = 65_536;
/// Size of the ring in bytes, a power of two and a multiple of the page size. With 152 bytes for
/// each record it holds 6,898 candidates.
pub const RING_SIZE: u32 = 1 << 20;

/// What the program needs to know beside addresses and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// The gate's UDP port, in the byte order of this machine; 0 in an unfilled map, and no
    /// packet is to port 0.
    pub port: u16,
}

/// What the program knows about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KeyEntry {
    /// Unused until the kernel authenticates packets: being in the map is all that counts.
    pub present: u8,
}
