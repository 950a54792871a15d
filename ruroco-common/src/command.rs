//! How a command is named on the wire: by a hash, so that a packet has one size and shows no name.

use core::fmt;

/// BLAKE2b of a command's UTF-8 name with a digest size of 8 bytes (RFC 7693; the size is a
/// parameter of the hash, not a truncation of a longer one), as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandHash([u8; 8]);

impl CommandHash {
    /// From the 8 bytes on the wire.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes on the wire.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }

    /// The hash of a command's name, taken byte for byte: no trimming, no Unicode normalisation.
    #[cfg(any(feature = "command-hash", test))]
    pub fn of(name: &str) -> Self {
        use blake2::digest::{Digest, consts::U8};
        Self(blake2::Blake2b::<U8>::digest(name).into())
    }
}

impl fmt::Display for CommandHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CommandHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;

    #[test]
    fn known_names_have_the_hashes_that_deployed_peers_use() {
        for (name, hash) in [
            ("default", "fe98b07b1ba6b3a2"),
            ("open_port", "9b93083959d8550a"),
            ("close_port", "2694129e84af1e38"),
            ("", "e4a6a0577479b2b4"),
            ("öffne tür", "de1b7e7be05084c0"),
        ] {
            assert_eq!(CommandHash::of(name).to_string(), hash, "{name:?}");
        }
    }
}
