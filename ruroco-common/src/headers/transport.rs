//! UDP and TCP, both of which begin with two ports.

use crate::address::Address;

use super::{
    Addresses, Content, Cursor, Fault, Frame, Packet, Ports, Protocol, Scope, Tcp, UDP_HEADER_SIZE,
    Udp,
};

/// In units of 4 bytes.
const LEAST_TCP_HEADER: u8 = 5;

impl<C: Cursor> Packet<C> {
    /// What is in it, according to the last header that was followed.
    #[inline(always)]
    pub fn content(&self) -> Content {
        self.place.marks.content()
    }

    /// Source and destination. No IPv6 packet comes from or goes to an IPv4-mapped address, and what is compared with one
    /// later is the address of an IPv4 host: then the packet is of no interest.
    #[inline(always)]
    pub fn addresses(&self) -> Option<Addresses> {
        let network = self.place.network;
        if self.place.marks.is_ipv6() {
            let mut at = self.frame.part(network.wrapping_add(8), 32)?;
            let source = Address::from_bytes(at.take()?);
            let destination = Address::from_bytes(at.take()?);
            (!source.is_ipv4() && !destination.is_ipv4())
                .then_some(Addresses { source, destination })
        } else {
            let mut at = self.frame.part(network.wrapping_add(12), 8)?;
            let source = Address::from_ipv4(at.take()?);
            let destination = Address::from_ipv4(at.take()?);
            Some(Addresses { source, destination })
        }
    }

    /// The ports of TCP or UDP, unless the packet ends before them.
    #[inline(always)]
    pub fn ports(&self) -> Option<Ports> {
        let [s0, s1, d0, d1, ..] = self.header()?.take::<8>()?;
        Some(Ports {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
        })
    }

    /// Whether a packet that ends before its ports continues in another fragment. The stack discards it if it is whole, or an
    /// IPv4 fragment of less than 8 bytes.
    #[inline(always)]
    pub const fn may_have_ports_elsewhere(&self) -> bool {
        self.place.marks.more_fragments() && self.place.marks.is_ipv6()
    }

    /// Stands at the first byte of the TCP or UDP header.
    #[inline(always)]
    pub fn header(&self) -> Option<C> {
        self.frame.part(self.place.transport, self.place.length)
    }

    /// The length in a UDP header (RFC 768), of header and payload, unless the packet ends before it. The caller reads it
    /// before it looks for a fault: otherwise the compiler compares a length that was never read, which the BPF verifier of
    /// Linux 5.10 rejects.
    #[inline(always)]
    pub fn udp_length(&self) -> Option<u16> {
        let [_, _, _, _, l0, l1, _, _] = self.header()?.take::<8>()?;
        Some(u16::from_be_bytes([l0, l1]))
    }

    /// The payload of UDP with this length in its header, or the fault in the headers.
    #[inline(always)]
    pub fn payload(&self, length: u16) -> Result<C, Fault> {
        if self.place.marks.is_fragment() {
            return Err(Fault::Fragment);
        }
        if length < UDP_HEADER_SIZE || usize::from(length) != self.place.length {
            return Err(Fault::Malformed);
        }
        let mut start = self.header().ok_or(Fault::Malformed)?;
        start.take::<8>().ok_or(Fault::Malformed)?;
        Ok(start)
    }

    /// The control bits of TCP from CWR to FIN (RFC 9293, section 3.1).
    #[inline(always)]
    pub fn flags(&self) -> Flags {
        let Some(mut at) = self.header() else { return Flags::Discarded };
        if self.more_fragments() {
            // The stack takes a multiple of 8 bytes from a first fragment.
            return match at.take::<16>() {
                Some([_, _, _, _, _, _, _, _, _, _, _, _, _, flags, ..]) => Flags::Read(flags),
                None => Flags::Elsewhere,
            };
        }
        let Some([_, _, _, _, _, _, _, _, _, _, _, _, offset, flags, ..]) = at.take::<20>() else {
            return Flags::Discarded;
        };
        let words = offset >> 4;
        if words < LEAST_TCP_HEADER || usize::from(words) << 2 > self.place.length {
            return Flags::Discarded;
        }
        Flags::Read(flags)
    }

    /// Whether it is the first of several fragments.
    #[inline(always)]
    pub const fn more_fragments(&self) -> bool {
        self.place.marks.more_fragments()
    }

    /// Whether there is nothing between IP header and TCP header, neither options nor extension headers.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.place.marks.is_plain()
    }

    /// All that is in it; `None` if the stack finds no port.
    pub(super) fn open(&self, scope: Scope) -> Option<Frame<C>> {
        let addresses = self.addresses()?;
        let destination = addresses.destination;
        let portless = |protocol| Some(Frame::Portless { destination, protocol });
        let protocol = match self.content() {
            Content::Udp => Protocol::Udp,
            Content::Tcp => Protocol::Tcp,
            Content::Endless => return Some(Frame::Endless { destination }),
            Content::Incomplete => return Some(Frame::Incomplete { destination }),
            Content::PortlessTcp => return portless(Protocol::Tcp),
            Content::PortlessUdp => return portless(Protocol::Udp),
        };
        let Some(ports) = self.ports() else {
            let is_needed = scope == Scope::UdpAndTcp && self.may_have_ports_elsewhere();
            return if is_needed { portless(protocol) } else { None };
        };
        if protocol == Protocol::Udp {
            let length = self.udp_length()?;
            let payload = self.payload(length);
            return Some(Frame::Udp(Udp { addresses, ports, length, payload }));
        }
        let flags = match self.flags() {
            Flags::Discarded => return None,
            Flags::Elsewhere => None,
            Flags::Read(flags) => Some(flags),
        };
        Some(Frame::Tcp(Tcp {
            addresses,
            ports,
            flags,
            more_fragments: self.more_fragments(),
            is_plain: self.is_plain(),
            header: self.header()?,
        }))
    }
}

/// What can be read of the control bits of a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flags {
    /// From CWR to FIN.
    Read(u8),
    /// They are in a later fragment.
    Elsewhere,
    /// The segment is shorter than its header: the stack discards it.
    Discarded,
}
