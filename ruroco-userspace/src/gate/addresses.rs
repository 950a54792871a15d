//! The addresses in `ips`, compared with those that this host has, while they come and go.
//!
//! `ips` names fixed addresses, and a knock carries the one that it is for. When a host is renumbered,
//! knocks still arrive but are `not_ours`, with nothing wrong on any interface. So the gate watches
//! the host's addresses and reports those that it has lost.

use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use serde::{Deserialize, Serialize};

use super::netlink::{self, Assigned};

/// `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR` (linux/rtnetlink.h): addresses that come or go.
const ADDRESS_CHANGES: u32 = 0x10 | 0x100;

/// `IFA_F_*` (linux/if_addr.h). For IPv4 the first means something else.
const TEMPORARY: u32 = 0x01;
const DAD_FAILED: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
const TENTATIVE: u32 = 0x40;

/// One of `ips`, as it is on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address.
    pub ip: String,
    /// Whether an interface of this host has it.
    pub present: bool,
    /// Why knocks for it cannot arrive, and what to do about it.
    pub problem: Option<String>,
}

/// The addresses in `ips`, watched.
#[derive(Debug)]
pub struct Addresses {
    changes: OwnedFd,
    /// What the host has.
    present: BTreeSet<IpAddr>,
    /// What it had at some time since this gate started.
    seen: BTreeSet<IpAddr>,
    /// For which of `ips` a problem is in the log.
    reported: BTreeSet<IpAddr>,
}

impl Addresses {
    /// Begins to watch.
    ///
    /// # Errors
    /// If the kernel does not report addresses.
    pub fn watch() -> io::Result<Self> {
        let changes = netlink::subscribe(ADDRESS_CHANGES)?;
        let present = present()?;
        Ok(Self { changes, seen: present.clone(), present, reported: BTreeSet::new() })
    }

    /// Looks what has changed, and logs each of `ips` that was lost or has returned.
    pub fn follow(&mut self, ips: &[IpAddr]) {
        if netlink::drain(&self.changes)
            && let Ok(present) = present()
        {
            self.seen.extend(&present);
            self.present = present;
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

    /// How each of `ips` is.
    pub fn statuses(&self, ips: &[IpAddr]) -> Vec<AddressStatus> {
        let status = |ip: &IpAddr| AddressStatus {
            ip: ip.to_string(),
            present: self.present.contains(ip),
            problem: self.problem(ip, ips),
        };
        ips.iter().map(status).collect()
    }

    /// Behind NAT the outer address is on no interface, and the inner one is. So an address that this
    /// host never had is a problem only if the host has none of its family in `ips`.
    fn problem(&self, ip: &IpAddr, ips: &[IpAddr]) -> Option<String> {
        let is_present = |ip: &IpAddr| self.present.contains(ip);
        let is_behind_nat =
            || ips.iter().any(|other| other.is_ipv4() == ip.is_ipv4() && is_present(other));
        let was_lost = self.seen.contains(ip);
        if is_present(ip) || (!was_lost && is_behind_nat()) {
            return None;
        }
        let what = if was_lost { "no longer" } else { "not" };
        let reachable: Vec<String> =
            self.present.iter().filter(|ip| is_for_others(**ip)).map(IpAddr::to_string).collect();
        let has = match reachable.as_slice() {
            [] => "no address that others can reach".to_owned(),
            reachable => reachable.join(", "),
        };
        Some(format!(
            "{ip} in `ips` is {what} assigned to this host, which has {has}. Set `ips` in config.toml to \
             the current addresses, run `systemctl reload ruroco-gate`, and give clients the new address"
        ))
    }
}

impl AsFd for Addresses {
    /// Readable when some address has come or gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

/// Those of `ips` that are on no interface of this host.
///
/// # Errors
/// If the kernel does not answer.
pub fn missing(ips: &[IpAddr]) -> io::Result<Vec<IpAddr>> {
    let present = present()?;
    Ok(ips.iter().filter(|ip| !present.contains(*ip)).copied().collect())
}

fn present() -> io::Result<BTreeSet<IpAddr>> {
    Ok(netlink::addresses()?.into_iter().map(|assigned| assigned.ip).collect())
}

/// Whether a client elsewhere could send to it.
pub(super) fn is_for_others(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_link_local()),
        IpAddr::V6(address) => !(address.is_loopback() || address.is_unicast_link_local()),
    }
}

/// Whether a client may still use it tomorrow: it is no temporary address (RFC 8981), has not expired, and
/// no other host was found to have it.
pub(super) fn is_lasting(assigned: &Assigned) -> bool {
    let short_lived = match assigned.ip {
        IpAddr::V4(_) => DEPRECATED,
        IpAddr::V6(_) => TEMPORARY | DAD_FAILED | DEPRECATED | TENTATIVE,
    };
    assigned.flags & short_lived == 0
}

/// The order in which addresses are worth proposing: IPv6 addresses that only a site can reach (RFC 4193)
/// come last.
pub(super) fn preference(address: IpAddr) -> impl Ord {
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
        let [seen, present] = [seen, present].map(|all| all.iter().map(|one| ip(one)).collect());
        let changes = netlink::subscribe(ADDRESS_CHANGES).unwrap();
        Addresses { changes, seen, present, reported: BTreeSet::new() }
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
            let assigned = Assigned { index: 2, ip: ip(address), flags };
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
        assert!(problem.contains("192.0.2.1 in `ips` is no longer assigned"), "{problem}");
        assert!(problem.contains("which has 192.0.2.9. Set"), "{problem}");
        assert!(problem.contains("systemctl reload ruroco-gate"), "{problem}");
    }

    #[test]
    fn what_the_host_has_is_not_missing() {
        let ips = ["127.0.0.1", "192.0.2.77"].map(ip);
        assert_eq!(missing(&ips).unwrap(), [ips[1]]);
    }
}
