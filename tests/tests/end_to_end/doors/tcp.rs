//! What TCP can do besides the ordinary, through a door.

use std::{
    io::{self, Read},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, sendto,
        setsockopt, socket,
        sockopt::{Linger, ReuseAddr, SendTimeout},
    },
    time::TimeVal,
};
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    namespace::Namespace,
    network::Family,
    raw::{Ip, number::TCP, tcp as segment},
    tcp::{
        counter, state,
        state::{CLOSING, TIME_WAIT},
    },
    wait,
};

use super::site::{ANSWER, LONG, PORT, Session, Site, behind, options};
use crate::sshd::run;

const ACK: u8 = 0x10;

/// A lease that has ended, and may be long past.
const LONGER: Duration = Duration::from_secs(2 * 60 * 60);

/// A door with a server that has these kernel parameters.
fn site(settings: &[(&str, &str)]) -> Site {
    Site::prepared(&options(LONG, ""), |lab| lab.network.server.sysctl(settings))
}

/// A socket that has not been connected yet, and waits so long for it.
fn new_socket(family: Family, patience: Duration) -> OwnedFd {
    let kind = if family == Family::V4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(kind, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let patience = TimeVal::new(0, patience.as_micros().try_into().unwrap());
    setsockopt(&socket, SendTimeout, &patience).unwrap();
    socket
}

/// Connects from a port of the test's choice.
fn connect_from(host: &Namespace, port: u16, to: SocketAddr) -> nix::Result<TcpStream> {
    host.enter(|| {
        let family = Family::of(to.ip());
        let socket = new_socket(family, ANSWER);
        setsockopt(&socket, ReuseAddr, &true)?;
        let from = SocketAddr::from((family.unspecified(), port));
        bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
        Ok(socket.into())
    })
}

#[track_caller]
fn wait_for(host: &Namespace, local: SocketAddr, remote_port: u16, expected: &str) {
    wait::until(&format!("state {expected}"), || {
        (state(host, local, remote_port).as_deref() == Some(expected)).then_some(())
    });
}

#[track_caller]
fn expect_end(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0, "not the end");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_handshake_by_syn_cookie_completes_and_a_forged_one_does_not_reach_the_listener() {
    let mut site = site(&[("ipv4/tcp_syncookies", "2")]);
    let cookies = |site: &Site| {
        ["Sent", "Recv", "Failed"]
            .map(|what| counter(&site.lab.network.server, &format!("TcpExtSyncookies{what}")))
    };
    for (family, done) in Family::BOTH.into_iter().zip(0..) {
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |lab| {
            let ack = segment(family, 4000, PORT, ACK);
            lab.send_frame(&Ip::new(family, TCP, ack).frame());
        });
        site.expect_closed(family);
        assert_eq!(cookies(&site), [done, done, 0]);
        site.open(family);
        let mut session = site.connect(family);
        assert_eq!(cookies(&site), [done + 1, done + 1, 0], "no cookie was used");
        session.expect_alive();
        site.let_time_pass(LONGER);
        site.expect_closed(family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn both_ends_close_at_once() {
    let mut site = Site::tcp(LONG);
    for family in Family::BOTH {
        site.open(family);
        let Session { mut near, mut far } = site.connect(family);
        site.close();
        let remote = far.peer_addr().unwrap().port();
        let host = &site.lab.network.server;
        let nft = |line: &str| run(host.command().arg("nft").args(line.split(' ')));
        // The server's FIN is lost, so that its next one crosses with what answers the client's.
        nft("add table inet lossy");
        nft("add chain inet lossy out { type filter hook output priority 0 ; }");
        nft("add rule inet lossy out tcp flags & fin == fin drop");
        far.shutdown(Shutdown::Write).unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        wait_for(host, behind(family), remote, CLOSING);
        nft("delete table inet lossy");
        expect_end(&mut near);
        expect_end(&mut far);
        wait_for(host, behind(family), remote, TIME_WAIT);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_reset_ends_a_session_from_either_side_and_the_port_is_closed_again() {
    let mut site = Site::tcp(LONG);
    for family in Family::BOTH {
        site.open(family);
        let [first, second] = [site.connect(family), site.connect(family)];
        site.close();
        let reset = libc::linger { l_onoff: 1, l_linger: 0 };
        for (by, mut other) in [(first.near, first.far), (second.far, second.near)] {
            let source = if by.peer_addr().unwrap().port() == PORT { &by } else { &other };
            let source = source.local_addr().unwrap().port();
            setsockopt(&by, Linger, &reset).unwrap();
            drop(by);
            other.set_read_timeout(Some(wait::DEADLINE)).unwrap();
            let error = other.read(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            // Nothing of it is left: another packet of the same addresses and ports finds no socket.
            site.lab.expect_verdict(Verdict::DoorClosed, 1, |lab| {
                let ack = segment(family, source, PORT, ACK);
                lab.send_frame(&Ip::new(family, TCP, ack).frame());
            });
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_ports_of_a_connection_can_be_used_again_only_under_a_lease() {
    let mut site = Site::tcp(LONG);
    for family in Family::BOTH {
        site.open(family);
        let Session { mut near, mut far } = site.connect(family);
        let port = near.local_addr().unwrap().port();
        // The end that ends first remembers the connection for a minute.
        far.shutdown(Shutdown::Write).unwrap();
        expect_end(&mut near);
        drop(near);
        expect_end(&mut far);
        let host = &site.lab.network.server;
        wait_for(host, behind(family), port, TIME_WAIT);
        site.close();
        let client = &site.lab.network.client;
        let closed = connect_from(client, port, behind(family)).expect_err("the door is open");
        assert_eq!(closed, nix::Error::EINPROGRESS);
        wait_for(host, behind(family), port, TIME_WAIT);
        site.open(family);
        let near = wait::until("the ports to be used again", || {
            connect_from(&site.lab.network.client, port, behind(family)).ok()
        });
        site.complete(near, family).expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn explicit_congestion_notification_is_agreed_on() {
    let mut site = site(&[("ipv4/tcp_ecn", "1")]);
    site.lab.network.client.sysctl(&[("ipv4/tcp_ecn", "1")]);
    for family in Family::BOTH {
        site.expect_closed(family);
        site.open(family);
        let mut session = site.connect(family);
        session.expect_alive();
        site.let_time_pass(LONGER);
        session.expect_alive();
        // Both ends mark what they send as capable of it (RFC 3168, section 5).
        let name = if family == Family::V4 { "IpExtInECT0Pkts" } else { "Ip6InECT0Pkts" };
        for host in [&site.lab.network.client, &site.lab.network.server] {
            assert!(counter(host, name) > 0, "not agreed on");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn data_in_a_syn_arrive_under_a_lease_alone() {
    // Numbers: Documentation/networking/ip-sysctl.rst. Any listener takes data in a SYN, without a cookie.
    let mut site = site(&[("ipv4/tcp_fastopen", "1539")]);
    site.lab.network.client.sysctl(&[("ipv4/tcp_fastopen", "5")]);
    for (family, done) in Family::BOTH.into_iter().zip(1..) {
        let send = |host: &Namespace| {
            host.enter(|| {
                let socket = new_socket(family, ANSWER);
                let to = SockaddrStorage::from(behind(family));
                let fast = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
                sendto(socket.as_raw_fd(), b"early", &to, fast).map(|_| TcpStream::from(socket))
            })
        };
        site.open(family);
        let near = send(&site.lab.network.client).unwrap();
        let mut session = site.complete(near, family);
        let mut early = [0; 5];
        session.far.read_exact(&mut early).unwrap();
        assert_eq!(&early, b"early");
        let server = &site.lab.network.server;
        assert_eq!(counter(server, "TcpExtTCPFastOpenPassive"), done, "not in the SYN");
        session.expect_alive();
        site.close();
        let listener = site.listener(family);
        listener.set_nonblocking(true).unwrap();
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |lab| {
            _ = send(&lab.network.third);
        });
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(counter(server, "TcpExtTCPFastOpenPassive"), done);
        session.expect_alive();
    }
}
