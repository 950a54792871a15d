//! Finds the UDP payload or the TCP ports in an Ethernet frame, or reports why it has none.
//!
//! Written once, for the kernel and for the host: the parser sees a frame only through a
//! [`Cursor`], which in the XDP program is a pointer checked against `data_end` and in tests a
//! slice. It keeps the header values it needs and no state, and every loop has a fixed bound, as
//! the BPF verifier requires.
//!
//! The parser answers one question: to which port would Linux deliver this packet? It therefore
//! follows a packet exactly as far as the kernel's IP stack does, and calls everything else
//! [`Frame::Other`], so that the stack can answer it as on a host without a gate:
//!
//! - The packet ends where its IP header says. What follows in the frame is padding.
//! - Headers that the stack does not step over lead to no port: hop-by-hop options anywhere but
//!   first, a second fragment header, mobility, host identity, shim6, and authentication headers,
//!   which it reads only for an IPsec peer.
//! - An IP header of another version, or a header that promises more than the frame has, is discarded.
//! - A header that is cut off leads to no port either, because a packet has no more bytes than
//!   these. The exception is the first of several fragments, see [`Frame::Incomplete`].
//!
//! A host without doors has no use for TCP. Its program parses with [`Scope::Udp`], to which TCP is one of the other
//! protocols, and spends no time on it.
//!
//! Checksums are not verified: an attacker can always make them right, and the AEAD tag
//! authenticates the payload.
//!
//! Where destination and port can be found, a fault in the packet does not end the parsing. It is
//! reported with them, because the first question is always whether the packet is for the gate.
//!
//! Rationale: decisions 0003, 0025 and 0035.

use crate::address::Address;

mod ethernet;
mod ip;
mod place;
mod transport;

pub use self::transport::Flags;

use self::place::Place;

/// VLAN tags that are followed: more than fit into a frame with the usual MTU of 1,500 bytes. Linux
/// removes any number of priority tags (VLAN 0).
pub const MAX_VLAN_TAGS: usize = 400;

/// IPv6 extension headers that are followed before a fragment header, and behind it: more than fit
/// into a packet of 1,500 bytes. Linux follows any number.
pub const MAX_EXTENSION_HEADERS: usize = 200;

/// Bytes of IPv6 extension headers that are followed before a fragment header, and behind it. The
/// BPF verifier needs to know how far a packet pointer moves.
pub const MAX_EXTENSION_BYTES: usize = 12_000;

/// Where the bytes lie. A cursor stands at a place in the frame and only moves forward.
pub trait Cursor: Copy {
    /// Reads the next `N` bytes and moves past them; `None`, and no move, if fewer are left.
    fn take<const N: usize>(&mut self) -> Option<[u8; N]>;

    /// Moves past `count` bytes, at most [`MAX_SKIP`]; `None`, and no move, if fewer are left.
    fn skip(&mut self, count: usize) -> Option<()>;

    /// How many bytes are left.
    fn remaining(&self) -> usize;

    /// Leaves only the next `count` bytes; `None`, and no change, if fewer are left.
    fn limit(&mut self, count: usize) -> Option<()>;

    /// The place so many bytes behind this one, of which only the next `length` bytes are left; `None` if there are
    /// fewer. Cursors may leave it to what is read there to find that out.
    fn part(self, offset: usize, length: usize) -> Option<Self>;

    /// The number, of which the compiler knows nothing from here on. This changes nothing for the parser. Where many paths
    /// meet, the compiler would otherwise have each of them go on by itself.
    #[inline(always)]
    fn met(number: usize) -> usize {
        number
    }

    /// Forgets how this place was reached. This changes nothing for the parser. The BPF verifier,
    /// which would otherwise follow every sequence of headers to its end, needs it wherever many
    /// paths meet.
    fn settle(&mut self) {}
}

/// The most that is ever skipped: what the longest IPv6 extension header has after its first 8
/// bytes (RFC 8200, section 4.3). The BPF verifier needs a bound.
pub const MAX_SKIP: usize = 255 * 8;

impl Cursor for &[u8] {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.split_first_chunk()?;
        *self = tail;
        Some(*head)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        *self = self.get(count..)?;
        Some(())
    }

    fn remaining(&self) -> usize {
        self.len()
    }

    fn limit(&mut self, count: usize) -> Option<()> {
        *self = self.get(..count)?;
        Some(())
    }

    fn part(self, offset: usize, length: usize) -> Option<Self> {
        self.get(offset..)?.get(..length)
    }
}

/// Which protocols the caller needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// UDP. TCP is [`Frame::Other`], and so is [`Frame::Portless`].
    Udp,
    /// UDP and TCP.
    UdpAndTcp,
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<C> {
    /// The stack finds no port in it, whatever follows: neither UDP nor TCP, a later fragment, or cut off.
    Other,
    /// More VLAN tags than [`MAX_VLAN_TAGS`], so that nothing is known about what they carry.
    Hidden,
    /// More extension headers than are followed, so that nothing is known about what they carry to
    /// `destination`.
    Endless {
        /// Destination address of the IP header.
        destination: Address,
    },
    /// The first of several fragments, with a chain of headers that continues in a later one: it
    /// may lead to any port of `destination`. RFC 7112 forbids such packets; Linux accepts them.
    Incomplete {
        /// Destination address of the IP header.
        destination: Address,
    },
    /// The first of several IPv6 fragments, with a chain of headers that leads to a protocol, the ports of which
    /// are in a later one. Linux accepts such packets before version 5.11.
    Portless {
        /// Destination address of the IP header.
        destination: Address,
        /// Where the chain leads.
        protocol: Protocol,
    },
    /// UDP with readable addresses and ports.
    Udp(Udp<C>),
    /// TCP with readable addresses and ports.
    Tcp(Tcp<C>),
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

/// Where a packet goes, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Source address of the IP header.
    pub source: Address,
    /// Destination address of the IP header.
    pub destination: Address,
}

/// The ports of UDP or TCP, in the byte order of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// A UDP packet, as its headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<C> {
    /// Of the IP header.
    pub addresses: Addresses,
    /// Of the UDP header.
    pub ports: Ports,
    /// Bytes of header and payload according to the UDP header; Ethernet padding is not among them.
    pub length: u16,
    /// Stands at the first byte of the payload, or is the fault in the headers. Without a fault, the headers agree with
    /// one another and with the frame.
    pub payload: Result<C, Fault>,
}

/// Bytes of a UDP header.
pub const UDP_HEADER_SIZE: u16 = 8;

/// A TCP segment, or the first of several fragments of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<C> {
    /// Of the IP header.
    pub addresses: Addresses,
    /// Of the TCP header.
    pub ports: Ports,
    /// The control bits from CWR to FIN (RFC 9293, section 3.1); `None` if they are in a later fragment.
    pub flags: Option<u8>,
    /// Whether it is the first of several fragments.
    pub more_fragments: bool,
    /// Whether there is nothing between IP header and TCP header, neither options nor extension headers.
    pub is_plain: bool,
    /// Stands at the first byte of the TCP header.
    pub header: C,
}

/// What can be wrong with a packet's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The UDP header contradicts the IP header.
    Malformed,
    /// One piece of a larger packet.
    Fragment,
}

/// What can be told of a frame from its headers up to the one with the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located<C> {
    /// As [`Frame::Other`]. A [`Packet`] may turn out to be no other thing.
    Other,
    /// As [`Frame::Hidden`].
    Hidden,
    /// An IP packet that may lead to a port.
    Packet(Packet<C>),
}

/// An IP packet that may lead to a port. What is in it is read when it is asked for: the answer to the first question,
/// to which port it goes, makes the others needless for nearly all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<C> {
    frame: C,
    place: Place,
}

/// What is in an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// As [`Frame::Endless`].
    Endless,
    /// As [`Frame::Incomplete`].
    Incomplete,
    /// As [`Frame::Portless`], of TCP.
    PortlessTcp,
    /// The same of UDP.
    PortlessUdp,
}

/// Follows the headers of a frame that begins with its Ethernet header.
#[inline(always)]
pub fn locate<C: Cursor>(frame: C, scope: Scope) -> Located<C> {
    let mut at = frame;
    let place = match ethernet::ethertype(&mut at) {
        Some(ethernet::IPV4) => ip::ipv4(frame, at, scope),
        Some(ethernet::IPV6) => ip::ipv6(frame, at, scope),
        Some(ethertype) if ethernet::is_vlan(ethertype) => return Located::Hidden,
        _ => None,
    };
    let Some(place) = place else { return Located::Other };
    Located::Packet(Packet { frame, place: place.met(C::met) })
}

/// Parses a frame that begins with its Ethernet header.
pub fn parse<C: Cursor>(frame: C, scope: Scope) -> Frame<C> {
    match locate(frame, scope) {
        Located::Other => Frame::Other,
        Located::Hidden => Frame::Hidden,
        Located::Packet(packet) => packet.open(scope).unwrap_or(Frame::Other),
    }
}

impl Scope {
    /// What is behind a header that announces this protocol.
    #[inline(always)]
    const fn content(self, protocol: u8) -> Option<Content> {
        match (protocol, self) {
            (UDP, _) => Some(Content::Udp),
            (TCP, Self::UdpAndTcp) => Some(Content::Tcp),
            _ => None,
        }
    }
}

const TCP: u8 = 6; // RFC 9293
const UDP: u8 = 17; // RFC 768
