//! UDP and TCP, both of which begin with two ports.

use super::{Cursor, Envelope, Fault, Frame, Protocol, Scope, Tcp, UDP_HEADER_SIZE, Udp};

/// In units of 4 bytes.
const LEAST_TCP_HEADER: u8 = 5;

/// The first 8 bytes of either.
struct Start {
    source_port: u16,
    destination_port: u16,
    /// The length of UDP.
    length: u16,
    /// From the first of these bytes to the end of the packet.
    left: usize,
}

/// Reads the header of the protocol that an IP header, or the last extension header, announces.
#[inline(always)]
pub(super) fn header<C: Cursor>(
    mut at: C,
    scope: Scope,
    protocol: Protocol,
    envelope: &Envelope,
) -> Frame<C> {
    at.settle();
    let (header, left) = (at, at.remaining());
    let Some([s0, s1, d0, d1, l0, l1, _, _]) = at.take::<8>() else {
        return match scope {
            Scope::Udp => Frame::Other,
            Scope::UdpAndTcp => without_ports(protocol, envelope),
        };
    };
    let start = Start {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        length: u16::from_be_bytes([l0, l1]),
        left,
    };
    match protocol {
        Protocol::Udp => udp(at, &start, envelope),
        Protocol::Tcp => tcp(header, at, &start, envelope),
    }
}

/// What a packet is that ends before its ports: the stack discards it if it is whole, or an IPv4 fragment of less
/// than 8 bytes.
#[inline(always)]
const fn without_ports<C>(protocol: Protocol, envelope: &Envelope) -> Frame<C> {
    if envelope.more_fragments && !envelope.destination.is_ipv4() {
        Frame::Portless { destination: envelope.destination, protocol }
    } else {
        Frame::Other
    }
}

/// RFC 768.
#[inline(always)]
fn udp<C: Cursor>(at: C, start: &Start, envelope: &Envelope) -> Frame<C> {
    let payload = if envelope.is_fragment {
        Err(Fault::Fragment)
    } else if start.length >= UDP_HEADER_SIZE && usize::from(start.length) == start.left {
        Ok(at)
    } else {
        Err(Fault::Malformed)
    };
    Frame::Udp(Udp {
        source: envelope.source,
        destination: envelope.destination,
        source_port: start.source_port,
        destination_port: start.destination_port,
        length: start.length,
        payload,
    })
}

/// Flags that are in a later fragment.
const UNREADABLE: u16 = 0x100;

/// A number after all paths to it have met. Otherwise, the compiler makes `None` of it on some of them, with a payload that
/// is what a register happens to hold, and the kernel's verifier rejects arithmetic with pointers.
#[inline(always)]
fn met(number: u16) -> u16 {
    if cfg!(target_arch = "bpf") { core::hint::black_box(number) } else { number }
}

/// RFC 9293, section 3.1.
#[inline(always)]
fn tcp<C: Cursor>(header: C, at: C, start: &Start, envelope: &Envelope) -> Frame<C> {
    let flags = if !envelope.more_fragments {
        // The stack discards a segment that is shorter than its header.
        let Some(flags) = flags_of_whole(at, start.left) else { return Frame::Other };
        flags.into()
    } else if start.left >= 16 {
        flags_of_piece(at).map_or(UNREADABLE, u16::from)
    } else {
        // The stack takes a multiple of 8 bytes from a first fragment, so these flags are in the next.
        UNREADABLE
    };
    let flags = u8::try_from(met(flags)).ok();
    Frame::Tcp(Tcp {
        source: envelope.source,
        destination: envelope.destination,
        source_port: start.source_port,
        destination_port: start.destination_port,
        flags,
        more_fragments: envelope.more_fragments,
        is_plain: envelope.is_plain,
        header,
    })
}

#[inline(always)]
fn flags_of_whole<C: Cursor>(mut at: C, left: usize) -> Option<u8> {
    let [_, _, _, _, offset, flags, ..] = at.take::<12>()?;
    let words = offset >> 4;
    (words >= LEAST_TCP_HEADER && usize::from(words) << 2 <= left).then_some(flags)
}

#[inline(always)]
fn flags_of_piece<C: Cursor>(mut at: C) -> Option<u8> {
    let [_, _, _, _, _, flags, ..] = at.take::<8>()?;
    Some(flags)
}
