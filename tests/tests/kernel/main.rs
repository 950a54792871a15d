//! The XDP program as the kernel runs it: loaded, verified and compiled by the real kernel, its
//! maps filled as the gate fills them, and fed frames through `BPF_PROG_TEST_RUN`.
//!
//! [`verdicts`] says in so many words what must become of which frame, [`authentication`] which
//! packets are forged, [`replays`] which come too often, [`shares`]
//! which are more than their key's share of the ring, [`records`] what the ring must then hold,
//! [`appearance`] what goes to the stack, [`loading`] that the verifier accepts it; [`differential`] compares the kernel with a model for
//! thousands of generated frames. What happens on a wire is the end-to-end tests' matter.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as expected has to end the test, and say where"
)]

mod appearance;
mod authentication;
mod differential;
mod doors;
#[path = "../../../ruroco-common/tests/headers/frames.rs"]
mod frames;
mod kernel;
mod loading;
#[path = "../../../ruroco-common/tests/headers/oracle.rs"]
mod oracle;
mod records;
mod replays;
mod shares;
mod verdicts;

use std::net::IpAddr;

use ruroco_common::{datagram::KeyId, plaintext};
use ruroco_keys::key::Key;
use ruroco_seal::Aead;
use zerocopy::IntoBytes;

/// The addresses in the map.
const OURS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
/// The port in the map.
const PORT: u16 = 34_020;
/// The id of the key in the map.
const KEY: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);

/// The key in the map.
fn key() -> Key {
    let key = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    Key::parse(key).unwrap()
}

/// The same secret under another id.
fn key_with_id(id: KeyId) -> Key {
    Key { id, ..key() }
}

/// The 94 bytes of a knock sealed with a key, always the same. What is inside is not for the kernel.
fn sealed(key: &Key) -> Vec<u8> {
    let content = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let datagram = Aead::new(key).seal([0x5a; 12], content).unwrap();
    assert_eq!(content.len(), plaintext::SIZE);
    datagram.as_bytes().to_vec()
}

/// An authentic knock under an id, with the secret of the key in the map.
fn knock(id: KeyId) -> Vec<u8> {
    sealed(&key_with_id(id))
}
