//! A network in CIDR notation, for `sources` in `[keys.NAME]`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ruroco_common::address::Address;
use ruroco_files::toml_file::value::{Item, Value};
use ruroco_messages::problems::Problems;

/// All addresses that share a prefix (RFC 4632, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    /// Neither an address nor an address and a prefix length.
    #[error("is not a network")]
    Syntax,
    /// There are 1 bits behind the prefix; this is the network that the address is in.
    #[error("is an address in the network {0}")]
    HostBits(Network),
}

impl Network {
    /// Whether an address is in it. An IPv4 address is in no IPv6 network.
    pub fn contains(&self, address: Address) -> bool {
        masked(IpAddr::from(address), self.prefix) == Some(self.address)
    }
}

/// The address with 0 bits behind the prefix; `None` if it has fewer bits than that.
fn masked(address: IpAddr, prefix: u32) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let behind = u32::BITS.checked_sub(prefix)?;
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let behind = u128::BITS.checked_sub(prefix)?;
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            Some(Ipv6Addr::from_bits(v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    /// Reads `ADDRESS/PREFIX`, or an address that is the only one of its network.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork::Syntax)?;
        let all = if address.is_ipv4() { u32::BITS } else { u128::BITS };
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            Some(prefix) => Some(prefix).filter(is_number).and_then(|prefix| prefix.parse().ok()),
            None => Some(all),
        };
        let prefix: u32 = prefix.ok_or(NotANetwork::Syntax)?;
        // An IPv4 address in IPv6 notation is no source of a packet.
        if address.to_canonical() != address {
            return Err(NotANetwork::Syntax);
        }
        match masked(address, prefix) {
            Some(first) if first == address => Ok(Self { address, prefix }),
            Some(first) => Err(NotANetwork::HostBits(Self { address: first, prefix })),
            None => Err(NotANetwork::Syntax),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Value for Network {
    fn kind() -> String {
        "network".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let network = String::read(item, problems)?.parse();
        match network {
            Ok(network) => return Some(network),
            Err(NotANetwork::Syntax) => problems.add(item.wrong(
                "an address and the length of the prefix, such as \"203.0.113.0/24\" or \"2001:db8::/48\"",
            )),
            Err(NotANetwork::HostBits(network)) => problems.add(item.wrong(format_args!(
                "the first address of the network: \"{network}\""
            ))),
        }
        None
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn a_network_has_the_addresses_with_its_prefix_and_no_others() {
        for (network, inside, outside) in [
            ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
            ("203.0.113.7", "203.0.113.7", "203.0.113.6"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "::2"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            assert!(contains(network, inside), "{inside} in {network}");
            assert!(!contains(network, outside), "{outside} in {network}");
        }
    }

    #[test]
    fn a_packet_with_a_mapped_address_is_an_ipv4_packet() {
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.1"));
    }

    #[test]
    fn what_is_not_a_network_is_rejected() {
        for text in
            ["", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/+8", "::/129", "web1", "192.0.2"]
        {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork::Syntax), "{text}");
        }
        assert_eq!("::ffff:192.0.2.0/120".parse::<Network>(), Err(NotANetwork::Syntax));
        let Err(NotANetwork::HostBits(meant)) = "192.0.2.7/24".parse::<Network>() else { panic!() };
        assert_eq!(meant.to_string(), "192.0.2.0/24");
    }

    proptest! {
        /// Bit by bit, as RFC 4632 defines it.
        #[test]
        fn an_address_is_in_a_network_if_the_bits_of_the_prefix_agree(
            address: u128, other: u128, prefix in 0_u32..=128, close: bool,
        ) {
            let other = if close { address ^ (other >> prefix.min(127)) } else { other };
            let agree = (0..prefix).all(|bit| (address ^ other) >> (127 - bit) & 1 == 0);
            let first = (0..128).filter(|bit| *bit < prefix).fold(0, |first, bit| {
                first | address & (1 << (127 - bit))
            });
            prop_assume!(first >> 32 != 0xffff && other >> 32 != 0xffff);
            let network = format!("{}/{prefix}", Ipv6Addr::from_bits(first));
            let network: Network = network.parse().unwrap();
            let other = IpAddr::from(Ipv6Addr::from_bits(other));
            prop_assert_eq!(network.contains(other.into()), agree);
        }
    }
}
