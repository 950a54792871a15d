//! Proves that no sum and no product of Poly1305 overflows, for any key and message: the functions
//! that check tags run with the greatest value that a word can have in place of the word.
//!
//! Nothing is subtracted, and no operation gives less for a greater operand except a mask, for which
//! [`UpTo`] has a bound that holds for any smaller operand, too. So a bound of the operands gives a
//! bound of the result.

use core::ops::{Add, BitAnd, Mul, Shr};

use super::{Poly1305, WORD, tests::number};
use num_bigint::BigUint;

/// Any word from 0 up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UpTo(u64);

impl From<u64> for UpTo {
    fn from(word: u64) -> Self {
        Self(word)
    }
}

impl Add for UpTo {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("a sum can overflow"))
    }
}

impl Mul for UpTo {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(self.0.checked_mul(other.0).expect("a product can overflow"))
    }
}

impl BitAnd for UpTo {
    type Output = Self;

    fn bitand(self, mask: Self) -> Self {
        self.min(mask)
    }
}

impl Shr<u32> for UpTo {
    type Output = Self;

    fn shr(self, count: u32) -> Self {
        Self(self.0 >> count)
    }
}

impl super::Word for UpTo {}

/// What the sum's words stay below between blocks, as the comment at the field says.
const SUM: [UpTo; 5] = [UpTo((3 << 32) - 1), UpTo(WORD), UpTo(WORD), UpTo(WORD), UpTo(3)];

/// The state between two blocks under any key, whatever was absorbed.
fn between_blocks() -> Poly1305<UpTo> {
    Poly1305 { sum: SUM, ..Poly1305::from_words([UpTo(WORD); 8]) }
}

#[test]
fn the_factor_is_within_its_bounds() {
    let mac = between_blocks();
    assert!(mac.r.iter().all(|word| *word < UpTo(1 << 28)), "{:?}", mac.r);
    assert!(mac.wrapped.iter().all(|word| *word < UpTo(5 << 26)), "{:?}", mac.wrapped);
}

/// With the empty message, whose words are all 0, this is a proof by induction over the blocks.
#[test]
fn a_block_overflows_nothing_and_leaves_the_sum_within_its_bounds() {
    let mut mac = between_blocks();
    mac.add_and_multiply([UpTo(WORD); 4]);
    for (word, bound) in mac.sum.iter().zip(SUM) {
        assert!(*word <= bound, "{:?} is not within {SUM:?}", mac.sum);
    }
}

#[test]
fn the_end_overflows_nothing_and_subtracts_the_modulus_once_at_most() {
    let modulus = (BigUint::from(1_u32) << 130_u32) - 5_u32;
    assert!(number(&SUM.map(|word| word.0)) < modulus * 2_u32);
    between_blocks().tag();
}
