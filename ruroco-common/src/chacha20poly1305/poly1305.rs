//! Poly1305 (RFC 8439, section 2.5) for a machine with 64-bit products and no wider ones, which is
//! what BPF is.
//!
//! Numbers are held in words of 32 bits, each in a `u64`, so that a block takes 20 products. A word
//! may be above 32 bits for a while; the bounds are at the sums that need them. Tests prove them: they
//! run this source with bounds in place of words.
//!
//! Rationale: decision 0035.

use core::ops::{Add, BitAnd, Mul, Shr};

use zerocopy::transmute_ref;

use crate::datagram::TAG_SIZE;

/// Size in bytes of what is absorbed at a time.
const BLOCK_SIZE: usize = 16;

/// What a number is made of: a `u64`, or in tests all that one can be.
pub(super) trait Word:
    Copy
    + From<u64>
    + Add<Output = Self>
    + Mul<Output = Self>
    + BitAnd<Output = Self>
    + Shr<u32, Output = Self>
{
}

impl Word for u64 {}

/// A running sum over a message.
#[derive(Clone, Copy)]
pub(super) struct Poly1305<W = u64> {
    /// The sum, modulo 2^130 - 5 but not fully reduced: words of 2^0, 2^32, 2^64, 2^96, 2^128.
    /// Between blocks the first is below 3 * 2^32, the next three are below 2^32, the last below 4.
    sum: [W; 5],
    /// The factor, clamped: each word is below 2^28.
    r: [W; 4],
    /// 5/4 of the factor's last three words. Those are multiples of 4, and 2^130 is 5 modulo
    /// 2^130 - 5: what a product has at 2^128 and above comes back at the bottom 5/4 times.
    wrapped: [W; 3],
    /// Added to the sum at the end.
    s: [W; 4],
}

impl Poly1305<u64> {
    /// An empty message under a one-time key, given as little-endian words.
    #[inline(always)]
    pub(super) fn new(one_time_key: [u32; 8]) -> Self {
        Self::from_words(one_time_key.map(u64::from))
    }

    /// Adds bytes, and zeros up to the end of the block (RFC 8439, section 2.8).
    #[inline(always)]
    pub(super) fn absorb_padded(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks();
        for block in blocks {
            self.absorb(block);
        }
        if !rest.is_empty() {
            let mut block = [0; BLOCK_SIZE];
            for (to, from) in block.iter_mut().zip(rest) {
                *to = *from;
            }
            self.absorb(&block);
        }
    }

    /// Adds the two lengths in bytes, 64 bits each, little-endian (RFC 8439, section 2.8).
    #[inline(always)]
    #[expect(clippy::as_conversions, reason = "no length has more than 64 bits")]
    pub(super) fn absorb_lengths(&mut self, first: usize, second: usize) {
        let lengths = [first as u64, second as u64];
        let [[a, b], [c, d]] = lengths.map(|length| [length & 0xffff_ffff, length >> 32]);
        self.add_and_multiply([a, b, c, d]);
    }

    #[inline(always)]
    fn absorb(&mut self, block: &[u8; BLOCK_SIZE]) {
        self.add_and_multiply(words(block));
    }

    /// Whether this is the tag of what was absorbed; compared in constant time.
    #[inline(always)]
    pub(super) fn verifies(self, tag: &[u8; TAG_SIZE]) -> bool {
        let [sum0, sum1, sum2, sum3] = self.tag();
        let [t0, t1, t2, t3] = words(tag);
        let difference = (sum0 ^ t0) | (sum1 ^ t1) | (sum2 ^ t2) | (sum3 ^ t3);
        difference & WORD == 0
    }
}

impl<W: Word> Poly1305<W> {
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "5/4 of numbers of 28 bits")]
    fn from_words([r0, r1, r2, r3, s0, s1, s2, s3]: [W; 8]) -> Self {
        // RFC 8439, section 2.5: the clamp.
        let (first, other) = (W::from(0x0fff_ffff), W::from(0x0fff_fffc));
        let [r0, r1, r2, r3] = [r0 & first, r1 & other, r2 & other, r3 & other];
        let wrapped = [r1, r2, r3].map(|word| word + (word >> 2));
        let sum = [0; 5].map(W::from);
        Self { sum, r: [r0, r1, r2, r3], wrapped, s: [s0, s1, s2, s3] }
    }

    /// One step of RFC 8439, section 2.5.1, for a full block, given as words of 32 bits.
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "bounded as the comments say")]
    fn add_and_multiply(&mut self, [m0, m1, m2, m3]: [W; 4]) {
        let [h0, h1, h2, h3, h4] = self.sum;
        let [r0, r1, r2, r3] = self.r;
        let [w1, w2, w3] = self.wrapped;

        // h0 < 4 * 2^32, h1 to h3 < 2 * 2^32, h4 <= 4; the 1 is the bit above a full block.
        let (h0, h1, h2, h3, h4) = (h0 + m0, h1 + m1, h2 + m2, h3 + m3, h4 + W::from(1));

        // r < 2^28 and wrapped < 1.25 * 2^28: no sum reaches 12 * 2^60, and d3 not 11 * 2^60.
        let d0 = h0 * r0 + h1 * w3 + h2 * w2 + h3 * w1;
        let d1 = h0 * r1 + h1 * r0 + h2 * w3 + h3 * w2 + h4 * w1;
        let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * w3 + h4 * w2;
        let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * w3;
        let d4 = h4 * r0;

        let d1 = d1 + (d0 >> 32);
        let d2 = d2 + (d1 >> 32);
        let d3 = d3 + (d2 >> 32);
        let d4 = d4 + (d3 >> 32); // < 2^30 + 11 * 2^28 < 2^32

        // What is at 2^130 and above comes back 5 times: 4 times and once.
        let folded = (d4 & W::from(!3)) + (d4 >> 2);
        let low = W::from(WORD);
        self.sum = [(d0 & low) + folded, d1 & low, d2 & low, d3 & low, d4 & W::from(3)];
    }

    /// The tag of what was absorbed: the low 32 bits of each word.
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "sums of a few numbers of 33 bits")]
    fn tag(self) -> [W; 4] {
        let (five, low) = (W::from(5), W::from(WORD));
        let [h0, h1, h2, h3, h4] = self.sum;
        let h1 = h1 + (h0 >> 32);
        let h2 = h2 + (h1 >> 32);
        let h3 = h3 + (h2 >> 32);
        let h4 = h4 + (h3 >> 32);
        let [h0, h1, h2, h3] = [h0, h1, h2, h3].map(|word| word & low);

        // The sum is less than twice 2^130 - 5. If adding 5 reaches 2^130, subtracting 2^130 - 5
        // is adding 5 and forgetting what is at 2^130.
        let g = h0 + five;
        let g = h1 + (g >> 32);
        let g = h2 + (g >> 32);
        let g = h3 + (g >> 32);
        let excess = (h4 + (g >> 32)) >> 2;

        let [s0, s1, s2, s3] = self.s;
        let sum0 = h0 + five * excess + s0;
        let sum1 = h1 + s1 + (sum0 >> 32);
        let sum2 = h2 + s2 + (sum1 >> 32);
        let sum3 = h3 + s3 + (sum2 >> 32);
        [sum0, sum1, sum2, sum3]
    }
}

/// The low 32 bits.
const WORD: u64 = 0xffff_ffff;

/// Little-endian words.
#[inline(always)]
fn words(block: &[u8; BLOCK_SIZE]) -> [u64; 4] {
    let words: &[[u8; 4]; 4] = transmute_ref!(block);
    words.map(|word| u32::from_le_bytes(word).into())
}

#[cfg(test)]
#[path = "poly1305/bounds.rs"]
mod bounds;

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a test that is wrong about its own numbers shall fail loudly"
)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    /// A block that begins with one byte and has another one everywhere else.
    const fn block(first: u8, rest: u8) -> [u8; BLOCK_SIZE] {
        let mut block = [rest; BLOCK_SIZE];
        block[0] = first;
        block
    }

    #[track_caller]
    fn check(key: [u32; 8], message: &[[u8; BLOCK_SIZE]], tag: [u8; TAG_SIZE]) {
        let mut mac = Poly1305::new(key);
        mac.absorb_padded(message.as_flattened());
        assert!(mac.verifies(&tag));
        for bit in 0..8 * TAG_SIZE {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!mac.verifies(&other), "bit {bit}");
        }
    }

    /// The vectors that are about carries and the reduction (RFC 8439, appendix A.3).
    #[test]
    fn sums_near_the_modulus_are_reduced() {
        const FULL: [u8; BLOCK_SIZE] = [0xff; BLOCK_SIZE];
        let small = |r: u32| [r, 0, 0, 0, 0, 0, 0, 0];
        // 1
        check([0; 8], &[[0; BLOCK_SIZE]; 4], [0; TAG_SIZE]);
        // 7
        check(small(2), &[FULL], block(3, 0));
        // 8
        let s = [2, 0, 0, 0, u32::MAX, u32::MAX, u32::MAX, u32::MAX];
        check(s, &[block(2, 0)], block(3, 0));
        // 9
        check(small(1), &[FULL, block(0xf0, 0xff), block(0x11, 0)], block(5, 0));
        // 10
        check(small(1), &[FULL, block(0xfb, 0xfe), [1; BLOCK_SIZE]], [0; TAG_SIZE]);
        // 11
        check(small(2), &[block(0xfd, 0xff)], block(0xfa, 0xff));
        // 12 and 13
        let r = [1, 0, 4, 0, 0, 0, 0, 0];
        let first = [0xe3, 0x35, 0x94, 0xd7, 0x50, 0x5e, 0x43, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0];
        let second = [0x33, 0x94, 0xd7, 0x50, 0x5e, 0x43, 0x79, 0xcd, 1, 0, 0, 0, 0, 0, 0, 0];
        let tag = [0x14, 0, 0, 0, 0, 0, 0, 0, 0x55, 0, 0, 0, 0, 0, 0, 0];
        check(r, &[first, second, block(0, 0), block(1, 0)], tag);
        check(r, &[first, second, block(0, 0)], block(0x13, 0));
    }

    /// Words of 2^0, 2^32, 2^64 and so on, whatever their size.
    pub(super) fn number(words: &[u64]) -> BigUint {
        words.iter().rev().fold(BigUint::ZERO, |sum, word| (sum << 32_u32) + word)
    }

    /// Words up to these, and often all of these at once.
    fn up_to<const N: usize>(most: [u64; N]) -> impl Strategy<Value = [u64; N]> {
        let random = any::<[u64; N]>()
            .prop_map(move |random| core::array::from_fn(|at| random[at] % (most[at] + 1)));
        prop_oneof![Just(most), random]
    }

    proptest! {
        /// Sums overflow loudly in tests.
        #[test]
        fn a_step_keeps_to_its_bounds_and_to_the_field(
            one_time_key in up_to([WORD; 8]),
            sum in up_to([(3 << 32) - 1, WORD, WORD, WORD, 3]),
            block in up_to([WORD; 4]),
        ) {
            let mut mac = Poly1305::new(one_time_key.map(|word| u32::try_from(word).unwrap()));
            mac.sum = sum;
            let [m0, m1, m2, m3] = block;
            let expected = (number(&mac.sum) + number(&[m0, m1, m2, m3, 1])) * number(&mac.r);
            mac.add_and_multiply(block);

            let modulus = (BigUint::from(1_u32) << 130_u32) - 5_u32;
            prop_assert_eq!(number(&mac.sum) % &modulus, expected % modulus);
            let [first, middle @ .., last] = mac.sum;
            prop_assert!(first < 3 << 32 && middle.iter().all(|word| *word <= WORD) && last < 4);
        }
    }
}
