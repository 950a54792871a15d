//! How the gate hands the ring of candidates to the server: one message over a `SOCK_SEQPACKET`
//! Unix socket, with the ring's file descriptor beside it (`SCM_RIGHTS`). Then neither side says
//! anything more; that the connection stands tells each that the other is there.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian, transmute};

/// File name of the gate's socket in `socket_dir`.
pub const SOCKET: &str = "gate.sock";

/// Size in bytes of the message.
pub const SIZE: usize = 5;

/// The only version of the message, of the ring's records and of their meaning there is.
pub const VERSION: u8 = 1;

/// What the server must know about the ring beside its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Size in bytes of the ring's data area, a power of two.
    pub ring_size: u32,
}

/// A message of another version than [`VERSION`]; holds the version found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ring of version {0}, expected {VERSION}: gate and server are of different releases")]
pub struct WrongVersion(pub u8);

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

    /// Decodes a message of the right length.
    ///
    /// # Errors
    /// [`WrongVersion`] if it is of another version.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, WrongVersion> {
        let wire: Wire = transmute!(*bytes);
        if wire.version != VERSION {
            return Err(WrongVersion(wire.version));
        }
        Ok(Self { ring_size: wire.ring_size.get() })
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
    }
}
