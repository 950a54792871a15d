//! An ordinary UDP socket, for hosts without XDP: the server's own, or a socket passed by systemd.

use ruroco_daemon::clock::Now;
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::{Context, ensure};
use listenfd::ListenFd;
use ruroco_common::{
    address::Address,
    candidate::Candidate,
    datagram::{self, Datagram},
};
use ruroco_config::Config;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use zerocopy::FromBytes;

use super::{Arrival, Source};
use crate::refusal::Refusal;

/// One byte more than a datagram has, so that a longer one shows instead of being cut to size.
const BUFFER_SIZE: usize = datagram::SIZE + 1;

/// Candidates from a UDP socket.
#[derive(Debug)]
pub(super) struct UdpSource {
    socket: UdpSocket,
    /// The port, if systemd has opened it.
    passed_port: Option<u16>,
}

impl UdpSource {
    /// Takes the socket that systemd has passed (`LISTEN_FDS`), or binds one of its own.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let mut passed = ListenFd::from_env();
        ensure!(
            passed.len() <= 1,
            "systemd has passed {count} sockets, but the server reads only one. Check `systemctl cat \
            ruroco-udp.socket`: in a drop-in, ListenDatagram= adds a socket unless an empty ListenDatagram= comes \
            before it",
            count = passed.len(),
        );
        let passed = passed
            .take_udp_socket(0)
            .context("systemd has passed a socket that is not a UDP socket")?;
        let is_passed = passed.is_some();
        let socket = match passed {
            Some(socket) => socket,
            None => bind(config.listen).with_context(|| {
                format!(
                    "could not bind the UDP socket {}. A port below 1024 needs a socket passed by systemd \
                    (ListenDatagram=) or CAP_NET_BIND_SERVICE; an IPv6 address needs IPv6 on this host",
                    config.listen
                )
            })?,
        };
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let passed_port = is_passed.then_some(address.port());
        if let Some(problem) = passed_port.and_then(|port| config.check_passed_socket(port)) {
            return Err(problem.into());
        }
        warn_of_deafness(&socket, address, is_passed, &config.addresses)?;
        tracing::info!(source = %"udp", %address, "ready");
        Ok(Self { socket, passed_port })
    }
}

impl Source for UdpSource {
    fn next(&mut self, now: Now) -> anyhow::Result<Option<Arrival>> {
        let mut buffer = [0; BUFFER_SIZE];
        let (length, sender) = match self.socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if is_passing(&error) => return Ok(None),
            Err(error) => return Err(error).context("the UDP socket is broken"),
        };
        let datagram = Datagram::read_from_bytes(buffer.get(..length).unwrap_or_default());
        let candidate = datagram.map(|datagram| candidate(now, sender, datagram));
        Ok(Some(Arrival::Candidate(candidate.map_err(|_| Refusal::WrongLength))))
    }

    fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [None, Some(self.socket.as_fd())]
    }

    fn network_socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn passed_port(&self) -> Option<u16> {
        self.passed_port
    }
}

/// A socket at this address; one for IPv6 receives IPv4 as well, whatever `net.ipv6.bindv6only` says.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    net::bind(&socket, &address)?;
    Ok(socket.into())
}

/// Warns if clients send to addresses of a family that the socket does not receive.
fn warn_of_deafness(
    socket: &UdpSocket,
    address: SocketAddr,
    is_passed: bool,
    ips: &[Address],
) -> io::Result<()> {
    let is_deaf_to: fn(&Address) -> bool = match address {
        SocketAddr::V4(_) => |ip| !ip.is_ipv4(),
        SocketAddr::V6(_) if sockopt::ipv6_v6only(socket)? => |ip| ip.is_ipv4(),
        SocketAddr::V6(_) => |_| false,
    };
    let Some(ip) = ips.iter().find(|ip| is_deaf_to(ip)) else { return Ok(()) };
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let port = address.port();
    let remedy = if is_passed {
        format!(
            "let systemd open one socket for both families: run `systemctl edit ruroco-udp.socket`, and write below \
            [Socket] BindIPv6Only=both, an empty ListenDatagram=, and ListenDatagram=[::]:{port}"
        )
    } else {
        "set listen = \"::\", which receives both families".to_owned()
    };
    tracing::warn!(
        "the socket at {address} receives no {family}, so no knock to {ip} (`addresses`) arrives; {remedy}"
    );
    Ok(())
}

/// What XDP would have written, as far as a socket tells: neither destination nor interface.
fn candidate(now: Now, sender: SocketAddr, datagram: Datagram) -> Candidate {
    Candidate {
        received_at: u64::try_from(now.boot.as_nanos()).unwrap_or(u64::MAX),
        source: Address::from(sender.ip()),
        destination: Address::UNSPECIFIED,
        interface: 0,
        source_port: sender.port(),
        destination_port: 0,
        datagram,
        padding: [0; 2],
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused
    )
}
