//! AES-256-GCM-SIV, written out from RFC 8452 and FIPS 197, to have something to hold the client's
//! packets against that shares no code with it. Slow, and for tests only.

/// Decrypts; `None` if the tag is wrong.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    tag: &[u8; 16],
    text: &[u8],
) -> Option<Vec<u8>> {
    let (authentication, encryption) = derived_keys(key, nonce);
    let plain = in_counter_mode(&encryption, tag, text);
    (tag_of(&authentication, &encryption, nonce, &plain) == *tag).then_some(plain)
}

/// Encrypts; the tag, and the ciphertext.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; 12], plain: &[u8]) -> ([u8; 16], Vec<u8>) {
    let (authentication, encryption) = derived_keys(key, nonce);
    let tag = tag_of(&authentication, &encryption, nonce, plain);
    (tag, in_counter_mode(&encryption, &tag, plain))
}

/// RFC 8452, section 4: "derive_keys".
fn derived_keys(key: &[u8; 32], nonce: &[u8; 12]) -> ([u8; 16], Aes256) {
    let generating = Aes256::new(key);
    let halves = (0_u32..6).flat_map(|number| {
        let mut block = [0; 16];
        block[..4].copy_from_slice(&number.to_le_bytes());
        block[4..].copy_from_slice(nonce);
        generating.encrypt(block).into_iter().take(8)
    });
    let all: Vec<u8> = halves.collect();
    (all[..16].try_into().unwrap(), Aes256::new(all[16..].try_into().unwrap()))
}

/// Section 4: the tag, without additional data, as upstream has it.
fn tag_of(authentication: &[u8; 16], aes: &Aes256, nonce: &[u8; 12], plain: &[u8]) -> [u8; 16] {
    let mut lengths = [0; 16];
    lengths[8..].copy_from_slice(&(plain.len() as u64 * 8).to_le_bytes());
    let padded = plain.chunks(16).map(|chunk| {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        block
    });
    let mut sum = polyval(authentication, padded.chain([lengths]));
    sum.iter_mut().zip(nonce).for_each(|(sum, nonce)| *sum ^= nonce);
    sum[15] &= 0x7f;
    aes.encrypt(sum)
}

/// Section 4: "AES_CTR".
fn in_counter_mode(aes: &Aes256, tag: &[u8; 16], text: &[u8]) -> Vec<u8> {
    let mut block = *tag;
    block[15] |= 0x80;
    let blocks = text.chunks(16).flat_map(|chunk| {
        let stream = aes.encrypt(block);
        let next = u32::from_le_bytes(block[..4].try_into().unwrap()).wrapping_add(1);
        block[..4].copy_from_slice(&next.to_le_bytes());
        chunk.iter().zip(stream).map(|(text, stream)| text ^ stream).collect::<Vec<_>>()
    });
    blocks.collect()
}

/// Section 3. The field is that of x^128 + x^127 + x^126 + x^121 + 1; the least bit of the first byte
/// is the coefficient of x^0.
fn polyval(key: &[u8; 16], blocks: impl Iterator<Item = [u8; 16]>) -> [u8; 16] {
    const REDUCED: u128 = 1 << 127 | 1 << 126 | 1 << 121 | 1;
    let times_x = |v: u128| (v << 1) ^ (if v >> 127 == 1 { REDUCED } else { 0 });
    // (v + the whole polynomial) / x, if x does not divide v.
    let by_x = |v: u128| if v & 1 == 0 { v >> 1 } else { (v ^ REDUCED) >> 1 | 1 << 127 };
    let key = (0..128).fold(u128::from_le_bytes(*key), |v, _| by_x(v));
    let times_key = |v: u128| {
        let powers = std::iter::successors(Some(key), |power| Some(times_x(*power)));
        powers.take(128).enumerate().fold(
            0,
            |sum, (bit, power)| {
                if v >> bit & 1 == 1 { sum ^ power } else { sum }
            },
        )
    };
    let sum = blocks.fold(0, |sum, block| times_key(sum ^ u128::from_le_bytes(block)));
    sum.to_le_bytes()
}

/// FIPS 197 with a key of 256 bits.
struct Aes256 {
    round_keys: Vec<[u8; 16]>,
    substitution: Vec<u8>,
}

impl Aes256 {
    fn new(key: &[u8; 32]) -> Self {
        let substitution: Vec<u8> = (0..=255).map(substituted).collect();
        let mut words: Vec<[u8; 4]> = key.as_chunks::<4>().0.to_vec();
        let mut round = 1;
        for place in 8..60 {
            let mut word = words[place - 1];
            if place % 8 == 0 {
                word.rotate_left(1);
            }
            if place % 4 == 0 {
                word = word.map(|byte| substitution[usize::from(byte)]);
            }
            if place % 8 == 0 {
                word[0] ^= round;
                round = times_two(round);
            }
            let earlier = words[place - 8];
            words.push(std::array::from_fn(|byte| word[byte] ^ earlier[byte]));
        }
        let round_keys = words.chunks(4).map(|words| words.concat().try_into().unwrap());
        Self { round_keys: round_keys.collect(), substitution }
    }

    fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let add = |state: [u8; 16], key: &[u8; 16]| std::array::from_fn(|i| state[i] ^ key[i]);
        let mut state: [u8; 16] = add(block, &self.round_keys[0]);
        for (round, key) in self.round_keys.iter().enumerate().skip(1) {
            // The rows of a state stand in steps of four; row n moves by n columns.
            let moved: [u8; 16] = std::array::from_fn(|i| state[(i + 4 * (i % 4)) % 16]);
            state = moved.map(|byte| self.substitution[usize::from(byte)]);
            if round < 14 {
                state = mixed(state);
            }
            state = add(state, key);
        }
        state
    }
}

fn mixed(state: [u8; 16]) -> [u8; 16] {
    std::array::from_fn(|i| {
        let column = &state[i / 4 * 4..][..4];
        let of = |row: usize| column[(i + row) % 4];
        times_two(of(0)) ^ times_two(of(1)) ^ of(1) ^ of(2) ^ of(3)
    })
}

fn times_two(byte: u8) -> u8 {
    (byte << 1) ^ (if byte >> 7 == 1 { 0x1b } else { 0 })
}

/// Section 5.1.1: the inverse, and an affine map.
fn substituted(byte: u8) -> u8 {
    let product = |a: u8, b: u8| {
        let powers = std::iter::successors(Some(a), |power| Some(times_two(*power)));
        let bits = powers.take(8).enumerate().filter(|(bit, _)| b >> bit & 1 == 1);
        bits.fold(0, |sum, (_, power)| sum ^ power)
    };
    let inverse = (0..=255).find(|other| product(byte, *other) == 1).unwrap_or(0);
    (0..5).fold(0x63, |sum, turn| sum ^ inverse.rotate_left(turn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    #[test]
    fn it_is_what_the_rfc_says() {
        // FIPS 197, appendix C.3.
        let key = std::array::from_fn(|i| i as u8);
        let block = bytes("00112233445566778899aabbccddeeff");
        let expected: [u8; 16] = bytes("8ea2b7ca516745bfeafc49904b496089");
        assert_eq!(Aes256::new(&key).encrypt(block), expected);
        // RFC 8452, appendix A.
        let key = bytes("25629347589242761d31f826ba4b757b");
        let blocks = ["4f4f95668c83dfb6401762bb2d01a262", "d1a24ddd2721d006bbe45f20d3c9f362"];
        let expected: [u8; 16] = bytes("f7a3b47b846119fae5b7866cf5e5b77e");
        assert_eq!(polyval(&key, blocks.map(bytes).into_iter()), expected);
        // RFC 8452, appendix C.2: nothing, and eight bytes.
        let mut key = [0; 32];
        key[0] = 1;
        let nonce = bytes("030000000000000000000000");
        for (plain, text, tag) in [
            (&[][..], &[][..], "07f5f4169bbf55a8400cd47ea6fd400f"),
            (
                &[1, 0, 0, 0, 0, 0, 0, 0],
                &bytes::<8>("c2ef328e5c71c83b"),
                "843122130f7364b761e0b97427e3df28",
            ),
        ] {
            assert_eq!(seal(&key, &nonce, plain), (bytes(tag), text.to_vec()));
            assert_eq!(open(&key, &nonce, &bytes(tag), text).as_deref(), Some(plain));
            let mut wrong: [u8; 16] = bytes(tag);
            wrong[3] ^= 1;
            assert_eq!(open(&key, &nonce, &wrong, text), None);
        }
    }
}
