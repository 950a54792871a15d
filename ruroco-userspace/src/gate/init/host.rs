//! What the host has to offer: interfaces that can be closed, and their addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
};

use anyhow::bail;
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use crate::gate::interfaces;

/// The host's interfaces.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// By name, all but loopback ones.
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Those of them that cannot be closed, as their packets have no Ethernet header.
    tunnels: BTreeSet<String>,
    /// That of the default route.
    pub(super) outward: Option<String>,
}

impl Host {
    /// # Errors
    /// If the kernel does not tell.
    pub(super) fn look() -> io::Result<Self> {
        let mut addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        let mut can_be_closed = BTreeSet::new();
        for entry in getifaddrs()? {
            if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
                continue;
            }
            // An address may have a label of its own, which is the interface's name and more.
            let name = entry.interface_name.split(':').next().unwrap_or_default();
            let of = addresses.entry(name.to_owned()).or_default();
            let address = entry.address.as_ref();
            let kind = address.and_then(|address| Some(address.as_link_addr()?.hatype()));
            if kind.is_some_and(interfaces::has_ethernet_frames) {
                can_be_closed.insert(name.to_owned());
            }
            let v4 = address.and_then(|address| Some(address.as_sockaddr_in()?.ip().into()));
            let v6 = address.and_then(|address| Some(address.as_sockaddr_in6()?.ip().into()));
            of.extend(v4.or(v6).filter(|address| is_for_others(*address)));
        }
        let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
        let tunnels = addresses.keys().filter(|name| !can_be_closed.contains(*name));
        let tunnels: BTreeSet<String> = tunnels.cloned().collect();
        let outward = default_v4(&v4).or_else(|| default_v6(&v6));
        let outward = outward.filter(|name| !tunnels.contains(name));
        Ok(Self { addresses, tunnels, outward })
    }

    /// The names of all interfaces that can be closed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.addresses.keys().map(String::as_str).filter(|name| !self.tunnels.contains(*name))
    }

    /// Makes sure that none of these is known to be one that cannot be closed.
    ///
    /// # Errors
    /// The first that is, and what to name instead.
    pub(super) fn check_can_be_closed(&self, interfaces: &[String]) -> anyhow::Result<()> {
        match interfaces.iter().find(|name| self.tunnels.contains(*name)) {
            None => Ok(()),
            Some(name) => bail!(
                "{name} is no Ethernet interface: the gate could not read its packets; name the \
                 Ethernet interface that they come in by"
            ),
        }
    }

    /// All addresses of these interfaces.
    pub(super) fn addresses_of(&self, interfaces: &[String]) -> Vec<IpAddr> {
        let of = interfaces.iter().filter_map(|name| self.addresses.get(name));
        of.flatten().copied().collect()
    }
}

/// Whether a client elsewhere could send to it.
fn is_for_others(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_link_local()),
        IpAddr::V6(address) => !(address.is_loopback() || address.is_unicast_link_local()),
    }
}

/// The interface of the first route to everywhere in `/proc/net/route` (proc_pid_net(5)): name and
/// destination are the first two columns, the mask is the eighth.
fn default_v4(routes: &str) -> Option<String> {
    routes.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        match columns.as_slice() {
            [name, "00000000", _, _, _, _, _, "00000000", ..] => Some((*name).to_owned()),
            _ => None,
        }
    })
}

/// The same in `/proc/net/ipv6_route`: destination and length of its prefix are the first two
/// columns, the interface is the last. One for loopback says that there is none.
fn default_v6(routes: &str) -> Option<String> {
    let name = routes.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        match columns.as_slice() {
            [destination, "00", .., name] if destination.bytes().all(|byte| byte == b'0') => {
                Some((*name).to_owned())
            }
            _ => None,
        }
    });
    name.filter(|name| name != "lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_of_the_default_route_is_the_outward_one() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                  lan0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                  wan0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert_eq!(default_v4(v4).as_deref(), Some("wan0"));
        assert_eq!(default_v4("Iface\n"), None);
        let zero = "0".repeat(32);
        let v6 = format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 00000003 wan0\n");
        assert_eq!(default_v6(&v6).as_deref(), Some("wan0"));
        assert_eq!(default_v6(&v6.replace("wan0", "lo")), None);
    }

    #[test]
    fn addresses_that_nobody_else_can_reach_are_not_offered() {
        for (address, offered) in [
            ("192.0.2.1", true),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("2001:db8::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(is_for_others(address.parse().unwrap()), offered, "{address}");
        }
    }
}
