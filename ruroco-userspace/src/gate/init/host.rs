//! What the host has to offer: interfaces that can be closed, and their addresses.

use std::{collections::BTreeMap, fs, io, net::IpAddr};

use anyhow::bail;

use crate::gate::{
    addresses::{is_for_others, is_lasting, preference},
    interfaces::devices::blindness,
    netlink::{self, Link},
};

/// `ARPHRD_LOOPBACK` (linux/if_arp.h)
const LOOPBACK: u16 = 772;

/// The host's interfaces.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Of each interface that can be closed, by name, the addresses that clients could send to.
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// That of the default route, if it can be closed.
    pub(super) outward: Option<String>,
}

impl Host {
    /// # Errors
    /// If the kernel does not tell.
    pub(super) fn look() -> io::Result<Self> {
        let assigned = netlink::addresses()?;
        let of = |link: &Link| {
            let here = assigned.iter().filter(|one| one.index == link.index && is_lasting(one));
            let mut ips: Vec<IpAddr> =
                here.map(|one| one.ip).filter(|ip| is_for_others(*ip)).collect();
            ips.sort_by_key(|ip| preference(*ip));
            ips
        };
        let links = netlink::links()?.into_iter();
        let can_be_closed = |link: &Link| link.hardware != LOOPBACK && blindness(link).is_none();
        let addresses: BTreeMap<String, Vec<IpAddr>> =
            links.filter(can_be_closed).map(|link| (link.name.clone(), of(&link))).collect();
        let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
        let outward = default_v4(&v4).or_else(|| default_v6(&v6));
        let outward = outward.filter(|name| addresses.contains_key(name));
        Ok(Self { addresses, outward })
    }

    /// The names of all interfaces that can be closed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.addresses.keys().map(String::as_str)
    }

    /// The addresses of these interfaces that are worth sending to: neither link-local nor temporary, nor
    /// about to go.
    pub(super) fn addresses_of(&self, interfaces: &[String]) -> Vec<IpAddr> {
        let device = |name: &String| match netlink::link(name) {
            Ok(Some(link)) => link.name,
            Ok(None) | Err(_) => name.clone(),
        };
        let of = interfaces.iter().filter_map(|name| self.addresses.get(&device(name)));
        of.flatten().copied().collect()
    }
}

/// Makes sure that none of these is known to be one that cannot be closed.
///
/// # Errors
/// The first that is, and what to name instead.
pub(super) fn check_can_be_closed(interfaces: &[String]) -> anyhow::Result<()> {
    for name in interfaces {
        if let Some(blindness) = netlink::link(name)?.as_ref().and_then(blindness) {
            bail!("cannot use {name}: {blindness}");
        }
    }
    Ok(())
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
}
