//! The record that the server sends to the commander, one for each accepted knock.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 8 | command hash |
//! | 9 | 16 | address for the command, IPv4 as `::ffff:a.b.c.d` |
//! | 25 | 8 | key id |
//! | 33 | 16 | counter, big-endian |
//!
//! It travels as one message over a `SOCK_SEQPACKET` Unix socket. There is no reply.

use ruroco_common::{address::Address, command::CommandHash, datagram::KeyId};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian, transmute};

/// Size in bytes of an encoded order.
pub const SIZE: usize = 49;

/// The only version of the record there is.
pub const VERSION: u8 = 1;

/// File name of the commander's socket in `socket_dir`.
pub const SOCKET: &str = "commander.sock";

/// A request for one run of one command. For the commander it is a claim, not a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which command.
    pub command: CommandHash,
    /// For which address: the command sees it as `RUROCO_IP`.
    pub address: Address,
    /// Whose knock it was.
    pub key: KeyId,
    /// The knock's counter: what the logs of both processes name it by.
    pub counter: u128,
}

/// An order of another version than [`VERSION`]; holds the version found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an order of version {0}, expected {VERSION}: server and commander are of different releases"
)]
pub struct WrongVersion(pub u8);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Wire {
    version: u8,
    command: [u8; 8],
    address: [u8; 16],
    key: KeyId,
    counter: big_endian::U128,
}

impl Order {
    /// Encodes; the inverse of [`Order::decode`].
    pub fn encode(&self) -> [u8; SIZE] {
        transmute!(Wire {
            version: VERSION,
            command: self.command.to_bytes(),
            address: self.address.to_bytes(),
            key: self.key,
            counter: self.counter.into(),
        })
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
        Ok(Self {
            command: CommandHash::from_bytes(wire.command),
            address: Address::from_bytes(wire.address),
            key: wire.key,
            counter: wire.counter.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_order_survives_the_socket(mut bytes: [u8; SIZE]) {
            prop_assert_eq!(Order::decode(&bytes).is_ok(), bytes[0] == VERSION);
            bytes[0] = VERSION;
            prop_assert_eq!(Order::decode(&bytes).unwrap().encode(), bytes);
        }
    }
}
