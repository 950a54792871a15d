//! Which packets are forged: the kernel agrees with the chacha20poly1305 crate.

use ruroco_common::{
    datagram::{self, Datagram, KeyId},
    plaintext,
    verdict::Verdict,
};
use ruroco_keys::key::Key;
use ruroco_seal::{Aead, generate_key};
use zerocopy::{FromBytes, IntoBytes};

use crate::{KEY, OURS, PORT, frames::Packet, kernel::Kernel, key_with_id, knock, sealed};

fn frame(payload: &[u8]) -> Vec<u8> {
    Packet::to(OURS[0], PORT, payload).to_frame()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_single_changed_bit_is_a_forgery() {
    let mut kernel = Kernel::filled();
    let authentic = knock(KEY);
    for bit in 0..8 * datagram::KEY_ID_SIZE {
        // The same secret under each of these ids: it is the id in the packet that counts.
        kernel.add_key(&key_with_id(KeyId(flipped(&KEY.0, bit).try_into().unwrap())));
    }
    assert_eq!(kernel.judge(&frame(&authentic)), Verdict::Candidate);
    for bit in 0..8 * datagram::SIZE {
        let verdict = kernel.judge(&frame(&flipped(&authentic, bit)));
        assert_eq!(verdict, Verdict::Forged, "bit {bit}");
    }
    assert_eq!(kernel.judge(&frame(&authentic)), Verdict::Candidate);
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// How many random packets the kernel and the crate have to agree on.
const PACKETS: usize = 100_000;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_kernel_agrees_with_the_crate_on_random_packets() {
    let mut kernel = Kernel::filled();
    let keys = keys();
    keys.iter().for_each(|key| kernel.add_key(key));
    let mut met = [0_u32; 2];
    for key in keys.iter().cycle().take(PACKETS) {
        let packet = random_packet(key);
        let opens = Aead::new(key).open(&packet).is_ok();
        let expected = if opens { Verdict::Candidate } else { Verdict::Forged };
        let verdict = kernel.judge_once_more(&frame(packet.as_bytes()), None);
        assert_eq!(verdict, expected, "{} {packet:02x?}", *key.to_text());
        assert_eq!(kernel.next_record().is_some(), opens);
        met[usize::from(opens)] += 1;
    }
    assert!(met.iter().all(|times| *times > 40_000), "forged and authentic: {met:?}");
}

/// Random keys, and those of the most and the least bits.
fn keys() -> Vec<Key> {
    let least = format!("chacha20poly1305:{}==", "A".repeat(54));
    let most = format!("chacha20poly1305:{}w==", "/".repeat(53));
    let extreme = [least, most].map(|text| Key::parse(&text).unwrap());
    extreme.into_iter().chain((0..62).map(|_| generate_key().unwrap())).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A packet that is authentic every other time, and otherwise nearly so or not at all.
fn random_packet(key: &Key) -> Datagram {
    let [kind, bit_low, bit_high, fill] = random();
    let content = match fill {
        0..32 => [0; plaintext::SIZE],
        32..64 => [0xff; plaintext::SIZE],
        _ => random(),
    };
    let sealed = Aead::new(key).seal(random(), content).unwrap();
    let from = datagram::KEY_ID_SIZE;
    let mut bytes: [u8; datagram::SIZE] = sealed.as_bytes().try_into().unwrap();
    match kind {
        0..128 => {}
        128..192 => {
            let bits = 8 * (datagram::SIZE - from);
            let bit = 8 * from + usize::from(u16::from_le_bytes([bit_low, bit_high])) % bits;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        192..224 => bytes[20..36].copy_from_slice(&random::<16>()),
        224..240 => bytes[from..].copy_from_slice(&random::<86>()),
        240.. => bytes[from..].fill(fill),
    }
    Datagram::read_from_bytes(&bytes).unwrap()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_slot_without_a_key_authenticates_nothing() {
    let mut kernel = Kernel::filled();
    kernel.remove_key(KEY);
    let zeros = Key::parse(&format!("chacha20poly1305:{}==", "A".repeat(54))).unwrap();
    for payload in [knock(KEY), sealed(&Key { id: KEY, ..zeros })] {
        assert_eq!(kernel.judge(&frame(&payload)), Verdict::UnknownKey);
    }
}
