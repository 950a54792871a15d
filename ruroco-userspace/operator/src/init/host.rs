//! The interfaces of the host that the gate can guard, and their addresses.

use std::{collections::BTreeMap, io, net::IpAddr};

use anyhow::bail;
use ruroco_config::Source;
use ruroco_gate::{
    addresses::{is_for_others, is_lasting, preference},
    interfaces::devices::blindness,
    netlink::{self, Link},
};

use crate::routes;

/// `ARPHRD_LOOPBACK` (linux/if_arp.h)
const LOOPBACK: u16 = 772;

/// The host's interfaces.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Of each interface that knocks can come from, by name, the addresses that clients could send to.
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// That of the default route, if knocks can come from there.
    outward: Option<String>,
}

impl Host {
    /// Without XDP, knocks can come from every interface.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(super) fn look(source: Source) -> io::Result<Self> {
        let assigned = netlink::addresses()?;
        let of = |link: &Link| {
            let here = assigned.iter().filter(|one| one.index == link.index && is_lasting(one));
            let mut ips: Vec<IpAddr> =
                here.map(|one| one.ip).filter(|ip| is_for_others(*ip)).collect();
            ips.sort_by_key(|ip| preference(*ip));
            ips
        };
        let links = netlink::links()?.into_iter();
        let is_usable = |link: &Link| {
            link.hardware != LOOPBACK && (source == Source::Udp || blindness(link).is_none())
        };
        let addresses: BTreeMap<String, Vec<IpAddr>> =
            links.filter(is_usable).map(|link| (link.name.clone(), of(&link))).collect();
        let outward = routes::default_interface().filter(|name| addresses.contains_key(name));
        Ok(Self { addresses, outward })
    }

    /// The interface that knocks most likely come from, if there is any.
    pub(super) fn usual(&self) -> Vec<String> {
        let first = || self.names().next().map(ToOwned::to_owned);
        self.outward.clone().or_else(first).into_iter().collect()
    }

    /// The names of all interfaces that knocks can come from.
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

/// Makes sure that the gate can guard these interfaces, as far as that is known.
///
/// # Errors
/// The first interface that it cannot guard, and what to set instead.
pub(super) fn check_can_be_closed(interfaces: &[String]) -> anyhow::Result<()> {
    for name in interfaces {
        if let Some(blindness) = netlink::link(name)?.as_ref().and_then(blindness) {
            bail!("cannot use {name}: {blindness}");
        }
    }
    Ok(())
}
