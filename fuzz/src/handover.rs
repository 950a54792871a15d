//! The message by which the gate hands its ring to the server: 5 bytes.
//!
//! Decoding reads every byte and encoding gives it back; another version is refused by its number.

use ruroco::handover::{Handover, SIZE, VERSION, WrongVersion};

/// Takes any bytes for a handover.
pub fn handover(data: &[u8]) -> bool {
    let Ok(bytes) = <&[u8; SIZE]>::try_from(data) else { return false };
    match Handover::decode(bytes) {
        Err(WrongVersion(version)) => {
            assert_ne!(version, VERSION);
            assert_eq!(version, bytes[0]);
        }
        Ok(handover) => {
            assert_eq!(bytes[0], VERSION);
            assert_eq!(handover.ring_size.to_be_bytes(), bytes[1..]);
            assert_eq!(handover.encode(), *bytes);
        }
    }
    true
}
