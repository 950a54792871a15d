//! Sealing and opening datagrams with the maintained crates.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

use aes_gcm_siv::Aes256GcmSiv;
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{AeadInOut, Nonce, Tag},
};
use ruroco_common::{
    datagram::{Datagram, NONCE_SIZE},
    plaintext,
};
use ruroco_keys::key::{Cipher, Key, RAW_SIZE};
use zeroize::Zeroizing;

/// Makes a key for ChaCha20-Poly1305 from the operating system's random numbers.
///
/// # Errors
/// If the operating system has none to give.
pub fn generate_key() -> Result<Key, getrandom::Error> {
    generate_key_for(Cipher::ChaCha20Poly1305)
}

/// The same for another cipher.
///
/// # Errors
/// If the operating system has none to give.
pub fn generate_key_for(cipher: Cipher) -> Result<Key, getrandom::Error> {
    let mut raw = Zeroizing::new([0_u8; RAW_SIZE]);
    getrandom::fill(&mut *raw)?;
    Ok(Key::from_raw(&raw, cipher))
}

/// A datagram whose tag is not that of its key and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

/// A key ready for use. Its secret is wiped when dropped.
///
/// The cipher is set up again for every datagram. For ChaCha20-Poly1305, that costs nothing; for
/// AES-256-GCM-SIV, it is one key schedule in addition to the schedule that every message needs anyway (RFC 8452,
/// section 4). If schedules were kept for each of many keys, each would take up to a kilobyte.
pub struct Aead(Key);

impl Aead {
    /// Takes a copy of the key.
    pub fn new(key: &Key) -> Self {
        Self(key.clone())
    }

    /// Encrypts and authenticates; `nonce` must never have been used with this key before.
    ///
    /// # Errors
    /// None for content of this size (RFC 8439 allows 256 GiB, RFC 8452 64 GiB); the crates' type
    /// is kept rather than a panic.
    pub fn seal(
        &self,
        nonce: [u8; NONCE_SIZE],
        mut content: [u8; plaintext::SIZE],
    ) -> Result<Datagram, aes_gcm_siv::aead::Error> {
        let Key { id, cipher, secret } = &self.0;
        let secret = secret.expose().into();
        let tag = match cipher {
            Cipher::ChaCha20Poly1305 => {
                seal_with(&ChaCha20Poly1305::new(secret), nonce, &id.0, &mut content)?
            }
            Cipher::Aes256GcmSiv => {
                seal_with(&Aes256GcmSiv::new(secret), nonce, &[], &mut content)?
            }
        };
        Ok(Datagram { key_id: *id, nonce, tag, ciphertext: content })
    }

    /// Verifies and decrypts a datagram that carries this key's id.
    ///
    /// # Errors
    /// [`Forged`] if the tag is wrong; no part of the content is then available.
    pub fn open(&self, datagram: &Datagram) -> Result<[u8; plaintext::SIZE], Forged> {
        let mut content = datagram.ciphertext;
        let Key { id, cipher, secret } = &self.0;
        let secret = secret.expose().into();
        let opened = match cipher {
            Cipher::ChaCha20Poly1305 => {
                open_with(&ChaCha20Poly1305::new(secret), datagram, &id.0, &mut content)
            }
            Cipher::Aes256GcmSiv => {
                open_with(&Aes256GcmSiv::new(secret), datagram, &[], &mut content)
            }
        };
        opened.map(|()| content).map_err(|_| Forged)
    }
}

fn seal_with<C: AeadInOut>(
    cipher: &C,
    nonce: [u8; NONCE_SIZE],
    associated_data: &[u8],
    content: &mut [u8],
) -> Result<[u8; 16], aes_gcm_siv::aead::Error> {
    let nonce = Nonce::<C>::try_from(&nonce[..]).map_err(|_| aes_gcm_siv::aead::Error)?;
    let tag = cipher.encrypt_inout_detached(&nonce, associated_data, content.into())?;
    tag.as_slice().try_into().map_err(|_| aes_gcm_siv::aead::Error)
}

fn open_with<C: AeadInOut>(
    cipher: &C,
    datagram: &Datagram,
    associated_data: &[u8],
    content: &mut [u8],
) -> Result<(), aes_gcm_siv::aead::Error> {
    let nonce = Nonce::<C>::try_from(&datagram.nonce[..]).map_err(|_| aes_gcm_siv::aead::Error)?;
    let tag = Tag::<C>::try_from(&datagram.tag[..]).map_err(|_| aes_gcm_siv::aead::Error)?;
    cipher.decrypt_inout_detached(&nonce, associated_data, content.into(), &tag)
}

/// That the crates wipe their keys hangs on a feature of each; without it this does not compile.
const _: () = {
    const fn wipes_itself<T: zeroize::ZeroizeOnDrop>() {}
    wipes_itself::<ChaCha20Poly1305>();
    // AES-256-GCM-SIV holds nothing but its block cipher.
    wipes_itself::<aes::Aes256>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::plaintext::Plaintext;
    use zerocopy::{FromBytes, IntoBytes};

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn a_packet_of_upstream_is_opened() {
        let key = Key::parse("AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==").unwrap();
        let packet = hex(
            "0001020304050607a0a1a2a3a4a5a6a7a8a9aaabf125dd6e758957aaa88f67dbcef8ddb20bf7c25543c7ef8e\
             9e0c47c41cdd74786574931dee77fe5f7828ea876c5b2b637c8aad7ae87f6dd18d53fe371c80ca77db95600f\
             f4ccb53180e5",
        );
        let datagram = Datagram::read_from_bytes(&packet).unwrap();
        let content = Aead::new(&key).open(&datagram).unwrap();
        let plaintext = Plaintext::decode(&content).unwrap();
        assert_eq!(plaintext.counter, 1_725_821_510_000_000_000);
        assert!(plaintext.strict);
        assert_eq!(plaintext.destination.to_string(), "127.0.0.1");
        let sealed = Aead::new(&key).seal(datagram.nonce, content).unwrap();
        assert_eq!(sealed.as_bytes(), packet);
    }

    #[test]
    fn one_changed_bit_anywhere_is_a_forgery() {
        for text in [
            "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
            "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
        ] {
            let aead = Aead::new(&Key::parse(text).unwrap());
            let sealed = aead.seal([7; NONCE_SIZE], [1; plaintext::SIZE]).unwrap();
            assert_eq!(aead.open(&sealed), Ok([1; plaintext::SIZE]));
            for bit in 8 * 8..94 * 8 {
                let mut forged = sealed;
                forged.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(aead.open(&forged), Err(Forged), "bit {bit}");
            }
        }
    }
}
