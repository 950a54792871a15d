//! The plaintext of a knock: 58 bytes of anybody who has a key.
//!
//! Every version-1 plaintext means something; each field is what stands at the offset that the wire
//! format gives it; and encoding gives the bytes back, except that `strict` has one form only.

use std::net::IpAddr;

use ruroco_common::{
    address::Address,
    plaintext::{Plaintext, SIZE, VERSION, WrongVersion},
};

/// Takes any bytes for a plaintext.
pub fn plaintext(data: &[u8]) -> bool {
    let Ok(bytes) = <&[u8; SIZE]>::try_from(data) else { return false };
    match Plaintext::decode(bytes) {
        Err(WrongVersion(version)) => {
            assert_ne!(version, VERSION);
            assert_eq!(version, bytes[0]);
        }
        Ok(plaintext) => check(bytes, &plaintext),
    }
    true
}

fn check(bytes: &[u8; SIZE], plaintext: &Plaintext) {
    assert_eq!(bytes[0], VERSION);
    assert_eq!(plaintext.command.to_bytes(), bytes[1..9]);
    assert_eq!(plaintext.counter.to_be_bytes(), bytes[9..25]);
    assert_eq!(plaintext.strict, bytes[25] != 0);
    let claimed: [u8; 16] = bytes[26..42].try_into().unwrap();
    assert_eq!(
        plaintext.claimed_source.map(Address::to_bytes),
        (claimed != [0; 16]).then_some(claimed)
    );
    assert_eq!(plaintext.destination.to_bytes(), bytes[42..58]);

    for address in plaintext.claimed_source.into_iter().chain([plaintext.destination]) {
        // No second form of the same host, by which it would escape a comparison.
        let plain = IpAddr::from(address);
        assert_eq!(plain, plain.to_canonical());
        assert_eq!(Address::from(plain), address);
    }

    let mut canonical = *bytes;
    canonical[25] = u8::from(canonical[25] != 0);
    assert_eq!(plaintext.encode(), canonical);
    assert_eq!(Plaintext::decode(&canonical), Ok(*plaintext));
}
