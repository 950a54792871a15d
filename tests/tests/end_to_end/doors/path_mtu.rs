//! A path with a smaller MTU in the middle: routers report it by ICMP, which passes, and the session adapts.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
};

use ruroco_lab::{
    namespace::Namespace,
    network::{Addresses, CLIENT, Family},
    wait,
};

use super::site::{LONG, Session, Site};

/// A host to which the client's host is a router.
const FAR: Addresses = Addresses {
    v4: Ipv4Addr::new(203, 0, 113, 2),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 2),
};

/// What fits through the router to that host.
const MTU: u16 = 1300;

/// Makes the host.
fn join_far(router: &Namespace, server: &Namespace) -> Namespace {
    let far = Namespace::new();
    router.sysctl(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
    router.ip(&format!(
        "link add far1 type veth peer name far0 netns {}\n\
         link set far1 up\n\
         addr add 203.0.113.1/24 dev far1\n\
         addr add 2001:db8:3::1/64 dev far1 nodad\n\
         route add 203.0.113.2 dev far1 mtu {MTU}\n\
         route add 2001:db8:3::2 dev far1 mtu {MTU}\n",
        far.path().display()
    ));
    far.ip("link set far0 up\n\
         addr add 203.0.113.2/24 dev far0\n\
         addr add 2001:db8:3::2/64 dev far0 nodad\n\
         route add default via 203.0.113.1\n\
         route add ::/0 via 2001:db8:3::1\n");
    server.ip(&format!(
        "route add 203.0.113.0/24 via {}\nroute add 2001:db8:3::/64 via {}\n",
        CLIENT.v4, CLIENT.v6
    ));
    far
}

/// The MTU of the path to an address, as a host knows it.
fn known_mtu(host: &Namespace, address: IpAddr) -> Option<u16> {
    let mut ip = host.command();
    let shown = ip.args(["ip", "route", "get", &address.to_string()]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let mut words = shown.split_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1).map(|mtu| mtu.parse().unwrap())
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_session_learns_the_mtu_of_its_path() {
    let mut site = Site::tcp(LONG);
    let far = join_far(&site.lab.network.client, &site.lab.network.server);
    for family in Family::BOTH {
        site.open_for(FAR.of(family));
        let Session { mut near, far: mut server } = site.connect_by(&far, family);
        site.close();
        assert_eq!(known_mtu(&site.lab.network.server, FAR.of(family)), None);
        let content: Vec<u8> = (0..250_000_u32).flat_map(u32::to_be_bytes).collect();
        let sending = content.clone();
        let sender = thread::spawn(move || server.write_all(&sending));
        near.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let mut received = Vec::new();
        near.read_to_end(&mut received).expect("the session stalls");
        assert!(received == content, "{} bytes arrived", received.len());
        sender.join().unwrap().unwrap();
        assert_eq!(known_mtu(&site.lab.network.server, FAR.of(family)), Some(MTU));
    }
}
