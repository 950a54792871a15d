//! The 94 bytes of a knock on the wire, still closed.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | key id, in clear |
//! | 8 | 12 | nonce, random for every packet |
//! | 20 | 16 | AEAD tag; it stands *before* the ciphertext |
//! | 36 | 58 | ciphertext of a [`Plaintext`](crate::plaintext::Plaintext) |

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::plaintext;

/// Size in bytes of a key id.
pub const KEY_ID_SIZE: usize = 8;
/// Size in bytes of a nonce: 96 bits (RFC 8439, section 2.3; RFC 8452, section 4).
pub const NONCE_SIZE: usize = 12;
/// Size in bytes of an authentication tag: 128 bits (RFC 8439, section 2.5; RFC 8452, section 4).
pub const TAG_SIZE: usize = 16;
/// Size in bytes of a whole datagram, the only size that is ever checked further.
pub const SIZE: usize = KEY_ID_SIZE + NONCE_SIZE + TAG_SIZE + plaintext::SIZE;

/// The random 8 bytes that select a key; all that a packet shows of its sender.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct KeyId(pub [u8; KEY_ID_SIZE]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A knock as it travels. That it has this type says only that it is 94 bytes long: nothing in it
/// has been authenticated.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Datagram {
    /// Selects the key; also the associated data of ChaCha20-Poly1305.
    pub key_id: KeyId,
    /// Fresh and random for every packet.
    pub nonce: [u8; NONCE_SIZE],
    /// Authenticates ciphertext and associated data.
    pub tag: [u8; TAG_SIZE],
    /// The encrypted plaintext.
    pub ciphertext: [u8; plaintext::SIZE],
}

const _: () = assert!(size_of::<Datagram>() == 94 && SIZE == 94);
