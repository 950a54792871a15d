//! The interfaces of the default routes, as the kernel lists them.

use std::{collections::BTreeSet, fs};

/// All interfaces with a default route, of either protocol.
pub(super) fn default_interfaces() -> BTreeSet<String> {
    let [v4, v6] = tables();
    all_v4(&v4).chain(all_v6(&v6)).map(str::to_owned).collect()
}

/// The interface of the first default route, of IPv4 if there is one.
pub(super) fn default_interface() -> Option<String> {
    let [v4, v6] = tables();
    all_v4(&v4).chain(all_v6(&v6)).next().map(str::to_owned)
}

/// The routes of this thread's network namespace, of IPv4 and of IPv6.
fn tables() -> [String; 2] {
    ["route", "ipv6_route"].map(|table| {
        fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default()
    })
}

/// The interfaces of routes to everywhere in `/proc/net/route` (proc_pid_net(5)): name and
/// destination are the first two columns, the mask is the eighth.
fn all_v4(routes: &str) -> impl Iterator<Item = &str> {
    routes.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        match columns[..] {
            [name, "00000000", _, _, _, _, _, "00000000", ..] => Some(name),
            _ => None,
        }
    })
}

/// The same in `/proc/net/ipv6_route`: destination and length of its prefix are the first two columns, the
/// interface is the last. If the interface is loopback, there is no such route.
fn all_v6(routes: &str) -> impl Iterator<Item = &str> {
    routes.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        match columns[..] {
            [destination, "00", .., name]
                if name != "lo" && destination.bytes().all(|byte| byte == b'0') =>
            {
                Some(name)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_with_a_route_to_everywhere_is_found() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                  lan0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                  wan0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  wan1\t00000000\t0102A8C0\t0003\t0\t0\t9\t00000000\t0\t0\t0\n";
        assert_eq!(all_v4(v4).collect::<Vec<_>>(), ["wan0", "wan1"]);
        let zero = "0".repeat(32);
        let v6 = |name| format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 0 00000003 {name}\n");
        let both = v6("lo") + &v6("wan2");
        assert_eq!(all_v6(&both).collect::<Vec<_>>(), ["wan2"]);
    }
}
