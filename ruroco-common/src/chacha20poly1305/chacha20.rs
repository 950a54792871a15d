//! ChaCha20's block function (RFC 8439, section 2.3), as far as a Poly1305 key needs it.

use zerocopy::transmute_ref;

use crate::datagram::NONCE_SIZE;

/// "expand 32-byte k" as little-endian words (RFC 8439, section 2.3).
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Two rounds each: one over the columns, one over the diagonals (RFC 8439, section 2.3).
const DOUBLE_ROUNDS: usize = 10;

/// The one-time key of Poly1305: the first half of the block with counter 0 (RFC 8439,
/// section 2.6), as little-endian words.
#[inline(always)]
pub(super) fn one_time_key(key: &[u32; 8], nonce: &[u8; NONCE_SIZE]) -> [u32; 8] {
    let [c0, c1, c2, c3] = CONSTANTS;
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *key;
    let nonce: &[[u8; 4]; 3] = transmute_ref!(nonce);
    let [n0, n1, n2] = nonce.map(u32::from_le_bytes);
    let (mut x0, mut x1, mut x2, mut x3) = (c0, c1, c2, c3);
    let (mut x4, mut x5, mut x6, mut x7) = (k0, k1, k2, k3);
    let (mut x8, mut x9, mut x10, mut x11) = (k4, k5, k6, k7);
    let (mut x12, mut x13, mut x14, mut x15) = (0, n0, n1, n2);
    for _ in 0..DOUBLE_ROUNDS {
        (x0, x4, x8, x12) = quarter_round(x0, x4, x8, x12);
        (x1, x5, x9, x13) = quarter_round(x1, x5, x9, x13);
        (x2, x6, x10, x14) = quarter_round(x2, x6, x10, x14);
        (x3, x7, x11, x15) = quarter_round(x3, x7, x11, x15);
        (x0, x5, x10, x15) = quarter_round(x0, x5, x10, x15);
        (x1, x6, x11, x12) = quarter_round(x1, x6, x11, x12);
        (x2, x7, x8, x13) = quarter_round(x2, x7, x8, x13);
        (x3, x4, x9, x14) = quarter_round(x3, x4, x9, x14);
    }
    [
        x0.wrapping_add(c0),
        x1.wrapping_add(c1),
        x2.wrapping_add(c2),
        x3.wrapping_add(c3),
        x4.wrapping_add(k0),
        x5.wrapping_add(k1),
        x6.wrapping_add(k2),
        x7.wrapping_add(k3),
    ]
}

/// RFC 8439, section 2.1.
#[inline(always)]
const fn quarter_round(mut a: u32, mut b: u32, mut c: u32, mut d: u32) -> (u32, u32, u32, u32) {
    a = a.wrapping_add(b);
    d = (d ^ a).rotate_left(16);
    c = c.wrapping_add(d);
    b = (b ^ c).rotate_left(12);
    a = a.wrapping_add(b);
    d = (d ^ a).rotate_left(8);
    c = c.wrapping_add(d);
    b = (b ^ c).rotate_left(7);
    (a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_time_key_is_that_of_rfc_8439() {
        // Section 2.6.2
        let key = [
            0x8382_8180,
            0x8786_8584,
            0x8b8a_8988,
            0x8f8e_8d8c,
            0x9392_9190,
            0x9796_9594,
            0x9b9a_9998,
            0x9f9e_9d9c,
        ];
        let nonce = [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7];
        let expected = [
            0x8ba0_d58a,
            0xcc81_5f90,
            0x2740_5081,
            0x7194_b24a,
            0x37b6_33a8,
            0xa50d_fde3,
            0xe2b8_db08,
            0x46a6_d1fd,
        ];
        assert_eq!(one_time_key(&key, &nonce), expected);
    }

    #[test]
    fn a_quarter_round_is_that_of_rfc_8439() {
        // Section 2.1.1
        assert_eq!(
            quarter_round(0x1111_1111, 0x0102_0304, 0x9b8d_6f43, 0x0123_4567),
            (0xea2a_92f4, 0xcb1c_f8ce, 0x4581_472e, 0x5881_c4bb)
        );
    }
}
