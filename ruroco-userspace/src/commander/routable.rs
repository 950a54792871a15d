//! Which addresses are of the public Internet, for `allow_non_routable_ips = false`.
//!
//! The list is that of upstream ruroco, to the last range: a file that comes from there is to refuse
//! what it refused there, and nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether packets with this address can come from, or go to, the public Internet.
pub(super) fn is_routable(ip: IpAddr) -> bool {
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
