//! The tag check that the XDP program makes: any key, any message, any tag.
//!
//! It says of each what the chacha20poly1305 crate says: of bytes as they come, of messages that the
//! crate has sealed, and of those with a few bits changed. No key that a fuzzer can make has ChaCha20
//! give Poly1305 numbers at the edge of its arithmetic, so that part is also held against the
//! poly1305 crate by itself, with a one-time key that comes straight from the input.

use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::AeadInOut};
use poly1305::universal_hash::UniversalHash;
use ruroco_common::{
    chacha20poly1305::Key,
    datagram::{Datagram, SIZE},
};
use zerocopy::FromBytes;

#[allow(dead_code, unreachable_pub, reason = "in its crate it is used more")]
#[path = "../../ruroco-common/src/chacha20poly1305/poly1305.rs"]
mod ours;

/// Longest message that is looked at; Poly1305 has come round to everything long before.
const MAX_MESSAGE: usize = 200;

/// Takes any bytes for a key, a message and a tag.
pub fn packet_crypto(data: &[u8]) -> bool {
    let mut input = Input(data);
    let (secret, nonce, tag) = (input.take(), input.take(), input.take());
    let changes = Changes(input.take());
    let [split] = input.take();
    let message = &input.0[..input.0.len().min(MAX_MESSAGE)];
    let (associated_data, text) = message.split_at(message.len().min(split.into()));

    let crypto = Crypto::new(&secret);
    crypto.agree(&nonce, associated_data, text, &tag);
    check_sealed_message(&crypto, &nonce, associated_data, text, &changes);
    check_sealed_datagram(&crypto, &nonce, text, &changes);
    check_poly1305(&secret, message, &tag, &changes);
    true
}

/// Ours and theirs, with the same key.
struct Crypto {
    ours: Key,
    theirs: ChaCha20Poly1305,
}

impl Crypto {
    fn new(secret: &[u8; 32]) -> Self {
        Self { ours: Key::new(secret), theirs: ChaCha20Poly1305::new(secret.into()) }
    }

    /// Whether the tag is right, about which there must be one opinion.
    fn agree(&self, nonce: &[u8; 12], associated_data: &[u8], text: &[u8], tag: &[u8; 16]) -> bool {
        let ours = self.ours.verifies_message(nonce, associated_data, text, tag);
        let mut opened = text.to_vec();
        let buffer = opened.as_mut_slice().into();
        let theirs =
            self.theirs.decrypt_inout_detached(nonce.into(), associated_data, buffer, tag.into());
        assert_eq!(ours, theirs.is_ok(), "ours and the crate's");
        ours
    }

    fn seal(&self, nonce: &[u8; 12], associated_data: &[u8], text: &mut [u8]) -> [u8; 16] {
        self.theirs
            .encrypt_inout_detached(nonce.into(), associated_data, text.into())
            .unwrap()
            .into()
    }
}

fn check_sealed_message(
    crypto: &Crypto,
    nonce: &[u8; 12],
    associated_data: &[u8],
    text: &[u8],
    changes: &Changes,
) {
    let mut text = text.to_vec();
    let tag = crypto.seal(nonce, associated_data, &mut text);
    assert!(crypto.agree(nonce, associated_data, &text, &tag));

    let mut changed = [nonce, &tag[..], associated_data, &text].concat();
    changes.apply(&mut changed);
    let mut changed = Input(&changed);
    let (nonce, tag) = (changed.take(), changed.take());
    let (associated_data, text) = changed.0.split_at(associated_data.len());
    crypto.agree(&nonce, associated_data, text, &tag);
}

/// The same for a knock, read from the offsets in the documentation.
fn check_sealed_datagram(crypto: &Crypto, nonce: &[u8; 12], text: &[u8], changes: &Changes) {
    let mut input = Input(text);
    let (key_id, mut plaintext) = (input.take::<8>(), input.take::<58>());
    let tag = crypto.seal(nonce, &key_id, &mut plaintext);
    let mut wire = [&key_id, &nonce[..], &tag, &plaintext].concat();
    assert!(crypto.ours.verifies(&Datagram::read_from_bytes(&wire).unwrap()));

    changes.apply(&mut wire);
    let wire: [u8; SIZE] = wire.try_into().unwrap();
    let verifies = crypto.ours.verifies(&Datagram::read_from_bytes(&wire).unwrap());
    let (nonce, tag) = (wire[8..20].try_into().unwrap(), wire[20..36].try_into().unwrap());
    assert_eq!(verifies, crypto.agree(nonce, &wire[..8], &wire[36..], tag));
}

fn check_poly1305(key: &[u8; 32], message: &[u8], tag: &[u8; 16], changes: &Changes) {
    let mut theirs = poly1305::Poly1305::new(key.into());
    theirs.update_padded(message);
    let right: [u8; 16] = theirs.finalize().into();

    let words = std::array::from_fn(|at| u32::from_le_bytes(key.as_chunks().0[at]));
    let mut ours = ours::Poly1305::new(words);
    ours.absorb_padded(message);
    let mut changed = right;
    changes.apply(&mut changed);
    for tag in [right, changed, *tag] {
        assert_eq!(ours.verifies(&tag), tag == right, "poly1305: the tag is {right:02x?}");
    }
}

/// What is left of the input. Behind its end are zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_at(self.0.len().min(N));
        self.0 = tail;
        let mut taken = [0; N];
        taken[..head.len()].copy_from_slice(head);
        taken
    }
}

/// Up to three bits to change, and where.
struct Changes([u8; 7]);

impl Changes {
    fn apply(&self, bytes: &mut [u8]) {
        let [count, ref places @ ..] = self.0;
        for place in &places.as_chunks::<2>().0[..usize::from(count % 4)] {
            let bit = usize::from(u16::from_le_bytes(*place)) % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
