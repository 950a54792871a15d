//! Three hosts in a row: a client, the server that everything is about, and a third host that the
//! server forwards for.
//!
//! The wire is quiet. Neighbours are entered by hand and IPv6 neither looks for duplicates nor for
//! routers, so that what a capture sees was caused by what a test sent. Limits on how many ICMP
//! errors a host sends are off, so that none that should not be sent is hidden by them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{namespace::Namespace, tcp::counter};

/// The two Internet protocols; most tests run once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The one that an address is of.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The address at which any interface listens.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// The addresses of a host.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// IPv4
    pub v4: Ipv4Addr,
    /// IPv6
    pub v6: Ipv6Addr,
}

impl Addresses {
    /// The one of a family.
    pub fn of(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }
}

/// The client.
pub const CLIENT: Addresses = Addresses {
    v4: Ipv4Addr::new(192, 0, 2, 2),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2),
};
/// The server, as the client knows it: what `addresses` holds.
pub const SERVER: Addresses = Addresses {
    v4: Ipv4Addr::new(192, 0, 2, 1),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
};
/// The host behind the server.
pub const THIRD: Addresses = Addresses {
    v4: Ipv4Addr::new(198, 51, 100, 2),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2),
};

/// The gate's port.
pub const PORT: u16 = 34020;

/// The client's interface.
pub const CLIENT_INTERFACE: &str = "client0";
/// The server's interface towards the client.
pub const SERVER_INTERFACE: &str = "server0";
/// The server's interface towards the third host.
pub const THIRD_INTERFACE: &str = "third1";

/// Hardware address of the client's interface; locally administered, like all of them.
pub const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 1, 2];
/// Hardware address of the server's interface towards the client.
pub const SERVER_MAC: [u8; 6] = [0x02, 0, 0, 0, 1, 1];

/// The three hosts.
#[derive(Debug)]
pub struct Network {
    /// Where knocks come from.
    pub client: Namespace,
    /// Where gate, server and commander are.
    pub server: Namespace,
    /// Where forwarded packets go.
    pub third: Namespace,
}

impl Network {
    /// Makes the hosts and joins them.
    ///
    /// # Panics
    /// If a step fails.
    pub fn new() -> Self {
        let network =
            Self { client: Namespace::new(), server: Namespace::new(), third: Namespace::new() };
        for host in [&network.client, &network.server, &network.third] {
            host.sysctl(&[
                ("ipv6/conf/default/accept_dad", "0"),
                ("ipv6/conf/default/router_solicitations", "0"),
                ("ipv6/conf/default/accept_ra", "0"),
                ("ipv4/icmp_ratelimit", "0"),
                ("ipv4/icmp_msgs_per_sec", "1000000"),
                ("ipv4/icmp_msgs_burst", "1000000"),
                ("ipv6/icmp/ratelimit", "0"),
            ]);
        }
        network.server.sysctl(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
        network.connect_client();
        network.connect_third();
        network
    }

    /// Makes the link between client and server, as after [`Network::disconnect_client`].
    ///
    /// # Panics
    /// If a step fails.
    pub fn connect_client(&self) {
        self.add_client_link();
        self.bring_client_link_up();
    }

    /// Removes the link between client and server: both interfaces are gone.
    ///
    /// # Panics
    /// If the link does not exist.
    pub fn disconnect_client(&self) {
        self.server.ip("link delete server0");
    }

    /// The first half of [`Network::connect_client`]: the interfaces are there, and down.
    ///
    /// # Panics
    /// If it fails.
    pub fn add_client_link(&self) {
        let client = self.client.path();
        self.server.ip(&format!(
            "link add server0 address 02:00:00:00:01:01 type veth \
             peer name client0 address 02:00:00:00:01:02 netns {}",
            client.display()
        ));
    }

    /// The second half of [`Network::connect_client`]: addresses, neighbours and routes.
    ///
    /// # Panics
    /// If it fails.
    pub fn bring_client_link_up(&self) {
        self.bring_link_up(SERVER_INTERFACE, CLIENT_INTERFACE);
    }

    /// The same, for whatever the two hosts have in place of the ends of the link.
    ///
    /// # Panics
    /// If it fails.
    pub fn bring_link_up(&self, server: &str, client: &str) {
        // Neighbours first: with the addresses come the routes, and with them the first packets.
        self.server.ip(&format!(
            "link set {server} up\n\
             neigh replace 192.0.2.2 lladdr 02:00:00:00:01:02 dev {server} nud permanent\n\
             neigh replace 2001:db8:1::2 lladdr 02:00:00:00:01:02 dev {server} nud permanent\n\
             addr add 192.0.2.1/24 dev {server}\n\
             addr add 2001:db8:1::1/64 dev {server} nodad\n"
        ));
        self.client.ip(&format!(
            "link set {client} up\n\
             neigh replace 192.0.2.1 lladdr 02:00:00:00:01:01 dev {client} nud permanent\n\
             neigh replace 2001:db8:1::1 lladdr 02:00:00:00:01:01 dev {client} nud permanent\n\
             addr add 192.0.2.2/24 dev {client}\n\
             addr add 2001:db8:1::2/64 dev {client} nodad\n\
             route add default via 192.0.2.1\n\
             route add ::/0 via 2001:db8:1::1\n"
        ));
    }

    fn connect_third(&self) {
        let third = self.third.path();
        self.server.ip(&format!(
            "link add third1 address 02:00:00:00:02:01 type veth \
             peer name third0 address 02:00:00:00:02:02 netns {}\n\
             link set third1 up\n\
             addr add 198.51.100.1/24 dev third1\n\
             addr add 2001:db8:2::1/64 dev third1 nodad\n\
             neigh replace 198.51.100.2 lladdr 02:00:00:00:02:02 dev third1 nud permanent\n\
             neigh replace 2001:db8:2::2 lladdr 02:00:00:00:02:02 dev third1 nud permanent\n",
            third.display()
        ));
        self.third.ip("link set third0 up\n\
             addr add 198.51.100.2/24 dev third0\n\
             addr add 2001:db8:2::2/64 dev third0 nodad\n\
             neigh replace 198.51.100.1 lladdr 02:00:00:00:02:01 dev third0 nud permanent\n\
             neigh replace 2001:db8:2::1 lladdr 02:00:00:00:02:01 dev third0 nud permanent\n\
             route add default via 198.51.100.1\n\
             route add ::/0 via 2001:db8:2::1\n");
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

/// How many UDP packets have come to the stack of a host, whether or not a socket took them.
///
/// # Panics
/// If the kernel does not tell.
pub fn udp_packets(host: &Namespace) -> u64 {
    // InErrors has those that found the socket's buffer full.
    ["UdpInDatagrams", "UdpNoPorts", "UdpInErrors"].map(|name| counter(host, name)).iter().sum()
}

/// Where knocks for the server go.
pub fn gate(family: Family) -> SocketAddr {
    (SERVER.of(family), PORT).into()
}
