//! UDP and TCP.

use super::{Cursor, Envelope, Fault, Frame, Payload, Protocol, Scope, Tcp, Udp};

const UDP_HEADER_SIZE: u16 = 8;

/// In units of 4 bytes.
const LEAST_TCP_HEADER: u8 = 5;

/// RFC 768.
#[inline(always)]
pub(super) fn udp<C: Cursor>(mut at: C, scope: Scope, envelope: &Envelope) -> Frame<C> {
    at.settle();
    let left = at.remaining();
    let Some([s0, s1, d0, d1, l0, l1, _, _]) = at.take::<8>() else {
        return match scope {
            Scope::Udp => Frame::Other,
            Scope::UdpAndTcp => without_ports(Protocol::Udp, envelope),
        };
    };
    let length = u16::from_be_bytes([l0, l1]);
    let payload = match length.checked_sub(UDP_HEADER_SIZE) {
        _ if envelope.is_fragment => Err(Fault::Fragment),
        Some(payload) if usize::from(length) == left => Ok(Payload { length: payload, start: at }),
        _ => Err(Fault::Malformed),
    };
    Frame::Udp(Udp {
        source: envelope.source,
        destination: envelope.destination,
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        payload,
    })
}

/// RFC 9293, section 3.1.
#[inline(always)]
pub(super) fn tcp<C: Cursor>(mut at: C, envelope: &Envelope) -> Frame<C> {
    at.settle();
    let start = if envelope.more_fragments { first_piece(&mut at) } else { whole(&mut at) };
    let Some((ports, flags)) = start else { return without_ports(Protocol::Tcp, envelope) };
    let [s0, s1, d0, d1] = ports;
    Frame::Tcp(Tcp {
        source: envelope.source,
        destination: envelope.destination,
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        flags,
        more_fragments: envelope.more_fragments,
    })
}

/// Both ports and the flags.
type Start = ([u8; 4], Option<u8>);

/// Of a segment that is in one packet. The stack discards a segment that is shorter than its header.
#[inline(always)]
fn whole<C: Cursor>(at: &mut C) -> Option<Start> {
    let left = at.remaining();
    let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, offset, flags, ..] = at.take::<20>()?;
    let words = offset >> 4;
    let is_whole = words >= LEAST_TCP_HEADER && usize::from(words) << 2 <= left;
    is_whole.then_some(([s0, s1, d0, d1], Some(flags)))
}

/// Of the first fragment of a segment, of which the stack takes a multiple of 8 bytes.
#[inline(always)]
fn first_piece<C: Cursor>(at: &mut C) -> Option<Start> {
    let has_flags = at.remaining() >= 16;
    let [s0, s1, d0, d1, ..] = at.take::<8>()?;
    let flags = if has_flags {
        let [_, _, _, _, _, flags, ..] = at.take::<8>()?;
        Some(flags)
    } else {
        None
    };
    Some(([s0, s1, d0, d1], flags))
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
