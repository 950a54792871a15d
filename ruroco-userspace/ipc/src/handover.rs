//! How the gate hands over to the server the ring of candidates, and the keys to verify them: one message
//! over a `SOCK_SEQPACKET` Unix socket, with two file descriptors (`SCM_RIGHTS`), first the ring's, then that
//! of a [file without a name](memory) with the [keys]. After that, neither side sends anything; the open
//! connection shows each side that the other still runs.
//!
//! Rationale: decision 0015.

pub mod keys;
pub mod memory;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian, transmute};

/// File name of the gate's socket in `socket_dir`.
pub const SOCKET: &str = "gate.sock";

/// Size in bytes of the message.
pub const SIZE: usize = 5;

/// The only version of the message, of the text of the keys, of the ring's records and of their
/// meaning that is still spoken. With version 1 there were no keys.
pub const VERSION: u8 = 2;

/// What the server must know about the ring in addition to its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Size in bytes of the ring's data area, a power of two.
    pub ring_size: u32,
}

/// A message that is not a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another version than [`VERSION`]; holds the version found.
    #[error(
        "a handover of version {0}, expected {VERSION}: gate and server are of different releases"
    )]
    Version(u8),
    /// This version, and another size than [`SIZE`]; holds the size found.
    #[error("a handover of {0} bytes, expected {SIZE}: gate and server are of different releases")]
    Length(usize),
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    version: u8,
    ring_size: big_endian::U32,
}

impl Handover {
    /// Encodes; the inverse of [`Handover::decode`].
    pub fn encode(&self) -> [u8; SIZE] {
        transmute!(Wire { version: VERSION, ring_size: self.ring_size.into() })
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not a handover, or has another version, whatever its length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            Some(&VERSION) => {
                let wire =
                    Wire::read_from_bytes(bytes).map_err(|_| DecodeError::Length(bytes.len()))?;
                Ok(Self { ring_size: wire.ring_size.get() })
            }
            Some(&version) => Err(DecodeError::Version(version)),
            None => Err(DecodeError::Length(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_version_comes_first_and_the_size_is_big_endian() {
        assert_eq!(Handover { ring_size: 1 << 20 }.encode(), [VERSION, 0, 0x10, 0, 0]);
    }

    proptest! {
        #[test]
        fn a_handover_survives_the_socket(mut bytes: [u8; SIZE]) {
            prop_assert_eq!(Handover::decode(&bytes).is_ok(), bytes[0] == VERSION);
            bytes[0] = VERSION;
            prop_assert_eq!(Handover::decode(&bytes).unwrap().encode(), bytes);
        }

        #[test]
        fn a_message_of_another_length_or_version_is_told_from_ours(
            bytes in prop::collection::vec(any::<u8>(), 0..10),
            ours: bool,
        ) {
            let mut bytes = bytes;
            if let Some(version) = bytes.first_mut().filter(|_| ours) {
                *version = VERSION;
            }
            let expected = match bytes.first() {
                Some(&VERSION) if bytes.len() == SIZE => Ok(()),
                Some(&VERSION) | None => Err(DecodeError::Length(bytes.len())),
                Some(&version) => Err(DecodeError::Version(version)),
            };
            prop_assert_eq!(Handover::decode(&bytes).map(drop), expected);
        }
    }
}
