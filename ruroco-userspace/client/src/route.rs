//! A route to a host: a UDP socket that is connected to one of its addresses.
//!
//! Connecting sends nothing. If there is no route, the kernel reports that at once, before a counter is
//! used up. The kernel also stores ICMP errors for a connected socket.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use ruroco_common::datagram::Datagram;
use zerocopy::IntoBytes;

/// A socket from which a knock can go to one address.
#[derive(Debug)]
pub struct Route {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Route {
    /// Finds the route to this address.
    ///
    /// # Errors
    /// Those of the socket: no route, no such family.
    pub fn find(to: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(to)?;
        Ok(Self { socket, to })
    }

    /// The destination.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// The source: the address that this computer sends from.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn from(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends a datagram. Success means only that the kernel accepted it: hosts never reply.
    ///
    /// # Errors
    /// Those of the socket, for example if this computer's firewall rejects the packet or its network is
    /// down.
    pub fn send(&self, datagram: &Datagram) -> io::Result<()> {
        self.socket.send(datagram.as_bytes()).map(drop)
    }

    /// The ICMP error that the network returned, if any. Each error is returned once. This does not wait
    /// for one.
    pub fn icmp_error(&self) -> Option<io::Error> {
        self.socket.take_error().ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn a_port_without_a_socket_is_told() {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        let route = Route::find(address).unwrap();
        assert_eq!(route.from().unwrap().ip(), address.ip());
        route.send(&Datagram::new_zeroed()).unwrap();
        assert!(route.icmp_error().is_none());
        drop(free);
        route.send(&Datagram::new_zeroed()).unwrap();
        let icmp_error = route.icmp_error().map(|error| error.kind());
        assert_eq!(icmp_error, Some(io::ErrorKind::ConnectionRefused));
    }
}
