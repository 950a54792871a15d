//! What a knock says, once its tag has verified.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 8 | command hash |
//! | 9 | 16 | counter, u128 big-endian: nanoseconds since the epoch, strictly increasing |
//! | 25 | 1 | strict: 0 permissive, anything else strict |
//! | 26 | 16 | source address the client claims; all zero means none |
//! | 42 | 16 | destination address the client sent to |

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian, transmute};

use crate::{address::Address, command::CommandHash};

/// Size in bytes of an encoded plaintext.
pub const SIZE: usize = 58;

/// The only version of the plaintext there is.
pub const VERSION: u8 = 1;

/// The content of a knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plaintext {
    /// Which command to run.
    pub command: CommandHash,
    /// Nanoseconds since the Unix epoch, made strictly increasing by the client.
    pub counter: u128,
    /// Whether a claimed source address must be the real one.
    pub strict: bool,
    /// The address the command is asked to act for; `None` means the real source.
    pub claimed_source: Option<Address>,
    /// The address the client sent to, so that a packet is of no use to another host.
    pub destination: Address,
}

/// A plaintext of another version than [`VERSION`]; holds the version found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongVersion(pub u8);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    version: u8,
    command: [u8; 8],
    counter: big_endian::U128,
    strict: u8,
    claimed_source: [u8; 16],
    destination: [u8; 16],
}

impl Plaintext {
    /// Encodes; the inverse of [`Plaintext::decode`].
    pub fn encode(&self) -> [u8; SIZE] {
        transmute!(Wire {
            version: VERSION,
            command: self.command.to_bytes(),
            counter: self.counter.into(),
            strict: self.strict.into(),
            claimed_source: self.claimed_source.unwrap_or(Address::UNSPECIFIED).to_bytes(),
            destination: self.destination.to_bytes(),
        })
    }

    /// Decodes what a verified tag vouches for.
    ///
    /// # Errors
    /// [`WrongVersion`] if it is of another version; every other content has a meaning.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, WrongVersion> {
        let wire: Wire = transmute!(*bytes);
        if wire.version != VERSION {
            return Err(WrongVersion(wire.version));
        }
        Ok(Self {
            command: CommandHash::from_bytes(wire.command),
            counter: wire.counter.get(),
            strict: wire.strict != 0,
            claimed_source: Address::from_bytes(wire.claimed_source).specified(),
            destination: Address::from_bytes(wire.destination),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fields_stand_where_deployed_peers_expect_them() {
        // The reference vector: "default", counter 1725821510000000000, strict, no source.
        let plaintext = Plaintext {
            command: CommandHash::of("default"),
            counter: 1_725_821_510_000_000_000,
            strict: true,
            claimed_source: None,
            destination: Address::from_ipv4([127, 0, 0, 1]),
        };
        let mut expected = [0_u8; SIZE];
        expected[0] = 1;
        expected[1..9].copy_from_slice(&[0xfe, 0x98, 0xb0, 0x7b, 0x1b, 0xa6, 0xb3, 0xa2]);
        expected[17..25].copy_from_slice(&[0x17, 0xf3, 0x59, 0x85, 0x01, 0x47, 0x3c, 0x00]);
        expected[25] = 1;
        expected[52..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!(plaintext.encode(), expected);
        assert_eq!(Plaintext::decode(&expected), Ok(plaintext));
    }

    proptest! {
        #[test]
        fn decoding_reads_every_byte_and_encoding_gives_it_back(bytes: [u8; SIZE]) {
            match Plaintext::decode(&bytes) {
                Err(WrongVersion(version)) => {
                    prop_assert_eq!(version, bytes[0]);
                    prop_assert_ne!(version, VERSION);
                }
                Ok(plaintext) => {
                    let mut canonical = bytes;
                    canonical[25] = u8::from(bytes[25] != 0);
                    prop_assert_eq!(plaintext.encode(), canonical);
                }
            }
        }

        #[test]
        fn version_one_is_always_decoded(mut bytes: [u8; SIZE]) {
            bytes[0] = VERSION;
            prop_assert!(Plaintext::decode(&bytes).is_ok());
        }
    }
}
