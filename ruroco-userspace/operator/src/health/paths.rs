//! The ways into the host that do not pass the gate.
//!
//! Linux accepts a packet for any of its addresses on every interface, and answers ARP for them there, too. A
//! knock that arrives through an interface without the program is therefore lost, and the stack answers it,
//! whatever the configured interfaces do.
//!
//! The deciding point is where packets enter the IP stack, and which programs see them before: a port of a
//! bridge or bond hands its packets to its master; a VLAN or macvlan gets its packets from the interface
//! below it, where the program has seen them already.

use std::{collections::BTreeSet, fmt, iter, net::IpAddr};

use ruroco_config::Config;
use ruroco_gate::netlink;
use ruroco_messages::plain_error::plain;
use serde::Serialize;

use super::UNGUARDED;
use crate::{
    doctor::{Finding, link::Link},
    routes,
};

/// Number of names that are shown in a line; the rest are only counted.
const NAMED: usize = 4;

/// Interfaces nest a few times at most. If an interface seems to nest deeper, it counts as its own lowest.
const MAX_DEPTH: usize = 16;

/// An interface by which packets reach the host without meeting the program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unguarded {
    /// Who is at the other end.
    pub from: From,
    /// Its name.
    pub interface: String,
    /// What it is, such as `ether`, `veth` or `wireguard`.
    pub kind: String,
    /// All names of the guarded interfaces that get their packets from it. The kernel accepts no program
    /// below theirs, and once it is guarded, so are they.
    #[serde(skip)]
    pub above: BTreeSet<String>,
}

impl Unguarded {
    /// The configured interfaces that this interface replaces in `interfaces`.
    pub(crate) fn instead_of<'a>(&self, configured: &'a [String]) -> Vec<&'a str> {
        let superfluous = configured.iter().filter(|name| self.above.contains(*name));
        superfluous.map(String::as_str).collect()
    }
}

/// Who can send packets by an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// Other hosts, over Ethernet.
    Network,
    /// Other hosts, without Ethernet headers, to one of our addresses: the program cannot be there.
    TunnelWithOurAddress,
    /// Containers and virtual machines of this host.
    ThisHost,
    /// The other end of a tunnel without Ethernet headers.
    Tunnel,
}

impl From {
    /// Whether knocks of ordinary clients can come this way.
    pub fn is_problem(self) -> bool {
        matches!(self, Self::Network | Self::TunnelWithOurAddress)
    }
}

/// What this module needs to know of a host to judge its interfaces.
#[derive(Debug, Default)]
pub(crate) struct Host {
    links: Vec<Link>,
    /// Interfaces with a default route or one of our addresses.
    outward: BTreeSet<String>,
    /// Interfaces with one of our addresses.
    with_our_address: BTreeSet<String>,
}

impl Host {
    /// Reads the interfaces of this host, which is reached at `addresses`.
    ///
    /// # Errors
    /// If the interfaces cannot be listed.
    pub(crate) fn look(ips: &BTreeSet<IpAddr>) -> anyhow::Result<Self> {
        let links = Link::all()?;
        let ours: BTreeSet<u32> = netlink::addresses()?
            .into_iter()
            .filter(|assigned| ips.contains(&assigned.ip))
            .map(|assigned| assigned.index)
            .collect();
        let with_our_address: BTreeSet<String> = links
            .iter()
            .filter(|link| ours.contains(&link.ifindex))
            .map(|link| link.ifname.clone())
            .collect();
        let mut outward = routes::default_interfaces();
        outward.extend(with_our_address.iter().cloned());
        Ok(Self { links, outward, with_our_address })
    }

    /// The ways past a program that is on the interfaces for which `is_guarded` is true; each once, however
    /// many interfaces are above it.
    pub(crate) fn unguarded(&self, is_guarded: impl Fn(&Link) -> bool) -> Vec<Unguarded> {
        let is_guarded: &dyn Fn(&Link) -> bool = &is_guarded;
        let entries = self.links.iter().filter(|link| self.is_entry(link));
        let found: BTreeSet<Unguarded> = entries
            .flat_map(|entry| {
                let holes = self.holes(entry, is_guarded, MAX_DEPTH);
                holes.into_iter().map(|hole| Unguarded {
                    from: self.sender(entry, hole),
                    interface: hole.ifname.clone(),
                    kind: hole.kind().to_owned(),
                    above: self.names_above(hole, is_guarded),
                })
            })
            .collect();
        // The same interface under two others: once, as what is worse.
        let mut seen = BTreeSet::new();
        found.into_iter().filter(|one| seen.insert(one.interface.clone())).collect()
    }

    /// Whether packets from elsewhere enter the IP stack by this interface.
    fn is_entry(&self, link: &Link) -> bool {
        let hands_over =
            link.master.is_some() && self.kind_of_master(link).is_none_or(|kind| kind != "vrf");
        link.is_running() && !link.is_loopback() && !hands_over && !NO_IP.contains(&link.kind())
    }

    fn kind_of_master(&self, link: &Link) -> Option<&str> {
        let master = link.master.as_ref()?;
        self.links.iter().find(|other| other.ifname == *master).map(Link::kind)
    }

    /// The lowest interfaces below this interface that are not guarded.
    fn holes<'a>(
        &'a self,
        link: &'a Link,
        is_guarded: &dyn Fn(&Link) -> bool,
        depth: usize,
    ) -> Vec<&'a Link> {
        if is_guarded(link) {
            return Vec::new();
        }
        let Some(depth) = depth.checked_sub(1) else { return vec![link] };
        match link.kind() {
            kind if ON_ANOTHER.contains(&kind) => {
                // One in another network namespace cannot be seen, nor guarded from here.
                let below = self.below(link);
                below.map_or_else(|| vec![link], |below| self.holes(below, is_guarded, depth))
            }
            kind if OF_PORTS.contains(&kind) => {
                let holes = self.ports(link).flat_map(|port| self.holes(port, is_guarded, depth));
                // Ports of containers come and go; the switch stays.
                let is_fleeting =
                    |hole: &Link| SWITCHES.contains(&kind) && LOCAL.contains(&hole.kind());
                holes.map(|hole| if is_fleeting(hole) { link } else { hole }).collect()
            }
            _ => vec![link],
        }
    }

    /// The interface that one of the kinds in [`ON_ANOTHER`] gets its packets from.
    fn below(&self, link: &Link) -> Option<&Link> {
        let name = link.link.as_ref().filter(|_| ON_ANOTHER.contains(&link.kind()))?;
        self.links.iter().find(|one| one.ifname == *name)
    }

    /// The interfaces that one of the kinds in [`OF_PORTS`] gets its packets from. Ports of Open vSwitch all
    /// belong to `ovs-system`, and not to the bridge that has the host's address.
    fn ports<'a>(&'a self, link: &'a Link) -> impl Iterator<Item = &'a Link> {
        let is_port = |one: &&Link| match link.kind() {
            OPEN_VSWITCH => self.kind_of_master(one) == Some(OPEN_VSWITCH),
            _ => one.master.as_ref() == Some(&link.ifname),
        };
        self.links.iter().filter(is_port).filter(|port| port.is_running())
    }

    /// The names of the guarded interfaces that get their packets from `hole` alone.
    fn names_above(&self, hole: &Link, is_guarded: &dyn Fn(&Link) -> bool) -> BTreeSet<String> {
        let lies_on_hole = |link: &&Link| {
            let below = iter::successors(self.below(link), |link| self.below(link));
            below.take(MAX_DEPTH).any(|below| below.ifindex == hole.ifindex)
        };
        let above = self.links.iter().filter(|link| is_guarded(link)).filter(lies_on_hole);
        above.flat_map(Link::names).map(str::to_owned).collect()
    }

    /// Who can send packets to `entry` through `hole`.
    fn sender(&self, entry: &Link, hole: &Link) -> From {
        let is_among = |names: &BTreeSet<String>| {
            names.contains(&hole.ifname) || names.contains(&entry.ifname)
        };
        // A bridge may have a default route by its uplink; its containers and machines have none.
        let is_switched = SWITCHES.contains(&hole.kind())
            || self.kind_of_master(hole).is_some_and(|kind| SWITCHES.contains(&kind))
                && LOCAL.contains(&hole.kind());
        match (hole.is_ethernet(), LOCAL.contains(&hole.kind())) {
            (false, _) if is_among(&self.with_our_address) => From::TunnelWithOurAddress,
            (false, _) => From::Tunnel,
            (true, _) if is_switched => From::ThisHost,
            (true, true) if !is_among(&self.outward) => From::ThisHost,
            (true, _) => From::Network,
        }
    }
}

/// Kinds by which nothing reaches the IP stack from elsewhere.
const NO_IP: [&str; 9] =
    ["dummy", "ifb", "vrf", "nlmon", "macvtap", "ipvtap", "can", "vcan", "vxcan"];

/// Kinds that get their packets from one interface below them, whose program has seen them.
const ON_ANOTHER: [&str; 3] = ["vlan", "macvlan", "ipvlan"];

/// Kinds that get their packets from ports.
const OF_PORTS: [&str; 4] = ["bridge", "bond", "team", OPEN_VSWITCH];

/// Those of them that join machines rather than cables.
const SWITCHES: [&str; 2] = ["bridge", OPEN_VSWITCH];

/// The bridges of Open vSwitch, and `ovs-system`, to which all their ports belong.
const OPEN_VSWITCH: &str = "openvswitch";

/// Kinds whose other end is usually on this host, or in an overlay of its containers.
const LOCAL: [&str; 7] = ["veth", "tun", "netkit", "vxlan", "geneve", "gretap", "ip6gretap"];

/// What to say of the ways past the gate, one finding for each kind of way.
pub(super) fn findings(
    config: &Config,
    unguarded: &anyhow::Result<Vec<Unguarded>>,
) -> Vec<Finding> {
    let unguarded = match unguarded {
        Ok(unguarded) if unguarded.is_empty() => {
            let detail = "no interface that is up leads past the gate";
            return vec![Finding::ok(UNGUARDED, detail)];
        }
        Ok(unguarded) => unguarded,
        Err(error) => return vec![Finding::unknown(UNGUARDED, plain(error))],
    };
    let from = |from: From| unguarded.iter().filter(|one| one.from == from).collect();
    [From::Network, From::TunnelWithOurAddress, From::ThisHost, From::Tunnel]
        .into_iter()
        .filter_map(|way| finding(config, way, from(way)))
        .collect()
}

fn finding(config: &Config, way: From, unguarded: Vec<&Unguarded>) -> Option<Finding> {
    const ANSWERED: &str = "it is lost, and the host answers it with an ICMP error";
    let configured = &config.gate.interfaces;
    let superfluous = unguarded.iter().flat_map(|one| one.instead_of(configured));
    let superfluous = Names(superfluous.collect::<BTreeSet<_>>().into_iter().collect());
    let names = Names(unguarded.into_iter().map(|one| one.interface.as_str()).collect());
    let (are, they) = match names.0.as_slice() {
        [] => return None,
        [_] => ("is", "it"),
        _ => ("are", "them"),
    };
    let drop = format!(
        "drop the packets in your firewall, for example: nft insert rule inet filter input iifname {{ {} }} \
         udp dport {} drop",
        names.quoted(),
        config.port
    );
    Some(match way {
        From::Network => Finding::problem(
            UNGUARDED,
            format!(
                "{names} {are} up but not guarded. Linux accepts packets for this host on every interface: \
                 if a knock arrives through {they}, {ANSWERED}"
            ),
            format!(
                "set `interfaces = [{}]` in {}, then run `systemctl reload ruroco-gate`",
                names.in_place_of(&superfluous, configured),
                config.path().display()
            ),
        ),
        From::TunnelWithOurAddress => Finding::problem(
            UNGUARDED,
            format!(
                "{names} {are} up with an address of `addresses`, but cannot be guarded (no Ethernet headers): if a \
                 knock arrives through {they}, {ANSWERED}"
            ),
            format!("let clients knock at an address of an Ethernet interface; {drop}"),
        ),
        From::ThisHost => Finding::warning(
            UNGUARDED,
            format!(
                "containers or virtual machines reach this host past the gate through {names}: if one of \
                 them knocks, {ANSWERED}"
            ),
            match superfluous.0.is_empty() {
                true => format!("if you do not trust them, add {names} to `interfaces`"),
                false => format!(
                    "if you do not trust them, set `interfaces = [{}]`",
                    names.in_place_of(&superfluous, configured)
                ),
            },
        ),
        From::Tunnel => Finding::warning(
            UNGUARDED,
            format!(
                "{names} cannot be guarded (no Ethernet headers): if a knock arrives through {they}, \
                 {ANSWERED}"
            ),
            drop,
        ),
    })
}

/// Names of interfaces, for one line.
struct Names<'a>(Vec<&'a str>);

impl Names<'_> {
    fn quoted(&self) -> String {
        let quoted = self.0.iter().map(|name| format!("\"{name}\""));
        quoted.collect::<Vec<_>>().join(", ")
    }

    /// The value of `interfaces` with which all of these are guarded, and the superfluous ones only through
    /// them.
    fn in_place_of(&self, superfluous: &Names<'_>, configured: &[String]) -> String {
        let stays = |name: &&str| !superfluous.0.contains(name);
        let stay = configured.iter().map(String::as_str).filter(stays);
        Names(stay.chain(self.0.iter().copied()).collect()).quoted()
    }
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some: Vec<&str> = self.0.iter().take(NAMED).copied().collect();
        f.write_str(&some.join(", "))?;
        match self.0.len().saturating_sub(some.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
