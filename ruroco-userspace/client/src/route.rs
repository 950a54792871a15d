//! A way to a host: a UDP socket that is connected to one of its addresses.
//!
//! Connecting sends nothing. The kernel looks for a way and says at once if there is none, before a
//! counter is used up; and it keeps for this socket what the network has to say of what is sent.

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
    /// Finds the way to this address.
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

    /// Where it leads.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Where it begins: the address that this computer sends from.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn from(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends a datagram. That this succeeds means only that the kernel took it: servers do not
    /// answer.
    ///
    /// # Errors
    /// Those of the socket: a firewall of this computer's, a network that has just gone.
    pub fn send(&self, datagram: &Datagram) -> io::Result<()> {
        self.socket.send(datagram.as_bytes()).map(drop)
    }

    /// The ICMP error that came back, if one did and this has not been asked before. Nobody waits
    /// for one: it is looked at when it is known already that nothing has opened.
    pub fn objection(&self) -> Option<io::Error> {
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
        assert!(route.objection().is_none());
        drop(free);
        route.send(&Datagram::new_zeroed()).unwrap();
        let objection = route.objection().map(|error| error.kind());
        assert_eq!(objection, Some(io::ErrorKind::ConnectionRefused));
    }
}
