//! The tag check against everything that has a second opinion: the vectors of RFC 8439, those that
//! Wycheproof made to break implementations, and the chacha20poly1305 crate.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that is wrong about its own numbers shall fail loudly"
)]

use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::AeadInOut};
use proptest::prelude::*;
use ruroco_common::{
    chacha20poly1305::Key,
    datagram::{Datagram, KeyId},
};
use wycheproof::{
    TestResult,
    aead::{TestName, TestSet},
};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let digits: String = text.split_whitespace().collect();
    let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    bytes.collect::<Result<Vec<_>, _>>().unwrap().try_into().unwrap()
}

#[test]
fn the_example_of_rfc_8439_verifies() {
    // Section 2.8.2
    let key = Key::new(&std::array::from_fn(|at| 0x80 + u8::try_from(at).unwrap()));
    let nonce = hex("07000000 40414243 44454647");
    let associated_data: [u8; 12] = hex("50515253 c0c1c2c3 c4c5c6c7");
    let ciphertext: [u8; 114] =
        hex("d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6
         3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36
         92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
         3ff4def08e4b7a9de576d26586cec64b 6116");
    let tag = hex("1ae10b594f09e26a7e902ecbd0600691");
    assert!(key.verifies_message(&nonce, &associated_data, &ciphertext, &tag));
}

#[test]
fn the_test_vector_of_rfc_8439_verifies() {
    // Appendix A.5
    let key = Key::new(&hex("1c9240a5eb55d38af333888604f6b5f0 473917c1402b80099dca5cbc207075c0"));
    let nonce = hex("000000000102030405060708");
    let associated_data: [u8; 12] = hex("f33388860000000000004e91");
    let ciphertext: [u8; 265] =
        hex("64a0861575861af460f062c79be643bd 5e805cfd345cf389f108670ac76c8cb2
         4c6cfc18755d43eea09ee94e382d26b0 bdb7b73c321b0100d4f03b7f355894cf
         332f830e710b97ce98c8a84abd0b9481 14ad176e008d33bd60f982b1ff37c855
         9797a06ef4f0ef61c186324e2b350638 3606907b6a7c02b0f9f6157b53c867e4
         b9166c767b804d46a59b5216cde7a4e9 9040c5a40433225ee282a1b0a06c523e
         af4534d7f83fa1155b0047718cbc546a 0d072b04b3564eea1b422273f548271a
         0bb2316053fa76991955ebd63159434e cebb4e466dae5a1073a6727627097a10
         49e617d91d361094fa68f0ff77987130 305beaba2eda04df997b714d6c6f2c29
         a6ad5cb4022b02709b");
    let tag = hex("eead9d67890cbb22392336fea1851f38");
    assert!(key.verifies_message(&nonce, &associated_data, &ciphertext, &tag));
}

#[test]
fn wycheproof_has_nothing_to_object() {
    let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
    // Ours is a check for one size of nonce and tag.
    let groups = set.test_groups.into_iter();
    let tests = groups.filter(|group| (group.nonce_size, group.tag_size) == (96, 128));
    let (mut valid, mut invalid) = (0, 0);
    for test in tests.flat_map(|group| group.tests) {
        let key = Key::new(&test.key[..].try_into().unwrap());
        let nonce = test.nonce[..].try_into().unwrap();
        let tag = test.tag[..].try_into().unwrap();
        let verifies = key.verifies_message(&nonce, &test.aad, &test.ct, &tag);
        match test.result {
            TestResult::Valid => valid += 1,
            TestResult::Invalid => invalid += 1,
            TestResult::Acceptable => continue,
        }
        assert_eq!(verifies, test.result == TestResult::Valid, "{test:?}");
    }
    assert!(valid > 200 && invalid > 30, "{valid} valid and {invalid} invalid ones");
}

/// Bytes that are often all alike: carries are rare otherwise.
fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    prop_oneof![
        3 => any::<[u8; N]>(),
        1 => prop::sample::select(vec![0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff]).prop_map(|byte| [byte; N]),
    ]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (0..200_usize).prop_map(|length| vec![0xff; length]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_crates_tag_verifies_and_no_other(
        (secret, nonce) in (bytes::<32>(), bytes::<12>()),
        (associated_data, mut text) in (message(), message()),
        bit in 0_usize..128,
        other in bytes::<16>(),
    ) {
        let cipher = ChaCha20Poly1305::new(&secret.into());
        let tag =
            cipher.encrypt_inout_detached(&nonce.into(), &associated_data, (&mut text[..]).into());
        let mut tag: [u8; 16] = tag.unwrap().into();
        let key = Key::new(&secret);
        prop_assert!(key.verifies_message(&nonce, &associated_data, &text, &tag));
        prop_assert_eq!(key.verifies_message(&nonce, &associated_data, &text, &other), other == tag);
        tag[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!key.verifies_message(&nonce, &associated_data, &text, &tag));
    }

    #[test]
    fn a_datagram_is_a_message_with_its_key_id_as_associated_data(
        (secret, nonce, key_id) in (bytes::<32>(), bytes::<12>(), bytes::<8>()),
        mut ciphertext in bytes::<58>(),
    ) {
        let cipher = ChaCha20Poly1305::new(&secret.into());
        let tag = cipher.encrypt_inout_detached(&nonce.into(), &key_id, (&mut ciphertext[..]).into());
        let tag: [u8; 16] = tag.unwrap().into();
        let datagram = Datagram { key_id: KeyId(key_id), nonce, tag, ciphertext };
        prop_assert!(Key::new(&secret).verifies(&datagram));
        let mut other = datagram;
        other.key_id.0[7] ^= 1;
        prop_assert!(!Key::new(&secret).verifies(&other));
    }
}
