//! What the kernel's own TCP sockets mean at a door: real ones, in a network namespace.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread,
};

use etherparse::PacketBuilder;
use ruroco_common::{
    doors::{HANDSHAKE_GRACE, Lease},
    verdict::Verdict::{self, DoorAdmitted, DoorClosed, DoorSession},
};
use ruroco_lab::{
    namespace::Namespace,
    packet_socket::Sender,
    tcp::{
        state::{SYN_RECV, TIME_WAIT},
        state_here,
    },
};

use super::fixture::{ACK, Doors, SECOND, SSH, SYN, WIDE, lease, now, source};
use crate::{
    OURS,
    frames::{DESTINATION_OPTIONS, Extension, Packet},
};

/// What the kernel has for addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    None,
    Listener,
    HalfOpen,
    Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Never,
    Running,
    JustEnded,
    LongEnded,
}

const TERMS: [Term; 4] = [Term::Never, Term::Running, Term::JustEnded, Term::LongEnded];

/// A host with the addresses of these tests, where nothing answers for others.
fn host() -> Namespace {
    let host = Namespace::new();
    host.ip("link add d0 type veth peer name d1\n\
         link set d0 up\nlink set d1 up\n\
         address add 192.0.2.1/32 dev lo\n\
         address add 2001:db8::1/128 dev lo nodad\n\
         route add 198.51.100.0/24 dev d0\n\
         route add 2001:db8::/64 dev d0\n\
         neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev d0\n\
         neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev d0");
    host.sysctl(&[("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/lo/rp_filter", "0")]);
    host
}

fn wait_for(local: SocketAddr, remote_port: u16, expected: &str) {
    while state_here(local, remote_port).as_deref() != Some(expected) {
        thread::yield_now();
    }
}

/// Sends a SYN with right checksums into the namespace, as if from outside.
fn send_syn(packet: &Packet) {
    let builder = PacketBuilder::ethernet2([0; 6], [0; 6]);
    let builder = match (packet.source, packet.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), 64),
        mixed => panic!("{mixed:?}"),
    };
    let builder = builder.tcp(packet.source_port, packet.destination_port, 7, 1000).syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    Sender::new("lo").send(&frame);
}

/// A packet to a listener from outside.
fn outside(destination: IpAddr, port: u16, source_port: u16) -> Packet {
    Packet { source_port, ..Packet::to(destination, port, b"payload ") }
}

/// A packet of a connection, to the end that was accepted.
fn of(server: &TcpStream) -> Packet {
    let (local, remote) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
    Packet {
        source: remote.ip().to_canonical(),
        source_port: remote.port(),
        ..Packet::to(local.ip().to_canonical(), local.port(), b"payload ")
    }
}

/// Both ends of a connection.
fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The rule, once more.
fn expected(flags: u8, socket: Socket, term: Term, limit: u32) -> Verdict {
    let starts = flags & 0x12 == 0x02;
    match (starts, socket, term) {
        (true, Socket::HalfOpen, Term::Running) if limit > 0 => DoorSession,
        (true, _, Term::Running) => DoorAdmitted,
        (true, ..) => DoorClosed,
        (false, Socket::None, _) => DoorClosed,
        (false, Socket::Listener, Term::Running | Term::JustEnded) => DoorSession,
        (false, Socket::Listener, Term::Never | Term::LongEnded) => DoorClosed,
        (false, Socket::HalfOpen | Socket::Connection, _) => DoorSession,
    }
}

fn grant(doors: &mut Doors, packet: &Packet, term: Term, limit: u32) {
    let door = if packet.destination_port == SSH { "ssh" } else { "wide" };
    let until = match term {
        Term::Never => 0,
        Term::Running => now() + 60 * SECOND,
        Term::JustEnded => now() - HANDSHAKE_GRACE / 2,
        Term::LongEnded => now() - HANDSHAKE_GRACE - SECOND,
    };
    let address = match (door, packet.source) {
        ("wide", IpAddr::V4(_)) => "198.51.100.0".to_owned(),
        ("wide", IpAddr::V6(_)) => "2001:db8::".to_owned(),
        _ => source(packet),
    };
    if term == Term::Never {
        doors.close(&address, door);
    } else {
        doors.put(&address, door, Lease { until, limit, ..lease() });
    }
}

/// All flags in each term of a lease.
fn compare(doors: &mut Doors, packet: &Packet, socket: Socket) {
    for term in TERMS {
        for limit in [0, 1] {
            for flags in 0..=u8::MAX {
                grant(doors, packet, term, limit);
                let packet = packet.clone().with_tcp(flags);
                let verdict = doors.judge(&packet);
                let expected = expected(flags, socket, term, limit);
                assert_eq!(verdict, expected, "{flags:#04x} {socket:?} {term:?} {limit}");
            }
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_combination_of_flags_is_judged_by_the_socket_and_the_lease() {
    let mut doors = Doors::all();
    host().enter(|| {
        for address in OURS {
            let listener = TcpListener::bind((address, SSH)).unwrap();
            compare(&mut doors, &outside(address, WIDE, 4000), Socket::None);
            compare(&mut doors, &outside(address, SSH, 4000), Socket::Listener);
            let (_client, server) = connect(&listener);
            compare(&mut doors, &of(&server), Socket::Connection);
            let half_open = outside(address, SSH, 5000);
            send_syn(&half_open);
            wait_for((address, SSH).into(), 5000, SYN_RECV);
            compare(&mut doors, &half_open, Socket::HalfOpen);
            assert_eq!(state_here((address, SSH).into(), 5000).as_deref(), Some(SYN_RECV));
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_connection_lasts_until_the_kernel_has_forgotten_it() {
    let mut doors = Doors::all();
    host().enter(|| {
        for address in OURS {
            let listener = TcpListener::bind((address, SSH)).unwrap();
            let (client, server) = connect(&listener);
            let packet = of(&server);
            let ack = packet.clone().with_tcp(ACK);
            doors.expect(&ack, DoorSession);
            // The end that ends first keeps it for a minute.
            server.shutdown(std::net::Shutdown::Write).unwrap();
            doors.expect(&ack, DoorSession);
            drop(client);
            drop(server);
            wait_for((address, SSH).into(), packet.source_port, TIME_WAIT);
            compare(&mut doors, &packet, Socket::Connection);
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_listener_for_both_families_is_found_in_both() {
    host().enter(|| {
        let listener = TcpListener::bind(("::", SSH)).unwrap();
        let mut doors = Doors::all();
        for address in OURS {
            let client = TcpStream::connect((address, SSH)).unwrap();
            let (server, _) = listener.accept().unwrap();
            doors.expect(&of(&server).with_tcp(ACK), DoorSession);
            let new = outside(address, SSH, 4000);
            doors.expect(&new.clone().with_tcp(ACK), DoorClosed);
            grant(&mut doors, &new, Term::JustEnded, 0);
            doors.expect(&new.with_tcp(ACK), DoorSession);
            drop(client);
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_handshake_with_a_cookie_has_no_socket_and_needs_the_lease() {
    let host = host();
    host.sysctl(&[("ipv4/tcp_syncookies", "2")]);
    let mut doors = Doors::all();
    host.enter(|| {
        for address in OURS {
            let listener = TcpListener::bind((address, SSH)).unwrap();
            let packet = outside(address, SSH, 6000);
            send_syn(&packet);
            compare(&mut doors, &packet, Socket::Listener);
            assert_eq!(state_here((address, SSH).into(), 6000), None);
            // What such a handshake has led to is a connection like others.
            let (_client, server) = connect(&listener);
            compare(&mut doors, &of(&server), Socket::Connection);
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn sockets_are_those_of_the_namespace_in_which_the_packet_arrives() {
    let (host, other) = (host(), host());
    let (mut doors, packet, _ends) = host.enter(|| {
        let listener = TcpListener::bind((OURS[0], SSH)).unwrap();
        let (client, server) = connect(&listener);
        let packet = of(&server).with_tcp(ACK);
        let mut doors = Doors::all();
        doors.expect(&packet, DoorSession);
        // On a certain interface of this namespace, which is the loopback interface.
        assert_eq!(doors.kernel.judge_from(&packet.to_frame(), Some(1)), DoorSession);
        (doors, packet, (client, server, listener))
    });
    other.enter(|| {
        doors.expect(&packet, DoorClosed);
        assert_eq!(doors.kernel.judge_from(&packet.to_frame(), Some(1)), DoorClosed);
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_socket_is_found_for_the_very_addresses_and_ports_of_a_packet() {
    let mut doors = Doors::all();
    host().enter(|| {
        for address in OURS {
            let listener = TcpListener::bind((address, SSH)).unwrap();
            let (_client, server) = connect(&listener);
            let good = of(&server).with_tcp(ACK);
            for extensions in [vec![], vec![Extension::Common(DESTINATION_OPTIONS, 2); 3]] {
                let extensions = if address.is_ipv6() { extensions } else { Vec::new() };
                let vlan_tags = vec![0x8100];
                doors.expect(&Packet { extensions, vlan_tags, ..good.clone() }, DoorSession);
            }
            let other = Packet::to(address, SSH, b"").source;
            doors.expect(&Packet { source: other, ..good.clone() }, DoorClosed);
            for bit in 0..16 {
                let source_port = good.source_port ^ 1 << bit;
                doors.expect(&Packet { source_port, ..good.clone() }, DoorClosed);
            }
            let extra = super::fixture::EXTRA[usize::from(address.is_ipv6())];
            doors.expect(&Packet { destination: extra, ..good.clone() }, DoorClosed);
            // Another door of the same host.
            doors.expect(&Packet { destination_port: WIDE, ..good.clone() }, DoorClosed);
            let syn = good.with_tcp(SYN);
            doors.expect(&syn, DoorClosed);
        }
    });
}
