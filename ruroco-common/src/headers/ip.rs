//! IPv4, IPv6 and the chain of IPv6 extension headers.

use super::{
    Content, Cursor, MAX_EXTENSION_BYTES, MAX_EXTENSION_HEADERS, Scope,
    place::{Marks, Place},
};

const HOP_BY_HOP: u8 = 0; // RFC 8200, section 4.3
const ROUTING: u8 = 43; // RFC 8200, section 4.4
const FRAGMENT: u8 = 44; // RFC 8200, section 4.5
const DESTINATION_OPTIONS: u8 = 60; // RFC 8200, section 4.6

const IPV4_HEADER_SIZE: usize = 20;
const IPV6_HEADER_SIZE: usize = 40;

/// RFC 791, section 3.1.
#[inline(always)]
pub(super) fn ipv4<C: Cursor>(frame: C, mut at: C, scope: Scope) -> Option<Place> {
    let network = frame.remaining().wrapping_sub(at.remaining());
    let [version_and_size, _, t0, t1, _, _, f0, f1, _, protocol, ..] =
        at.take::<IPV4_HEADER_SIZE>()?;
    let fragment = u16::from_be_bytes([f0, f1]);
    let (more_fragments, offset) = (fragment & 0x2000 != 0, fragment & 0x1fff);
    let content = scope.content(protocol)?;
    if offset != 0 || version_and_size >> 4 != 4 {
        return None;
    }
    let header_size = usize::from(version_and_size & 0x0f) << 2;
    let total_length = usize::from(u16::from_be_bytes([t0, t1]));
    let options = header_size.checked_sub(IPV4_HEADER_SIZE)?;
    let length = total_length.checked_sub(header_size)?;
    at.limit(total_length.wrapping_sub(IPV4_HEADER_SIZE))?;
    let mut marks = Marks::IPV4.with(content);
    if more_fragments {
        marks = marks.fragment(true);
    }
    if options != 0 {
        marks = marks.extended();
    }
    Some(Place { marks, network, transport: network.wrapping_add(header_size), length })
}

/// RFC 8200, sections 3 and 4.
#[inline(always)]
pub(super) fn ipv6<C: Cursor>(frame: C, mut at: C, scope: Scope) -> Option<Place> {
    let network = frame.remaining().wrapping_sub(at.remaining());
    let [version, _, _, _, l0, l1, next, ..] = at.take::<IPV6_HEADER_SIZE>()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Room for a jumbogram's length (RFC 2675). Without that option, Linux takes all of the frame.
    let unlimited = length == 0 && next == HOP_BY_HOP;
    let length = if unlimited { at.remaining() } else { length };
    if version >> 4 != 6 {
        return None;
    }
    at.limit(length)?;
    let transport = network.wrapping_add(IPV6_HEADER_SIZE);
    let place = Place { marks: Marks::IPV6, network, transport, length };
    match scope.content(next) {
        Some(content) => Some(place.with(content)),
        None => extensions(at, next, scope, unlimited, place),
    }
}

/// Follows a chain of IPv6 extension headers as Linux does: hop-by-hop options only if they are
/// first, and no more than one fragment header.
#[inline(always)]
fn extensions<C: Cursor>(
    mut at: C,
    first: u8,
    scope: Scope,
    unlimited: bool,
    mut found: Place,
) -> Option<Place> {
    found.marks = found.marks.extended();
    let mut next = first;
    if next == HOP_BY_HOP {
        let Step::To(following) = extension(&mut at, next) else { return None };
        next = following;
        at.settle();
    }
    next = match walk(&mut at, next) {
        Walk::To(next) => next,
        Walk::CutOff(_) => return None,
        Walk::Endless => return Some(found.with(Content::Endless)),
    };
    if next == FRAGMENT {
        let [following, _, o0, o1, ..] = at.take::<8>()?;
        let (field, left) = (u16::from_be_bytes([o0, o1]), at.remaining());
        let (is_later, more_fragments) = (field & 0xfff8 != 0, field & 1 != 0);
        // A later fragment has no port. Linux discards an empty one, one that ends where no other
        // can begin, and one in a packet whose length is not known from its header.
        if is_later || left == 0 || more_fragments && left & 7 != 0 || unlimited {
            return None;
        }
        found.marks = found.marks.fragment(more_fragments);
        at.settle();
        next = match walk(&mut at, following) {
            Walk::To(next) => next,
            // What is cut off here may continue in a later fragment.
            Walk::CutOff(next) if more_fragments => {
                return Some(found.with(continued(next, scope)?));
            }
            Walk::CutOff(_) => return None,
            Walk::Endless => return Some(found.with(Content::Endless)),
        };
    }
    let content = scope.content(next)?;
    let length = at.remaining();
    let transport = found.transport.wrapping_add(found.length.wrapping_sub(length));
    Some(Place { transport, length, ..found.with(content) })
}

/// Where a chain leads that continues, with a header of this type, in a later fragment.
#[inline(always)]
const fn continued(next: u8, scope: Scope) -> Option<Content> {
    if is_stepped_over(next) {
        return Some(Content::Incomplete);
    }
    match (scope, scope.content(next)) {
        (Scope::UdpAndTcp, Some(Content::Tcp)) => Some(Content::PortlessTcp),
        (Scope::UdpAndTcp, Some(Content::Udp)) => Some(Content::PortlessUdp),
        _ => None,
    }
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
/// same reason as in [`is_vlan`](super::ethernet::is_vlan).
#[inline(always)]
const fn is_stepped_over(next: u8) -> bool {
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
