//! Finds the UDP payload in an Ethernet frame, or reports why it has no payload.
//!
//! Written once, for the kernel and for the host: the parser sees a frame only through a
//! [`Cursor`], which in the XDP program is a pointer checked against `data_end` and in tests a
//! slice. It keeps the header values it needs and no state, and every loop has a fixed bound, as
//! the BPF verifier requires.
//!
//! The parser answers one question: to which UDP port would Linux deliver this packet? It therefore
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
//! Checksums are not verified: an attacker can always make them right, and the AEAD tag
//! authenticates the payload.
//!
//! Where destination and port can be found, a fault in the packet does not end the parsing. It is
//! reported with them, because the first question is always whether the packet is for the gate.
//!
//! Rationale: decisions 0003, 0025 and 0035.

use crate::address::Address;

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
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<C> {
    /// The stack finds no UDP port in it, whatever follows: not UDP, a later fragment, or cut off.
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
    /// The payload, or the fault in the headers.
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
    /// The UDP header contradicts the IP header.
    Malformed,
    /// One piece of a larger packet.
    Fragment,
}

const ETHERTYPE_IPV4: u16 = 0x0800; // RFC 894
const ETHERTYPE_IPV6: u16 = 0x86dd; // RFC 2464
const ETHERTYPE_8021Q: u16 = 0x8100; // IEEE 802.1Q
const ETHERTYPE_8021AD: u16 = 0x88a8; // IEEE 802.1ad, the outer tag of QinQ

const HOP_BY_HOP: u8 = 0; // RFC 8200, section 4.3
const UDP: u8 = 17; // RFC 768
const ROUTING: u8 = 43; // RFC 8200, section 4.4
const FRAGMENT: u8 = 44; // RFC 8200, section 4.5
const DESTINATION_OPTIONS: u8 = 60; // RFC 8200, section 4.6

const IPV4_HEADER_SIZE: usize = 20;
const UDP_HEADER_SIZE: u16 = 8;

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
        Opened::Endless(destination) => Frame::Endless { destination },
        Opened::Incomplete(destination) => Frame::Incomplete { destination },
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
        at.settle();
    }
    Some(ethertype)
}

/// Whether this is one of the tags that Linux removes. One condition, and not one for each type:
/// where several paths lead on in a loop, the BPF verifier follows them all, from every iteration.
#[inline(always)]
fn is_vlan(ethertype: u16) -> bool {
    let (is_customer, is_service) = (ethertype ^ ETHERTYPE_8021Q, ethertype ^ ETHERTYPE_8021AD);
    u32::from(is_customer).wrapping_mul(u32::from(is_service)) == 0
}

/// What was found below the Ethernet header.
enum Opened {
    Other,
    Endless(Address),
    Incomplete(Address),
    Udp(Envelope),
}

/// What the IP layer says about the UDP packet that comes next.
struct Envelope {
    source: Address,
    destination: Address,
    fragment: bool,
}

/// RFC 791, section 3.1.
#[inline(always)]
fn ipv4<C: Cursor>(at: &mut C) -> Opened {
    let Some(header) = at.take::<IPV4_HEADER_SIZE>() else { return Opened::Other };
    let [version_and_size, _, t0, t1, _, _, f0, f1, _, protocol, _, _, addresses @ ..] = header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;

    let fragment = u16::from_be_bytes([f0, f1]);
    let (more_fragments, offset) = (fragment & 0x2000 != 0, fragment & 0x1fff);
    if protocol != UDP || offset != 0 {
        return Opened::Other;
    }

    let header_size = usize::from(version_and_size & 0x0f) << 2;
    let total_length = usize::from(u16::from_be_bytes([t0, t1]));
    let Some(options) = header_size.checked_sub(IPV4_HEADER_SIZE) else { return Opened::Other };
    let Some(length) = total_length.checked_sub(IPV4_HEADER_SIZE) else { return Opened::Other };
    if version_and_size >> 4 != 4 || at.limit(length).is_none() || at.skip(options).is_none() {
        return Opened::Other;
    }
    Opened::Udp(Envelope {
        source: Address::from_ipv4([s0, s1, s2, s3]),
        destination: Address::from_ipv4([d0, d1, d2, d3]),
        fragment: more_fragments,
    })
}

/// RFC 8200, sections 3 and 4.
#[inline(always)]
fn ipv6<C: Cursor>(at: &mut C) -> Opened {
    let Some([version, _, _, _, l0, l1, next, _]) = at.take::<8>() else { return Opened::Other };
    let Some(source) = at.take::<16>() else { return Opened::Other };
    let Some(destination) = at.take::<16>() else { return Opened::Other };
    let (source, destination) = (Address::from_bytes(source), Address::from_bytes(destination));
    // No IPv6 packet comes from or goes to an IPv4-mapped address, and what is compared with one
    // later is the address of an IPv4 host.
    if source.is_ipv4() || destination.is_ipv4() {
        return Opened::Other;
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Room for a jumbogram's length (RFC 2675). Without that option, Linux takes all of the frame.
    let unlimited = length == 0 && next == HOP_BY_HOP;
    let length = if unlimited { at.remaining() } else { length };
    if version >> 4 != 6 || at.limit(length).is_none() {
        return Opened::Other;
    }
    let envelope = Envelope { source, destination, fragment: false };
    match next {
        UDP => Opened::Udp(envelope),
        _ => extensions(at, next, unlimited, envelope),
    }
}

/// Follows a chain of IPv6 extension headers as Linux does: hop-by-hop options only if they are
/// first, and no more than one fragment header.
#[inline(always)]
fn extensions<C: Cursor>(at: &mut C, first: u8, unlimited: bool, mut found: Envelope) -> Opened {
    let mut next = first;
    if next == HOP_BY_HOP {
        let Step::To(following) = extension(at, next) else { return Opened::Other };
        next = following;
        at.settle();
    }
    next = match walk(at, next) {
        Walk::To(next) => next,
        Walk::CutOff(_) => return Opened::Other,
        Walk::Endless => return Opened::Endless(found.destination),
    };
    if next == FRAGMENT {
        let Some([following, _, o0, o1, ..]) = at.take::<8>() else { return Opened::Other };
        let (field, left) = (u16::from_be_bytes([o0, o1]), at.remaining());
        let (is_later, more_fragments) = (field & 0xfff8 != 0, field & 1 != 0);
        // A later fragment has no port. Linux discards an empty one, one that ends where no other
        // can begin, and one in a packet whose length is not known from its header.
        if is_later || left == 0 || more_fragments && left & 7 != 0 || unlimited {
            return Opened::Other;
        }
        at.settle();
        next = match walk(at, following) {
            Walk::To(next) => next,
            // What is cut off here may continue in a later fragment.
            Walk::CutOff(next) if is_stepped_over(next) && more_fragments => {
                return Opened::Incomplete(found.destination);
            }
            Walk::CutOff(_) => return Opened::Other,
            Walk::Endless => return Opened::Endless(found.destination),
        };
        found.fragment = true;
    }
    if next == UDP { Opened::Udp(found) } else { Opened::Other }
}

/// Where a chain of headers leads.
enum Walk {
    /// To a header of this type, which is not stepped over.
    To(u8),
    /// Beyond the end of the packet, where a header of this type would begin or go on.
    CutOff(u8),
    /// Further than it is followed.
    Endless,
}

/// Steps over destination options and routing headers.
#[inline(always)]
fn walk<C: Cursor>(at: &mut C, first: u8) -> Walk {
    let (mut next, all) = (first, at.remaining());
    for _ in 0..=MAX_EXTENSION_HEADERS {
        if !is_stepped_over(next) {
            return Walk::To(next);
        }
        match extension(at, next) {
            Step::To(following) => next = following,
            Step::CutOff(next) => return Walk::CutOff(next),
        }
        at.settle();
        if all.wrapping_sub(at.remaining()) > MAX_EXTENSION_BYTES {
            break;
        }
    }
    Walk::Endless
}

/// Whether this is one of the headers that may occur anywhere in a chain. One condition, for the
/// same reason as in [`is_vlan`].
#[inline(always)]
fn is_stepped_over(next: u8) -> bool {
    const THEY: u64 = 1 << ROUTING | 1 << DESTINATION_OPTIONS;
    next < 64 && THEY >> next & 1 != 0
}

/// Where one header leads.
enum Step {
    /// To one of this type.
    To(u8),
    /// Beyond the end of the packet, where this or a header of this type would go on.
    CutOff(u8),
}

/// Skips an extension header in the common format (RFC 8200, section 4), the length field of which
/// counts units of 8 bytes without the first.
#[inline(always)]
fn extension<C: Cursor>(at: &mut C, own: u8) -> Step {
    let Some([next, length, ..]) = at.take::<8>() else { return Step::CutOff(own) };
    match at.skip(usize::from(length) << 3) {
        Some(()) => Step::To(next),
        None => Step::CutOff(next),
    }
}

/// RFC 768.
#[inline(always)]
fn udp<C: Cursor>(mut at: C, envelope: &Envelope) -> Frame<C> {
    at.settle();
    let left = at.remaining();
    let Some([s0, s1, d0, d1, l0, l1, _, _]) = at.take::<8>() else { return Frame::Other };
    let length = u16::from_be_bytes([l0, l1]);
    let payload = match length.checked_sub(UDP_HEADER_SIZE) {
        _ if envelope.fragment => Err(Fault::Fragment),
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
