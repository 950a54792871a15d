//! Finds the UDP payload in an Ethernet frame, or says why there is none to be had.
//!
//! Written once, for the kernel and for the host: the parser sees a frame only through a
//! [`Cursor`], which in the XDP program is a pointer checked against `data_end` and in tests a
//! slice. It keeps the header values it needs and no state, and every loop has a fixed bound, as
//! the BPF verifier asks.
//!
//! The order in which things are looked at is that of the questions the gate asks: first whether a
//! packet could be ours, then what is wrong with it. A fault therefore does not end the parsing as
//! long as destination and port can still be found; it is reported beside them.
//!
//! What is read: Ethernet II, 802.1Q and 802.1ad tags (up to [`MAX_VLAN_TAGS`]), IPv4 with
//! options, IPv6 with extension headers (up to [`MAX_EXTENSION_HEADERS`]), authentication headers
//! (RFC 4302) in both, UDP. Checksums are not verified: an attacker can always make them right,
//! and the AEAD tag vouches for the payload.

use crate::address::Address;

/// VLAN tags that are looked through: QinQ has two, and a third costs nothing. A frame with more is
/// [`Frame::Hidden`]: the stack would take off any number of priority tags (VLAN 0) to find what is
/// behind them.
pub const MAX_VLAN_TAGS: usize = 3;

/// Extension headers that are looked through. RFC 8200 names six kinds, each of which occurs once
/// save destination options, which may occur twice.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Where the bytes lie. A cursor stands at a place in the frame and only moves forward.
pub trait Cursor: Copy {
    /// Reads the next `N` bytes and moves past them; `None`, and no move, if fewer are left.
    fn take<const N: usize>(&mut self) -> Option<[u8; N]>;

    /// Moves past `count` bytes, at most [`MAX_SKIP`]; `None`, and no move, if fewer are left.
    fn skip(&mut self, count: usize) -> Option<()>;

    /// How many bytes are left in the frame.
    fn remaining(&self) -> usize;

    /// Forgets by which road this place was reached. It changes nothing for the parser; the BPF
    /// verifier, which would otherwise follow every sequence of headers to its end, needs it
    /// wherever many roads meet.
    fn settle(&mut self) {}
}

/// The most that is ever skipped: what the longest IPv6 extension header has after its first 8
/// bytes (RFC 8200, section 4.3). The BPF verifier must know a bound.
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
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<C> {
    /// Not UDP, or a later fragment, which has no port: nobody's business here.
    Other,
    /// Wrapped into more VLAN tags than anybody uses, so that nothing can be said of it.
    Hidden,
    /// On its way to `destination` and made so that its port cannot be read. No honest sender
    /// makes such a packet.
    Portless {
        /// Destination address of the IP header.
        destination: Address,
        /// What hides the port.
        fault: Fault,
    },
    /// UDP with readable addresses and ports.
    Udp(Udp<C>),
}

/// A UDP packet, as its headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<C> {
    /// Source address of the IP header.
    pub source: Address,
    /// Destination address of the IP header.
    pub destination: Address,
    /// Source port of the UDP header.
    pub source_port: u16,
    /// Destination port of the UDP header.
    pub destination_port: u16,
    /// The payload, or what is wrong with the headers.
    pub payload: Result<Payload<C>, Fault>,
}

/// The payload of a UDP packet whose headers agree with one another and with the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<C> {
    /// Length in bytes according to the UDP header; Ethernet padding is not in it.
    pub length: u16,
    /// Stands at the first byte.
    pub start: C,
}

/// What can be wrong with a packet's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Cut off, or a header contradicts the frame or another header.
    Malformed,
    /// One piece of a larger packet.
    Fragment,
}

const ETHERTYPE_IPV4: u16 = 0x0800; // RFC 894
const ETHERTYPE_IPV6: u16 = 0x86dd; // RFC 2464
const ETHERTYPE_8021Q: u16 = 0x8100; // IEEE 802.1Q
const ETHERTYPE_8021AD: u16 = 0x88a8; // IEEE 802.1ad, the outer tag of QinQ
const ETHERTYPE_QINQ_OLD: u16 = 0x9100; // outer tag before 802.1ad

const HOP_BY_HOP: u8 = 0; // RFC 8200, section 4.3
const UDP: u8 = 17; // RFC 768
const ROUTING: u8 = 43; // RFC 8200, section 4.4
const FRAGMENT: u8 = 44; // RFC 8200, section 4.5
const AUTHENTICATION: u8 = 51; // RFC 4302
const DESTINATION_OPTIONS: u8 = 60; // RFC 8200, section 4.6
const MOBILITY: u8 = 135; // RFC 6275
const HOST_IDENTITY: u8 = 139; // RFC 7401
const SHIM6: u8 = 140; // RFC 5533

const IPV4_HEADER_SIZE: usize = 20;
const UDP_HEADER_SIZE: u16 = 8;
const MAX_IP_LENGTH: usize = 0xffff; // both versions count in 16 bits

/// Parses a frame that begins with its Ethernet header.
#[inline(always)]
pub fn parse<C: Cursor>(mut at: C) -> Frame<C> {
    let opened = match ethertype(&mut at) {
        Some(ETHERTYPE_IPV4) => ipv4(&mut at),
        Some(ETHERTYPE_IPV6) => ipv6(&mut at),
        Some(ethertype) if is_vlan(ethertype) => return Frame::Hidden,
        _ => Opened::Other,
    };
    match opened {
        Opened::Other => Frame::Other,
        Opened::Portless(destination, fault) => Frame::Portless { destination, fault },
        Opened::Udp(envelope) => udp(at, &envelope),
    }
}

/// Skips the Ethernet header and VLAN tags; the type of what follows.
#[inline(always)]
fn ethertype<C: Cursor>(at: &mut C) -> Option<u16> {
    let [.., high, low] = at.take::<14>()?;
    let mut ethertype = u16::from_be_bytes([high, low]);
    for _ in 0..MAX_VLAN_TAGS {
        if !is_vlan(ethertype) {
            break;
        }
        let [_, _, high, low] = at.take::<4>()?;
        ethertype = u16::from_be_bytes([high, low]);
    }
    Some(ethertype)
}

#[inline(always)]
fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, ETHERTYPE_8021Q | ETHERTYPE_8021AD | ETHERTYPE_QINQ_OLD)
}

/// What was found below the Ethernet header.
enum Opened {
    Other,
    Portless(Address, Fault),
    Udp(Envelope),
}

/// What the IP layer says about the UDP packet that comes next.
struct Envelope {
    source: Address,
    destination: Address,
    /// Bytes of Ethernet padding behind the packet; meaningless if it is longer than the frame.
    padding: usize,
    malformed: bool,
    fragment: bool,
}

impl Envelope {
    /// The first thing found wrong.
    #[inline(always)]
    fn fault(&self) -> Option<Fault> {
        match (self.malformed, self.fragment) {
            (true, _) => Some(Fault::Malformed),
            (false, true) => Some(Fault::Fragment),
            (false, false) => None,
        }
    }

    /// For a packet whose port cannot be read.
    #[inline(always)]
    fn portless(&self) -> Opened {
        Opened::Portless(self.destination, self.fault().unwrap_or(Fault::Malformed))
    }
}

/// RFC 791, section 3.1.
#[inline(always)]
fn ipv4<C: Cursor>(at: &mut C) -> Opened {
    let in_frame = at.remaining();
    let Some(header) = at.take::<IPV4_HEADER_SIZE>() else { return Opened::Other };
    let [version_and_size, _, t0, t1, _, _, f0, f1, _, protocol, _, _, addresses @ ..] = header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;

    let fragment = u16::from_be_bytes([f0, f1]);
    let (more_fragments, offset) = (fragment & 0x2000 != 0, fragment & 0x1fff);
    if !matches!(protocol, UDP | AUTHENTICATION) || offset != 0 {
        return Opened::Other;
    }

    let header_size = usize::from(version_and_size & 0x0f) << 2;
    let total_length = usize::from(u16::from_be_bytes([t0, t1]));
    let envelope = Envelope {
        source: Address::from_ipv4([s0, s1, s2, s3]),
        destination: Address::from_ipv4([d0, d1, d2, d3]),
        padding: in_frame.wrapping_sub(total_length),
        malformed: version_and_size >> 4 != 4 || total_length > in_frame,
        fragment: more_fragments,
    };
    let Some(options) = header_size.checked_sub(IPV4_HEADER_SIZE) else {
        return envelope.portless();
    };
    if at.skip(options).is_none() {
        return envelope.portless();
    }
    match protocol {
        UDP => Opened::Udp(envelope),
        _ => match authentication(at) {
            Some(UDP) => Opened::Udp(envelope),
            Some(_) => Opened::Other,
            None => envelope.portless(),
        },
    }
}

/// RFC 8200, sections 3 and 4.
#[inline(always)]
fn ipv6<C: Cursor>(at: &mut C) -> Opened {
    let Some([version, _, _, _, l0, l1, next, _]) = at.take::<8>() else { return Opened::Other };
    let Some(source) = at.take::<16>() else { return Opened::Other };
    let Some(destination) = at.take::<16>() else { return Opened::Other };
    let (in_frame, length) = (at.remaining(), usize::from(u16::from_be_bytes([l0, l1])));
    let (source, destination) = (Address::from_bytes(source), Address::from_bytes(destination));
    // An IPv4-mapped address has no business on the wire: to whoever compares it later it is that
    // of an IPv4 host, which this packet neither came from nor goes to.
    let mapped = source.is_ipv4() || destination.is_ipv4();
    let mut envelope = Envelope {
        source,
        destination,
        padding: in_frame.wrapping_sub(length),
        malformed: version >> 4 != 6 || length > in_frame || mapped,
        fragment: false,
    };

    let mut next = next;
    for place in 0..MAX_EXTENSION_HEADERS {
        let following = match next {
            UDP => return Opened::Udp(envelope),
            FRAGMENT => {
                let Some([following, _, o0, o1, ..]) = at.take::<8>() else {
                    return envelope.portless();
                };
                if u16::from_be_bytes([o0, o1]) & 0xfff8 != 0 {
                    return Opened::Other; // a later fragment, which has no port
                }
                envelope.fragment = true;
                Some(following)
            }
            HOP_BY_HOP => {
                // Anywhere but first it is an error that the stack would report to the sender.
                envelope.malformed |= place != 0;
                extension(at)
            }
            ROUTING | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY | SHIM6 => extension(at),
            AUTHENTICATION => authentication(at),
            _ => return Opened::Other,
        };
        let Some(following) = following else { return envelope.portless() };
        next = following;
        at.settle();
    }
    match next {
        UDP => Opened::Udp(envelope),
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY
        | HOST_IDENTITY | SHIM6 => envelope.portless(),
        _ => Opened::Other,
    }
}

/// Skips an extension header in the common format (RFC 8200, section 4), the length field of which
/// counts units of 8 bytes without the first; what follows it, or `None` if it is cut off.
#[inline(always)]
fn extension<C: Cursor>(at: &mut C) -> Option<u8> {
    let [next, length, ..] = at.take::<8>()?;
    at.skip(usize::from(length) << 3)?;
    Some(next)
}

/// Skips an authentication header, the length field of which counts units of 4 bytes without the
/// first two (RFC 4302, section 2.2); what follows it, or `None` if it is cut off or claims to be
/// shorter than its fixed fields.
#[inline(always)]
fn authentication<C: Cursor>(at: &mut C) -> Option<u8> {
    let [next, length, ..] = at.take::<12>()?;
    at.skip(usize::from(length.checked_sub(1)?) << 2)?;
    Some(next)
}

/// RFC 768.
#[inline(always)]
fn udp<C: Cursor>(mut at: C, envelope: &Envelope) -> Frame<C> {
    at.settle();
    let left = at.remaining().wrapping_sub(envelope.padding);
    // What stands behind the end of the IP packet is padding: a port there is not this packet's.
    let has_header = (usize::from(UDP_HEADER_SIZE)..=MAX_IP_LENGTH).contains(&left);
    let header = if has_header { at.take::<8>() } else { None };
    let Some([s0, s1, d0, d1, l0, l1, _, _]) = header else {
        let fault = envelope.fault().unwrap_or(Fault::Malformed);
        return Frame::Portless { destination: envelope.destination, fault };
    };
    let length = u16::from_be_bytes([l0, l1]);
    let payload = match (envelope.fault(), length.checked_sub(UDP_HEADER_SIZE)) {
        (Some(fault), _) => Err(fault),
        (None, Some(payload)) if usize::from(length) == left => {
            Ok(Payload { length: payload, start: at })
        }
        (None, _) => Err(Fault::Malformed),
    };
    Frame::Udp(Udp {
        source: envelope.source,
        destination: envelope.destination,
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        payload,
    })
}
