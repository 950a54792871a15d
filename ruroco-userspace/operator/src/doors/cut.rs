//! Ends TCP sessions of this host, as `ss -K` does (sock_diag(7)).

use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use anyhow::anyhow;
use ruroco_config::door::{DoorPort, Transport};
use ruroco_gate::netlink::{self, DUMP};
use rustix::{io::Errno, net::netlink::SOCK_DIAG};

use super::own_sockets::{self, Own};

/// `SOCK_DIAG_BY_FAMILY`, `SOCK_DESTROY` (linux/sock_diag.h)
const LIST: u16 = 20;
const DESTROY: u16 = 21;
/// `NLM_F_ACK` (linux/netlink.h)
const ACKNOWLEDGE: u16 = 4;

/// `AF_INET`, `AF_INET6`, `IPPROTO_TCP`
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const TCP: u8 = 6;

/// All states but `SYN_SENT`, `TIME_WAIT`, `CLOSE` and `LISTEN`, as bits by number (include/net/tcp_states.h). A session
/// that is half open may be an established one in a moment.
const STATES: u32 = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// Size of `struct inet_diag_sockid` (linux/inet_diag.h).
const ID: usize = 48;

/// Where `struct inet_diag_msg` has `idiag_inode`.
const INODE: usize = 68;

/// A session, as the kernel identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Socket {
    family: u8,
    /// Ports, addresses, interface and cookie.
    id: [u8; ID],
    /// Of the socket, as the processes have it that use it.
    inode: u32,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// How many sessions were ended.
    pub(crate) count: u32,
    /// The other end of the session that this program runs in, which was left.
    pub(crate) left: Option<Peer>,
}

/// The other end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(SocketAddr);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.0.ip(), self.0.port())
    }
}

/// Ends the sessions of these TCP ports with the hosts for which `is_meant` is true, except for
/// [the session that this program runs in](own_sockets).
///
/// # Errors
/// If the kernel does not do it, or one of the sessions may be that of this program. The message names the command that
/// helps.
pub(crate) fn end(ports: &[DoorPort], is_meant: impl Fn(IpAddr) -> bool) -> anyhow::Result<Ended> {
    let is_of_door = |port| ports.iter().any(|ports| ports.contains(Transport::Tcp, port));
    let sockets = sockets().map_err(|error| failure(error, ports))?;
    let own = own_sockets::find(&sockets.iter().map(|socket| socket.inode).collect());
    let is_meant = |socket: &&Socket| {
        is_of_door(socket.port()) && socket.peer().is_some_and(|peer| is_meant(peer.0.ip()))
    };
    let meant: Vec<&Socket> = sockets.iter().filter(is_meant).collect();
    let own = match own {
        Own::Known(own) => own,
        Own::Unknown if meant.is_empty() => BTreeSet::new(),
        Own::Unknown => return Err(in_doubt(&meant)),
    };
    let mut ended = Ended::default();
    for socket in meant {
        if own.contains(&socket.inode) {
            ended.left = socket.peer();
        } else if socket.destroy().map_err(|error| failure(error, ports))? {
            ended.count = ended.count.saturating_add(1);
        }
    }
    Ok(ended)
}

/// One of these sessions may be the operator's own.
fn in_doubt(sessions: &[&Socket]) -> anyhow::Error {
    let peers: Vec<String> =
        sessions.iter().filter_map(|socket| socket.peer()).map(|peer| peer.to_string()).collect();
    anyhow!(
        "no TCP session was ended, because one of these may be your own: {}. In tmux, screen and mosh, the session that \
         you use is unknown. Run the same command outside of them, such as `ssh HOST ruroco ...`. To end your own \
         session, too, run `systemd-run --pipe ruroco ...`",
        peers.join(", ")
    )
}

/// Why the kernel did not do it, and what helps.
fn failure(error: io::Error, ports: &[DoorPort]) -> anyhow::Error {
    let port = ports.iter().find(|port| port.transport == Transport::Tcp).map(|port| port.first);
    let port = port.unwrap_or_default();
    match Errno::from_io_error(&error) {
        Some(Errno::OPNOTSUPP | Errno::NOENT) => anyhow!(
            "cannot end TCP sessions: this kernel does not support it (CONFIG_INET_DIAG_DESTROY). To end one, run \
             `ss -Htnp sport = :{port}`, and `kill PID` for the process of the session"
        ),
        Some(Errno::PERM | Errno::ACCESS) => {
            anyhow!("cannot end TCP sessions: this needs CAP_NET_ADMIN. Run this as root")
        }
        _ => anyhow::Error::new(error).context("cannot end TCP sessions"),
    }
}

/// All sessions of this host.
fn sockets() -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for family in [IPV4, IPV6] {
        let request = request(family, &[0; ID]);
        let listed = netlink::ask(Some(SOCK_DIAG), LIST, DUMP, &request, |message| {
            sockets.extend(Socket::parse(message));
        });
        match listed {
            // A kernel without IPv6.
            Err(error) if family == IPV6 && Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
            listed => listed?,
        }
    }
    Ok(sockets)
}

/// `struct inet_diag_req_v2` (linux/inet_diag.h).
fn request(family: u8, id: &[u8; ID]) -> Vec<u8> {
    let mut request = vec![family, TCP, 0, 0];
    request.extend(STATES.to_ne_bytes());
    request.extend(id);
    request
}

impl Socket {
    /// From a `struct inet_diag_msg`.
    fn parse(message: &[u8]) -> Option<Self> {
        let id = message.get(4..)?.first_chunk()?;
        let inode = message.get(INODE..)?.first_chunk()?;
        Some(Self { family: *message.first()?, id: *id, inode: u32::from_ne_bytes(*inode) })
    }

    const fn port(&self) -> u16 {
        u16::from_be_bytes([self.id[0], self.id[1]])
    }

    fn peer(&self) -> Option<Peer> {
        let address = self.id.get(20..36)?;
        let ip = match self.family {
            IPV4 => IpAddr::from(*address.first_chunk::<4>()?),
            IPV6 => IpAddr::from(*address.first_chunk::<16>()?).to_canonical(),
            _ => return None,
        };
        Some(Peer(SocketAddr::new(ip, u16::from_be_bytes([self.id[2], self.id[3]]))))
    }

    /// Ends it; whether it was still there.
    fn destroy(&self) -> io::Result<bool> {
        let request = request(self.family, &self.id);
        match netlink::ask(Some(SOCK_DIAG), DESTROY, ACKNOWLEDGE, &request, |_| {}) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => Ok(false),
            done => done.map(|()| true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
    };

    #[test]
    fn sessions_are_listed_with_their_ports_and_peers() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (port, peer) =
                (listener.local_addr().unwrap().port(), client.local_addr().unwrap());
            let is_it =
                |socket: &Socket| (socket.port(), socket.peer()) == (port, Some(Peer(peer)));
            let found = sockets().unwrap();
            // Whose other end nobody has accepted yet.
            assert_eq!(found.iter().filter(|socket| is_it(socket)).count(), 1, "{ip}");
            let (far, _) = listener.accept().unwrap();
            let accepted = fs::read_link(format!("/proc/self/fd/{}", far.as_raw_fd()));
            let found = sockets().unwrap().into_iter().find(|socket| is_it(socket)).unwrap();
            let inode = format!("socket:[{}]", found.inode);
            assert_eq!(accepted.unwrap().to_str(), Some(inode.as_str()));
            let listens =
                |socket: &Socket| socket.port() == port && socket.peer().unwrap().0.port() == 0;
            assert!(!sockets().unwrap().iter().any(listens), "the listener is no session");
        }
    }

    #[test]
    fn a_kernel_that_cannot_do_it_is_named_with_another_way() {
        let ports = ["udp/53", "tcp/22"].map(|port| port.parse().unwrap());
        for (errno, said) in [(Errno::OPNOTSUPP, "sport = :22"), (Errno::PERM, "as root")] {
            let error = failure(errno.into(), &ports).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
