//! Frames written byte by byte, so that any field can lie: what a library that lays out headers would
//! not write.

use std::net::{IpAddr, SocketAddr};

use crate::network::{CLIENT, CLIENT_MAC, Family, SERVER, SERVER_MAC};

/// Next header and protocol numbers.
#[allow(missing_docs, reason = "each is named as in IANA's list")]
pub mod number {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const ESP: u8 = 50;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const MOBILITY: u8 = 135;
    pub const UDP_LITE: u8 = 136;
    pub const HOST_IDENTITY: u8 = 139;
    pub const SHIM6: u8 = 140;
}

/// An IP packet from the client to the server. Everything that is not set is as it should be.
#[derive(Clone, Debug)]
pub struct Ip {
    /// Source address.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// Protocol, or next header.
    pub next: u8,
    /// What follows the header and its options.
    pub body: Vec<u8>,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// By how much the length field is wrong.
    pub length_lie: i32,
    /// Version and header length of IPv4, or version of IPv6.
    pub first_byte: Option<u8>,
    /// IPv4: options, a multiple of 4 bytes.
    pub options: Vec<u8>,
    /// IPv4: flags and offset.
    pub fragment: u16,
    /// IPv4: identification.
    pub identification: u16,
}

impl Ip {
    /// From the client to the server.
    pub fn new(family: Family, next: u8, body: Vec<u8>) -> Self {
        Self {
            source: CLIENT.of(family),
            destination: SERVER.of(family),
            next,
            body,
            ttl: 64,
            length_lie: 0,
            first_byte: None,
            options: Vec::new(),
            fragment: 0,
            identification: 0,
        }
    }

    /// The frame.
    ///
    /// # Panics
    /// If it is too long to be a packet.
    pub fn frame(&self) -> Vec<u8> {
        let kind = if self.destination.is_ipv4() { 0x0800 } else { 0x86dd };
        ethernet(kind, &self.packet())
    }

    fn packet(&self) -> Vec<u8> {
        let (size, first) = match self.destination {
            IpAddr::V4(_) => (20 + self.options.len(), 0x45),
            IpAddr::V6(_) => (0, 0x60),
        };
        let truth = i32::try_from(size + self.body.len()).expect("it fits into a packet");
        let length = u16::try_from(truth + self.length_lie).expect("it fits into a packet");
        let first = self
            .first_byte
            .unwrap_or(first + u8::try_from(self.options.len() / 4).expect("at most 10"));
        let mut packet = vec![first, 0];
        match self.destination {
            IpAddr::V4(_) => {
                packet.extend(length.to_be_bytes());
                packet.extend(self.identification.to_be_bytes());
                packet.extend(self.fragment.to_be_bytes());
                packet.extend([self.ttl, self.next, 0, 0]);
                packet.extend(octets(self.source));
                packet.extend(octets(self.destination));
                packet.extend(&self.options);
                let sum = checksum(&packet).to_be_bytes();
                packet[10..12].copy_from_slice(&sum);
            }
            IpAddr::V6(_) => {
                packet.extend([0, 0]);
                packet.extend(length.to_be_bytes());
                packet.extend([self.next, self.ttl]);
                packet.extend(octets(self.source));
                packet.extend(octets(self.destination));
            }
        }
        packet.extend(&self.body);
        packet
    }
}

/// A frame from the client to the server.
pub fn ethernet(kind: u16, content: &[u8]) -> Vec<u8> {
    [&SERVER_MAC[..], &CLIENT_MAC, &kind.to_be_bytes(), content].concat()
}

/// The bytes of an address.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A UDP datagram from client to server with a right checksum.
///
/// # Panics
/// If it is too long.
pub fn udp(family: Family, source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let (from, to) = hosts(family);
    udp_between((from, source_port).into(), (to, port).into(), payload)
}

/// The same between any two sockets.
///
/// # Panics
/// If it is too long.
pub fn udp_between(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("it fits into a datagram");
    let header = [from.port(), to.port(), length, 0].map(u16::to_be_bytes);
    let content = [header.as_flattened(), payload].concat();
    with_checksum_between((from.ip(), to.ip()), number::UDP, 6, content)
}

/// A TCP segment from client to server without content, with these flags.
pub fn tcp(family: Family, source_port: u16, port: u16, flags: u8) -> Vec<u8> {
    let (from, to) = hosts(family);
    tcp_between((from, source_port).into(), (to, port).into(), 7, flags, &[])
}

/// A TCP segment between any two sockets, with this sequence number and content.
pub fn tcp_between(
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let ports = [from.port(), to.port()].map(u16::to_be_bytes);
    let rest = [0, 0, 0, 9, 0x50, flags, 4, 0, 0, 0, 0, 0];
    let content = [ports.as_flattened(), &sequence.to_be_bytes(), &rest, payload].concat();
    with_checksum_between((from.ip(), to.ip()), number::TCP, 16, content)
}

/// Client and server.
fn hosts(family: Family) -> (IpAddr, IpAddr) {
    (CLIENT.of(family), SERVER.of(family))
}

/// An ICMP message of the family's version, with these four bytes behind the checksum.
pub fn icmp(family: Family, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let message = [&[kind, code, 0, 0][..], rest].concat();
    match family {
        Family::V4 => {
            let sum = checksum(&message).to_be_bytes();
            [&[kind, code][..], &sum, rest].concat()
        }
        Family::V6 => with_checksum(family, number::ICMPV6, 2, message),
    }
}

/// Writes the checksum over pseudo header and content into the content, from client to server.
///
/// # Panics
/// If there is no room for it.
pub fn with_checksum(family: Family, protocol: u8, at: usize, content: Vec<u8>) -> Vec<u8> {
    with_checksum_between(hosts(family), protocol, at, content)
}

fn with_checksum_between(
    (from, to): (IpAddr, IpAddr),
    protocol: u8,
    at: usize,
    mut content: Vec<u8>,
) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("it fits into a packet").to_be_bytes();
    let (source, destination) = (octets(from), octets(to));
    let pseudo = [&source[..], &destination, &length, &[0, 0, 0, protocol], &content].concat();
    let sum = match checksum(&pseudo) {
        0 if protocol == number::UDP => 0xffff,
        sum => sum,
    };
    content[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    content
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)])));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

/// An IPv6 extension header in the common format with these options, padded as RFC 8200 demands.
///
/// # Panics
/// If it is too long.
pub fn options(next: u8, options: &[u8]) -> Vec<u8> {
    let mut header = [&[next, 0][..], options].concat();
    match (8 - header.len() % 8) % 8 {
        0 => {}
        1 => header.push(0),
        more => {
            let zeros = more - 2;
            header.extend([1, u8::try_from(zeros).expect("less than 6")]);
            header.resize(header.len() + zeros, 0);
        }
    }
    header[1] = u8::try_from(header.len() / 8 - 1).expect("at most 2048 bytes");
    header
}

/// A routing header of a type with so many segments left.
pub fn routing(next: u8, kind: u8, left: u8) -> Vec<u8> {
    [&[next, 2, kind, left, 0, 0, 0, 0][..], &SERVER.v6.octets()].concat()
}

/// A fragment header.
pub fn fragment(next: u8, offset_and_flags: u16, identification: u32) -> Vec<u8> {
    [&[next, 0][..], &offset_and_flags.to_be_bytes(), &identification.to_be_bytes()].concat()
}

/// An authentication header with a length field of its own.
pub fn authentication(next: u8, length: u8) -> Vec<u8> {
    let size = 4 * (usize::from(length) + 2);
    let mut header = vec![next, length, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1];
    header.resize(size.max(12), 0xa5);
    header
}

/// So many headers with destination options, then one that leads to `last`.
pub fn chain(count: usize, last: u8) -> Vec<u8> {
    let before =
        std::iter::repeat_n(options(number::DESTINATION_OPTIONS, &[]), count.saturating_sub(1));
    before.chain([options(last, &[])]).flatten().collect()
}
