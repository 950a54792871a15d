//! Which device each configured name means. A device may have altnames in addition to its name (`ip link
//! property add`), so two names can mean one device.

use std::{cmp::Reverse, os::fd::AsFd};

use rustix::net::netdevice::name_to_index;

use crate::netlink::{self, Link};

/// Longest name of a device: `IFNAMSIZ` without the closing zero (linux/if.h). An altname may be longer.
const MAX_NAME: usize = 15;

/// Link types (`ARPHRD_*`, linux/if_arp.h) on which a frame begins with an Ethernet header.
const ETHERNET_LIKE: [u16; 2] = [1, 772]; // Ethernet, loopback

/// What a configured name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// The device with this index.
    Index(u32),
    /// The device that this earlier name means.
    SameAs(String),
    /// None that exists.
    Absent,
}

impl Device {
    /// Its index, if it is this name that stands for it.
    pub(super) fn index(&self) -> Option<u32> {
        match self {
            Self::Index(index) => Some(*index),
            Self::SameAs(_) | Self::Absent => None,
        }
    }
}

/// What each of these names means.
pub(super) fn of_names<'a>(socket: impl AsFd, names: impl Iterator<Item = &'a str>) -> Vec<Device> {
    distinct(names.map(|name| (name, index(&socket, name))))
}

fn distinct<'a>(named: impl Iterator<Item = (&'a str, Option<u32>)>) -> Vec<Device> {
    let mut first: Vec<(u32, &str)> = Vec::new();
    let device = |(name, index): (&'a str, Option<u32>)| {
        let Some(index) = index else { return Device::Absent };
        match first.iter().find(|(known, _)| *known == index) {
            Some((_, earlier)) => Device::SameAs((*earlier).to_owned()),
            None => {
                first.push((index, name));
                Device::Index(index)
            }
        }
    };
    named.map(device).collect()
}

/// The index of the device with this name or altname.
pub(super) fn index(socket: impl AsFd, name: &str) -> Option<u32> {
    match name.len() <= MAX_NAME {
        // Without waiting for whoever configures the network at the moment.
        true => name_to_index(socket, name).ok(),
        false => netlink::link(name).ok().flatten().map(|link| link.index),
    }
}

/// The order in which to attach. The kernel rejects a program on a device below a device with a program. So
/// hardware devices come first, and virtual devices in the order of their creation.
pub(super) fn order(link: Option<&Link>) -> impl Ord + use<> {
    Reverse(link.map(|link| Reverse((link.kind.is_some(), link.index))))
}

/// Of all devices, those whose program has the kernel reject one on `device`: its own, and those of the
/// devices directly above it (`dev_xdp_attach`, net/core/dev.c).
pub(super) fn in_the_way<'a>(device: &Link, all: &'a [Link]) -> Vec<&'a Link> {
    let is_above = |other: &Link| {
        let lies_on = other.below == Some(device.index) && !has_other_end(other);
        lies_on || device.master == Some(other.index)
    };
    let is_it = |other: &&Link| other.index == device.index || is_above(other);
    all.iter().filter(|other| other.xdp_mode != 0).filter(is_it).collect()
}

/// Whether a device shows its other end where others show the device below them.
fn has_other_end(device: &Link) -> bool {
    matches!(device.kind.as_deref(), Some("veth" | "netkit"))
}

/// Whether the program can read the packets of an interface of this link type (`ARPHRD_*`).
pub fn has_ethernet_frames(kind: u16) -> bool {
    ETHERNET_LIKE.contains(&kind)
}

/// Why a program on this device would see no packet that it could read.
pub fn blindness(link: &Link) -> Option<String> {
    if !has_ethernet_frames(link.hardware) {
        return Some(
            "it is not an Ethernet interface: its packets have no Ethernet header, so the program \
             could not read them; name the Ethernet interface that they arrive on"
                .to_owned(),
        );
    }
    (link.kind.as_deref() == Some("vrf")).then(|| {
        let name = &link.name;
        format!(
            "it is a VRF, and received packets do not pass through it: name the interfaces that belong \
             to it (`ip link show master {name}`)"
        )
    })
}

/// What native mode keeps the host from doing with a device of this kind.
pub fn native_limits(kind: &str) -> String {
    let limits = match kind {
        "bond" => {
            "the kernel rejects each port whose driver does not support native XDP, and some bond modes"
        }
        "veth" => "the kernel limits the MTU of its peer to about 3,500 bytes",
        _ => "the kernel may reject changes of its ports, MTU or queues",
    };
    format!("native mode on a {kind} device: {limits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: u32, hardware: u16, kind: Option<&str>) -> Link {
        Link {
            index,
            name: format!("a{index}"),
            hardware,
            kind: kind.map(str::to_owned),
            master: None,
            below: None,
            mtu: 1500,
            xdp_mode: 0,
        }
    }

    #[test]
    fn two_names_of_one_device_are_one_device() {
        let named = [("eth0", Some(2)), ("gone", None), ("enp1s0", Some(2)), ("eth1", Some(3))];
        let same = Device::SameAs("eth0".to_owned());
        let expected = [Device::Index(2), Device::Absent, same, Device::Index(3)];
        assert_eq!(distinct(named.into_iter()), expected);
    }

    #[test]
    fn what_is_below_comes_first() {
        let bond = device(3, 1, Some("bond"));
        let vlan = device(9, 1, Some("vlan"));
        let port = device(8, 1, None);
        let mut all = [None, Some(&vlan), Some(&bond), Some(&port)];
        all.sort_by_key(|link| order(*link));
        assert_eq!(all, [Some(&port), Some(&bond), Some(&vlan), None]);
    }

    #[test]
    fn only_programs_on_the_device_and_directly_above_it_are_in_the_way() {
        let on = |index, kind, below| Link { below, xdp_mode: 2, ..device(index, 1, kind) };
        let port = Link { master: Some(3), ..device(2, 1, None) };
        let bond = on(3, Some("bond"), None);
        let all = [
            port.clone(),
            bond.clone(),
            Link { xdp_mode: 0, ..on(4, Some("vlan"), Some(2)) },
            on(5, Some("macvlan"), Some(2)),
            on(6, Some("veth"), Some(2)),
            on(7, Some("vlan"), Some(3)),
            on(8, None, None),
        ];
        let indices = |of: &Link| -> Vec<u32> {
            in_the_way(of, &all).into_iter().map(|link| link.index).collect()
        };
        assert_eq!(indices(&port), [3, 5]);
        assert_eq!(indices(&bond), [3, 7]);
        assert_eq!(indices(&all[5]), [7]);
    }

    #[test]
    fn tunnels_without_ethernet_and_vrfs_are_blind() {
        assert_eq!(blindness(&device(1, 772, None)), None);
        assert_eq!(blindness(&device(2, 1, Some("bond"))), None);
        assert!(blindness(&device(3, 65534, Some("tun"))).unwrap().contains("not an Ethernet"));
        let vrf = blindness(&device(4, 1, Some("vrf"))).unwrap();
        assert!(vrf.contains("`ip link show master a4`"), "{vrf}");
    }
}
