//! The addresses in `addresses`, compared with those that this host has, while they come and go.
//!
//! `addresses` contains fixed addresses, and a knock contains the address that it is for. When a host is
//! renumbered, knocks still arrive, but get the verdict `not_ours`, and every interface looks healthy. So the
//! gate watches the host's addresses and reports those that the host has lost.

use std::{
    collections::BTreeSet,
    fmt, io,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use ruroco_common::address::Address;
use serde::{Deserialize, Serialize};

use super::netlink::{self, Assigned};

/// `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR` (linux/rtnetlink.h): addresses that come or go.
const ADDRESS_CHANGES: u32 = 0x10 | 0x100;

/// `IFA_F_*` (linux/if_addr.h). For IPv4 the first means something else.
const TEMPORARY: u32 = 0x01;
const DAD_FAILED: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
const TENTATIVE: u32 = 0x40;

/// One of `addresses`, as it is on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address.
    pub ip: String,
    /// Whether an interface of this host has it.
    pub present: bool,
    /// Why knocks for it cannot arrive, and what to do about it.
    pub problem: Option<String>,
}

/// The addresses in `addresses`, watched.
#[derive(Debug)]
pub struct Addresses {
    changes: OwnedFd,
    present: Present,
    /// Addresses of all hosts or routers of the networks that this host is in.
    of_many: Vec<IpAddr>,
    /// What the host had at some time since this gate started.
    seen: BTreeSet<IpAddr>,
    /// For which of `addresses` a problem is in the log.
    reported: BTreeSet<IpAddr>,
}

impl Addresses {
    /// Begins to watch.
    ///
    /// # Errors
    /// If the kernel does not report addresses.
    pub fn watch() -> io::Result<Self> {
        let changes = netlink::subscribe(ADDRESS_CHANGES)?;
        let assigned = netlink::addresses()?;
        let (present, of_many) = (Present::of(&assigned), of_many(&assigned));
        let seen = present.0.clone();
        Ok(Self { changes, seen, present, of_many, reported: BTreeSet::new() })
    }

    /// Looks what has changed, and logs each of `addresses` that was lost or has returned.
    pub fn follow(&mut self, ips: &[IpAddr]) {
        if netlink::drain(&self.changes) {
            match netlink::addresses() {
                Ok(assigned) => {
                    self.present = Present::of(&assigned);
                    self.of_many = of_many(&assigned);
                    self.seen.extend(&self.present.0);
                }
                Err(error) => tracing::warn!("could not list this host's addresses: {error}"),
            }
        }
        // Before the network is up the host has none of them, which is nothing for the log.
        for ip in ips.iter().filter(|ip| self.seen.contains(*ip)) {
            match self.problem(ip, ips) {
                Some(problem) if self.reported.insert(*ip) => tracing::warn!("{problem}"),
                None if self.reported.remove(ip) => tracing::info!(%ip, "on this host again"),
                Some(_) | None => {}
            }
        }
    }

    /// The destinations of packets that are delivered on this host, as far as interfaces have them.
    pub(super) fn destinations(&self) -> BTreeSet<Address> {
        self.present.0.iter().chain(&self.of_many).copied().map(Address::from).collect()
    }

    /// How each of `addresses` is.
    pub fn statuses(&self, ips: &[IpAddr]) -> Vec<AddressStatus> {
        let status = |ip: &IpAddr| AddressStatus {
            ip: ip.to_string(),
            present: self.present.has(*ip),
            problem: self.problem(ip, ips),
        };
        ips.iter().map(status).collect()
    }

    /// Why knocks for one of `addresses` cannot arrive. An address that the host has lost is a problem even
    /// if the host has another address of the same protocol.
    fn problem(&self, ip: &IpAddr, ips: &[IpAddr]) -> Option<String> {
        let was_lost = self.seen.contains(ip) && !self.present.has(*ip);
        if !was_lost && !self.present.missed(ips).contains(ip) {
            return None;
        }
        let what = if was_lost { "no longer" } else { "not" };
        Some(format!(
            "{ip} in `addresses` is {what} assigned to this host, which has {}. Set `addresses` in config.toml to \
             the current addresses, run `systemctl reload ruroco-gate`, and give clients the new address",
            self.present
        ))
    }
}

impl AsFd for Addresses {
    /// Readable when some address has come or gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

/// The addresses that interfaces of this host have.
#[derive(Debug)]
pub struct Present(BTreeSet<IpAddr>);

impl Present {
    /// Looks.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn look() -> io::Result<Self> {
        Ok(Self::of(&netlink::addresses()?))
    }

    fn of(assigned: &[Assigned]) -> Self {
        assigned.iter().map(|assigned| assigned.ip).collect()
    }

    /// Whether an interface has this address.
    pub fn is_assigned(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    /// Whether packets for this address are delivered here: it is assigned to an interface, or a route of
    /// type `local` covers it.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip) || netlink::is_local(ip).unwrap_or(false)
    }

    /// Those of `addresses` without which no knock arrives over their protocol, because the host has none of it.
    /// Behind NAT the outer address is not here and not missed, as the inner one is.
    pub fn missed(&self, ips: &[IpAddr]) -> Vec<IpAddr> {
        let of = |is_v4: bool| ips.iter().copied().filter(move |ip| ip.is_ipv4() == is_v4);
        let is_without = |is_v4: &bool| !of(*is_v4).any(|ip| self.has(ip));
        [true, false].into_iter().filter(is_without).flat_map(of).collect()
    }
}

impl fmt::Display for Present {
    /// Those that others can reach.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reachable = self.0.iter().filter(|ip| is_for_others(**ip)).map(IpAddr::to_string);
        match reachable.collect::<Vec<_>>().as_slice() {
            [] => f.write_str("no address that other hosts can reach"),
            reachable => f.write_str(&reachable.join(", ")),
        }
    }
}

impl FromIterator<IpAddr> for Present {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(assigned: T) -> Self {
        Self(assigned.into_iter().collect())
    }
}

fn of_many(assigned: &[Assigned]) -> Vec<IpAddr> {
    assigned.iter().flat_map(|assigned| assigned.others.iter().copied()).collect()
}

/// Whether a client elsewhere could send to it.
pub fn is_for_others(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_link_local()),
        IpAddr::V6(address) => !(address.is_loopback() || address.is_unicast_link_local()),
    }
}

/// Whether a client may still use it tomorrow: it is no temporary address (RFC 8981), has not expired, and
/// no other host was found to have it.
pub fn is_lasting(assigned: &Assigned) -> bool {
    let short_lived = match assigned.ip {
        IpAddr::V4(_) => DEPRECATED,
        IpAddr::V6(_) => TEMPORARY | DAD_FAILED | DEPRECATED | TENTATIVE,
    };
    assigned.flags & short_lived == 0
}

/// The order in which addresses are worth proposing: IPv6 addresses that only a site can reach (RFC 4193)
/// come last.
pub fn preference(address: IpAddr) -> impl Ord {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn host(seen: &[&str], present: &[&str]) -> Addresses {
        let seen = seen.iter().map(|one| ip(one)).collect();
        let present = present.iter().map(|one| ip(one)).collect();
        let changes = netlink::subscribe(ADDRESS_CHANGES).unwrap();
        let of_many = Vec::new();
        Addresses { changes, seen, present, of_many, reported: BTreeSet::new() }
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
            assert_eq!(is_for_others(ip(address)), offered, "{address}");
        }
    }

    #[test]
    fn an_address_that_will_not_last_is_not_proposed() {
        let (v4, v6) = ("192.0.2.1", "2001:db8::1");
        for (address, flags, lasts) in [
            (v6, 0x80, true),         // permanent
            (v6, 0x100, true),        // a prefix from which temporary ones are made
            (v6, 0x800, true),        // RFC 7217
            (v6, 0x82, true),         // permanent, without duplicate address detection
            (v6, 0x01, false),        // temporary
            (v6, 0x01 | 0x20, false), // temporary and deprecated
            (v6, 0x20, false),        // deprecated
            (v6, 0x40, false),        // tentative
            (v6, 0x44, false),        // optimistic
            (v6, 0x80 | 0x08, false), // a duplicate
            (v4, 0x80, true),         // permanent
            (v4, 0x80 | 0x01, true),  // a second address of the subnet
            (v4, 0x200, true),        // by DHCP
            (v4, 0x80 | 0x20, false), // deprecated
        ] {
            let assigned = Assigned { index: 2, ip: ip(address), others: Vec::new(), flags };
            assert_eq!(is_lasting(&assigned), lasts, "{address} {flags:#x}");
        }
    }

    #[test]
    fn addresses_that_only_a_site_can_reach_are_proposed_last() {
        let mut all = ["fd00::1", "2001:db8::1", "10.0.0.1", "192.0.2.1"].map(ip);
        all.sort_by_key(|ip| preference(*ip));
        assert_eq!(all, ["2001:db8::1", "10.0.0.1", "192.0.2.1", "fd00::1"].map(ip));
    }

    #[test]
    fn an_address_that_was_lost_is_a_problem_and_the_outer_one_of_nat_is_none() {
        let ips = ["192.0.2.1", "198.51.100.1", "2001:db8::1"].map(ip);
        let problems = |seen: &[&str], present: &[&str]| {
            let statuses = host(seen, present).statuses(&ips);
            statuses.iter().map(|one| one.problem.is_some()).collect::<Vec<_>>()
        };
        let all = ["192.0.2.1", "2001:db8::1"];
        assert_eq!(problems(&all, &all), [false, false, false]);
        // Renumbered, in the one family and in the other.
        assert_eq!(problems(&all, &["192.0.2.9", "2001:db8::1"]), [true, true, false]);
        assert_eq!(problems(&all, &["192.0.2.1", "2001:db8::9"]), [false, false, true]);
        // A gate that has started since knows no more than that there is none.
        assert_eq!(problems(&[], &["192.0.2.1", "2001:db8::9"]), [false, false, true]);
        assert_eq!(problems(&[], &[]), [true, true, true]);
    }

    #[test]
    fn a_problem_names_what_the_host_has_and_what_to_run() {
        let host = host(&["192.0.2.1"], &["192.0.2.9", "127.0.0.1", "fe80::1"]);
        let statuses = host.statuses(&[ip("192.0.2.1")]);
        let problem = statuses[0].problem.as_deref().unwrap();
        assert!(problem.contains("192.0.2.1 in `addresses` is no longer assigned"), "{problem}");
        assert!(problem.contains("which has 192.0.2.9. Set"), "{problem}");
        assert!(problem.contains("systemctl reload ruroco-gate"), "{problem}");
    }

    #[test]
    fn an_address_is_here_if_an_interface_has_it_or_the_kernel_delivers_to_it() {
        let present = Present::look().unwrap();
        assert!(present.0.contains(&ip("127.0.0.1")) && present.has(ip("127.0.0.1")));
        // By the route of the loopback interface to all of 127.0.0.0/8.
        assert!(!present.0.contains(&ip("127.0.0.77")) && present.has(ip("127.0.0.77")));
        assert!(!present.has(ip("192.0.2.77")) && !present.has(ip("2001:db8::77")));
    }

    #[test]
    fn addresses_are_missed_where_the_host_has_none_of_their_protocol() {
        let (outer, inner, v6) = ("203.0.113.1", "192.0.2.1", "2001:db8::1");
        for (ips, present, missed) in [
            (&[outer, inner][..], &[inner][..], &[][..]),
            (&[outer, inner, v6], &[inner, v6], &[]),
            (&[v6], &[inner, v6], &[]),
            (&[inner, v6], &[v6], &[inner]),
            (&[inner, v6], &[inner], &[v6]),
            (&[outer, v6], &[inner], &[outer, v6]),
            (&["127.0.0.77", outer], &[], &[]),
        ] {
            let [ips, missed] =
                [ips, missed].map(|all| all.iter().map(|one| ip(one)).collect::<Vec<_>>());
            let present: Present = present.iter().map(|one| ip(one)).collect();
            assert_eq!(present.missed(&ips), missed, "{ips:?} on a host with {present}");
        }
    }
}
