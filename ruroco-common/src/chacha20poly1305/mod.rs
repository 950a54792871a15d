//! Whether a message carries the right ChaCha20-Poly1305 tag (RFC 8439): what the XDP program asks
//! of every datagram that names a key of ours.
//!
//! Only that: the tag is over the ciphertext, so telling a forgery takes one ChaCha20 block, which
//! gives the one-time key, and Poly1305. Nothing is decrypted; the verifier opens what passes with
//! the maintained crate, which checks the tag a second time.
//!
//! The same source runs in the kernel and on the host, where it is tested: integers only, no
//! tables, no allocation, no branch and no address that depends on a secret.

mod chacha20;
mod poly1305;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use self::poly1305::Poly1305;
use crate::datagram::{Datagram, NONCE_SIZE, TAG_SIZE};

/// Size in bytes of a key: 256 bits (RFC 8439, section 2.3).
pub const KEY_SIZE: usize = 32;

/// A key, as the eight words that ChaCha20 starts from.
///
/// It can neither be printed nor compared. It is plain memory: code in user space must wipe
/// its copies.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Key([u32; KEY_SIZE / 4]);

impl Key {
    /// A key that belongs to no one.
    pub(crate) const ZERO: Self = Self([0; KEY_SIZE / 4]);

    /// From the bytes of a key file.
    pub fn new(bytes: &[u8; KEY_SIZE]) -> Self {
        let (words, _) = bytes.as_chunks();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        Self([0; KEY_SIZE / 4].map(|_| words.next().unwrap_or_default()))
    }

    /// Whether a datagram was sealed with this key; its associated data is the key id.
    #[inline(always)]
    pub fn verifies(&self, datagram: &Datagram) -> bool {
        let Datagram { key_id, nonce, tag, ciphertext } = datagram;
        self.verifies_message(nonce, &key_id.0, ciphertext, tag)
    }

    /// Whether this is the tag of a message of any length (RFC 8439, section 2.8). Takes the same
    /// time whatever the tag and the key are.
    #[inline(always)]
    pub fn verifies_message(
        &self,
        nonce: &[u8; NONCE_SIZE],
        associated_data: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_SIZE],
    ) -> bool {
        let mut mac = Poly1305::new(chacha20::one_time_key(&self.0, nonce));
        mac.absorb_padded(associated_data);
        mac.absorb_padded(ciphertext);
        mac.absorb_lengths(associated_data.len(), ciphertext.len());
        mac.verifies(tag)
    }
}
