//! One form for IPv4 and IPv6 addresses, so that no comparison can miss a mapped one.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

/// An IP address as 16 bytes in network order: IPv6 as it is, IPv4 as `::ffff:a.b.c.d`
/// (RFC 4291, section 2.5.5.2). IPv4 has no second form here, so equal means the same host.
///
/// Kept as the two words that those bytes are in this machine's memory: the XDP program then moves
/// and compares words, and the BPF verifier takes no unaligned access to the stack. Their order is
/// one to sort by and of no further meaning.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Address([u64; 2]);

impl Address {
    /// All zero: on the wire it means that no address was given.
    pub const UNSPECIFIED: Self = Self([0; 2]);

    /// From 16 bytes in network order.
    #[inline(always)]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(transmute!(bytes))
    }

    /// From the four words that 16 bytes in network order are in this machine's memory.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self(transmute!(words))
    }

    /// The same words again.
    #[inline(always)]
    pub const fn to_words(self) -> [u32; 4] {
        transmute!(self.0)
    }

    /// From the 4 bytes of an IPv4 header.
    #[inline(always)]
    pub const fn from_ipv4([a, b, c, d]: [u8; 4]) -> Self {
        Self([0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])])
    }

    /// The 16 bytes in network order.
    #[inline(always)]
    pub const fn to_bytes(self) -> [u8; 16] {
        transmute!(self.0)
    }

    /// Whether both are the same, asked of the half first in which addresses differ.
    #[inline(always)]
    pub const fn is(&self, other: &Self) -> bool {
        self.0[1] == other.0[1] && self.0[0] == other.0[0]
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_ipv4(self) -> bool {
        let [high, low] = self.0;
        high == 0 && u64::from_be(low) >> 32 == 0xffff
    }

    /// Whether more than one host may receive what is sent to this address: a multicast group, all hosts of an
    /// IPv4 network (255.255.255.255), or 0.0.0.0, which Linux takes for the same.
    #[inline(always)]
    pub const fn is_of_many(self) -> bool {
        let [high, low] = self.0;
        if !self.is_ipv4() {
            return u64::from_be(high) >> 56 == 0xff;
        }
        matches!(u64::from_be(low) & 0xffff_ffff, 0 | 0xe000_0000..=0xefff_ffff | 0xffff_ffff)
    }

    /// The address with only the bits of a mask, the words of which are in this machine's memory as those of the
    /// address are. An IPv4 address stays one if the mask has the first 96 bits.
    #[inline(always)]
    pub const fn masked(self, mask: [u64; 2]) -> Self {
        let ([high, low], [high_mask, low_mask]) = (self.0, mask);
        Self([high & high_mask, low & low_mask])
    }

    /// The address, unless it is all zero, which stands for no address.
    pub fn specified(self) -> Option<Self> {
        (self != Self::UNSPECIFIED).then_some(self)
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::from_ipv4(v4.octets()),
            IpAddr::V6(v6) => Self::from_bytes(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    /// IPv4-mapped addresses come out as plain IPv4.
    fn from(address: Address) -> Self {
        let bytes = address.to_bytes();
        let [.., a, b, c, d] = bytes;
        if address.is_ipv4() {
            Self::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            Self::V6(Ipv6Addr::from(bytes))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mapped_ipv4_address_equals_the_plain_one() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        let plain: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(Address::from(mapped), Address::from(plain));
        assert_eq!(IpAddr::from(Address::from(mapped)), plain);
    }

    #[test]
    fn only_all_zero_means_none() {
        assert_eq!(Address::UNSPECIFIED.specified(), None);
        let zero_v4 = Address::from_ipv4([0; 4]);
        assert_eq!(zero_v4.specified(), Some(zero_v4));
    }

    proptest! {
        #[test]
        fn an_address_survives_the_wire(bytes: [u8; 16]) {
            let address = Address::from_bytes(bytes);
            prop_assert_eq!(Address::from(IpAddr::from(address)), address);
            prop_assert_eq!(address.is_ipv4(), IpAddr::from(address).is_ipv4());
        }

        #[test]
        fn the_standard_library_knows_the_same_groups(address: IpAddr, first: u8) {
            let near = match address {
                IpAddr::V4(v4) => IpAddr::from([first, v4.octets()[1], 0, 1]),
                IpAddr::V6(v6) => {
                    let mut octets = v6.octets();
                    octets[0] = first;
                    IpAddr::from(octets)
                }
            };
            let everyone = [IpAddr::V4(Ipv4Addr::BROADCAST), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
            for address in [address, near].into_iter().chain(everyone) {
                let address = address.to_canonical();
                let expected = address.is_multicast() || everyone.contains(&address);
                prop_assert_eq!(Address::from(address).is_of_many(), expected, "{}", address);
            }
        }
    }
}
