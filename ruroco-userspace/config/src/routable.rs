//! The addresses for which no command runs: those that cannot belong to a host, and with
//! `allow_non_public_addresses = false` those outside the public Internet.
//!
//! The server checks a knock by these rules before its counter is used up, and the commander checks the order
//! again.
//!
//! The list of non-public addresses is exactly that of upstream ruroco: an imported configuration must reject
//! the same addresses as before, and no others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::values::is_usable;

/// Why no command is run for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No knock can come from it, and to many a tool it means "everybody".
    #[error("no command runs for {0}, which is not the address of a host")]
    Unusable(IpAddr),
    /// It is not of the public Internet.
    #[error("{0} is not a public address, and `allow_non_public_addresses` is false")]
    NonRoutable(IpAddr),
}

/// Checks an address that a command is to run for.
///
/// # Errors
/// [`Unfit`].
pub fn check(ip: IpAddr, allow_non_public: bool) -> Result<(), Unfit> {
    if !is_usable(ip) {
        return Err(Unfit::Unusable(ip));
    }
    if !(allow_non_public || is_routable(ip)) {
        return Err(Unfit::NonRoutable(ip));
    }
    Ok(())
}

/// Whether packets with this address can come from, or go to, the public Internet.
fn is_routable(ip: IpAddr) -> bool {
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
        return false;
    }
    match ip {
        IpAddr::V4(ip) => !is_special_v4(ip),
        IpAddr::V6(ip) => !is_special_v6(ip),
    }
}

fn is_special_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        // 0.0.0.0/8, this network (RFC 791, section 3.2)
        || a == 0
        // 100.64.0.0/10, behind a provider's NAT (RFC 6598)
        || (a, b & 0xc0) == (100, 64)
        // 192.0.0.0/24, for protocols (RFC 6890)
        || (a, b, c) == (192, 0, 0)
        // 198.18.0.0/15, benchmarks (RFC 2544)
        || (a, b & 0xfe) == (198, 18)
        // 240.0.0.0/4, reserved (RFC 1112, section 4), with the broadcast address
        || a >= 240
}

fn is_special_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // fc00::/7 (RFC 4193), fe80::/10 (RFC 4291) and 2001:db8::/32, documentation (RFC 3849)
    ip.is_unique_local() || ip.is_unicast_link_local() || (a, b) == (0x2001, 0xdb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ever_run_for_everybody() {
        for ip in ["::", "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "ff02::1"] {
            let ip = ip.parse().unwrap();
            for allow_non_public in [true, false] {
                assert_eq!(check(ip, allow_non_public), Err(Unfit::Unusable(ip)));
            }
        }
    }

    #[test]
    fn addresses_from_within_are_a_matter_of_configuration() {
        let (within, public) = ("10.1.2.3".parse().unwrap(), "1.1.1.1".parse().unwrap());
        assert_eq!(check(within, false), Err(Unfit::NonRoutable(within)));
        assert_eq!([check(within, true), check(public, false)], [Ok(()); 2]);
    }

    #[test]
    fn each_range_ends_where_it_ends() {
        // The first and the last address of each, and those beside them where they are of no other.
        for (first, last, before, behind) in [
            ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
            ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
            ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
            ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
            ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
            ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
            ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
            ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
            ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
            ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
            ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
            ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
            ("224.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
            ("::", "::1", None, Some("::2")),
            ("2001:db8::", "2001:db8:ffff:ffff::", Some("2001:db7:ffff::"), Some("2001:db9::")),
            ("fc00::", "fdff:ffff::", Some("fbff:ffff::"), Some("fe00::")),
            ("fe80::", "febf:ffff::", Some("fe7f:ffff::"), Some("fec0::")),
            ("ff00::", "ffff:ffff::", Some("feff:ffff::"), None),
        ] {
            for refused in [first, last] {
                assert!(!is_routable(refused.parse().unwrap()), "{refused}");
            }
            for passed in [before, behind].into_iter().flatten() {
                assert!(is_routable(passed.parse().unwrap()), "{passed}");
            }
        }
    }

    #[test]
    fn what_upstream_does_not_refuse_is_not_refused() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "192.88.99.1",
            "2606:4700::1111",
            "2002:c000:201::1",
            "2001:0:1::1",
            "64:ff9b::7f00:1",
            "::7f00:1",
            "fec0::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(is_routable(ip.parse().unwrap()), "{ip}");
        }
    }
}
