//! Which device each configured name means. A device may have altnames beside its name
//! (`ip link property add`), so two names can mean one device.

use std::{cmp::Reverse, os::fd::AsFd};

use rustix::net::netdevice::name_to_index;

use crate::gate::netlink::{self, Link};

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

/// In which order to attach: the kernel rejects a program on a device below one that has a program. So
/// devices of hardware come first, and what software has made of them in the order in which it was made.
pub(super) fn order(link: Option<&Link>) -> impl Ord + use<> {
    Reverse(link.map(|link| Reverse((link.kind.is_some(), link.index))))
}

/// Whether the program can read the packets of an interface of this link type (`ARPHRD_*`).
pub(in crate::gate) fn has_ethernet_frames(kind: u16) -> bool {
    ETHERNET_LIKE.contains(&kind)
}

/// Why a program on this device would see no packet that it could read.
pub(in crate::gate) fn blindness(link: &Link) -> Option<String> {
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
pub(in crate::gate) fn native_limits(kind: &str) -> String {
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
        Link { index, name: format!("a{index}"), hardware, kind: kind.map(str::to_owned) }
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
    fn tunnels_without_ethernet_and_vrfs_are_blind() {
        assert_eq!(blindness(&device(1, 772, None)), None);
        assert_eq!(blindness(&device(2, 1, Some("bond"))), None);
        assert!(blindness(&device(3, 65534, Some("tun"))).unwrap().contains("not an Ethernet"));
        let vrf = blindness(&device(4, 1, Some("vrf"))).unwrap();
        assert!(vrf.contains("`ip link show master a4`"), "{vrf}");
    }
}
