//! The record that the server sends to the commander, one for each accepted knock.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 8 | command hash |
//! | 9 | 16 | address for the command, IPv4 as `::ffff:a.b.c.d` |
//! | 25 | 8 | key id |
//! | 33 | 16 | counter, big-endian |
//! | 49 | 8 | when the packet came, in nanoseconds on [the boot clock](crate::boot_clock), big-endian |
//!
//! It travels as one message over a `SOCK_SEQPACKET` Unix socket. There is no reply.

use std::time::Duration;

use ruroco_common::{address::Address, command::CommandHash, datagram::KeyId};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian, transmute};

/// Size in bytes of an encoded order.
pub const SIZE: usize = 57;

/// The only version of the record there is.
pub const VERSION: u8 = 2;

/// File name of the commander's socket in `socket_dir`.
pub const SOCKET: &str = "commander.sock";

/// How long a knock may wait on this host, from when the kernel received its packet until its command is
/// begun: in the ring, for a server that is away, and in the commander's socket. A knock from before a
/// short restart still counts; a door that opens long after its owner has given up does not.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// Whether a packet that came at `received_at` has waited too long at `now`; both on [the boot
/// clock](crate::boot_clock).
pub fn has_expired(received_at: Duration, now: Duration) -> bool {
    now.saturating_sub(received_at) > MAX_WAIT
}

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
    /// When its packet came, on the boot clock.
    pub received_at: Duration,
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
    received_at: big_endian::U64,
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
            received_at: u64::try_from(self.received_at.as_nanos()).unwrap_or(u64::MAX).into(),
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
            received_at: Duration::from_nanos(wire.received_at.get()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_field_is_where_the_table_has_it() {
        let order = Order {
            command: CommandHash::from_bytes([1; 8]),
            address: Address::from_ipv4([192, 0, 2, 1]),
            key: KeyId([2; 8]),
            counter: 3,
            received_at: Duration::new(1, 4),
        };
        let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
        let fields: [&[u8]; 6] = [
            &[2],
            &[1; 8],
            &address,
            &[2; 8],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
            &1_000_000_004_u64.to_be_bytes(),
        ];
        assert_eq!(order.encode()[..], fields.concat());
    }

    #[test]
    fn who_has_waited_for_half_a_minute_is_still_there() {
        let (came, longest) = (Duration::from_secs(100), Duration::from_secs(30));
        for (now, expired) in [
            (came, false),
            (came + longest, false),
            (came + longest + Duration::from_nanos(1), true),
            // A clock that never goes back has not read this; a server that was taken over says it.
            (Duration::ZERO, false),
        ] {
            assert_eq!(has_expired(came, now), expired, "{now:?}");
        }
    }

    proptest! {
        #[test]
        fn an_order_survives_the_socket(mut bytes: [u8; SIZE]) {
            prop_assert_eq!(Order::decode(&bytes).is_ok(), bytes[0] == VERSION);
            bytes[0] = VERSION;
            prop_assert_eq!(Order::decode(&bytes).unwrap().encode(), bytes);
        }
    }
}
