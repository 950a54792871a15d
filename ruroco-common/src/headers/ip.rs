//! IPv4, IPv6 and the chain of IPv6 extension headers.

use crate::address::Address;

use super::{Cursor, Envelope, MAX_EXTENSION_BYTES, MAX_EXTENSION_HEADERS, Opened, Scope, Within};

const HOP_BY_HOP: u8 = 0; // RFC 8200, section 4.3
const ROUTING: u8 = 43; // RFC 8200, section 4.4
const FRAGMENT: u8 = 44; // RFC 8200, section 4.5
const DESTINATION_OPTIONS: u8 = 60; // RFC 8200, section 4.6

const IPV4_HEADER_SIZE: usize = 20;

/// RFC 791, section 3.1.
#[inline(always)]
pub(super) fn ipv4<C: Cursor>(at: &mut C, scope: Scope) -> Opened {
    let Some(header) = at.take::<IPV4_HEADER_SIZE>() else { return Opened::OTHER };
    let [version_and_size, _, t0, t1, _, _, f0, f1, _, protocol, _, _, addresses @ ..] = header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;

    let fragment = u16::from_be_bytes([f0, f1]);
    let (more_fragments, offset) = (fragment & 0x2000 != 0, fragment & 0x1fff);
    let within = scope.within(protocol);
    if matches!(within, Within::Other) || offset != 0 {
        return Opened::OTHER;
    }

    let header_size = usize::from(version_and_size & 0x0f) << 2;
    let total_length = usize::from(u16::from_be_bytes([t0, t1]));
    let Some(options) = header_size.checked_sub(IPV4_HEADER_SIZE) else { return Opened::OTHER };
    let Some(length) = total_length.checked_sub(IPV4_HEADER_SIZE) else { return Opened::OTHER };
    if version_and_size >> 4 != 4 || at.limit(length).is_none() || at.skip(options).is_none() {
        return Opened::OTHER;
    }
    let envelope = Envelope {
        source: Address::from_ipv4([s0, s1, s2, s3]),
        destination: Address::from_ipv4([d0, d1, d2, d3]),
        is_fragment: more_fragments,
        more_fragments,
        is_plain: options == 0,
    };
    envelope.with(within)
}

/// RFC 8200, sections 3 and 4.
#[inline(always)]
pub(super) fn ipv6<C: Cursor>(at: &mut C, scope: Scope) -> Opened {
    let Some([version, _, _, _, l0, l1, next, _]) = at.take::<8>() else { return Opened::OTHER };
    let Some(source) = at.take::<16>() else { return Opened::OTHER };
    let Some(destination) = at.take::<16>() else { return Opened::OTHER };
    let (source, destination) = (Address::from_bytes(source), Address::from_bytes(destination));
    // No IPv6 packet comes from or goes to an IPv4-mapped address, and what is compared with one
    // later is the address of an IPv4 host.
    if source.is_ipv4() || destination.is_ipv4() {
        return Opened::OTHER;
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // Room for a jumbogram's length (RFC 2675). Without that option, Linux takes all of the frame.
    let unlimited = length == 0 && next == HOP_BY_HOP;
    let length = if unlimited { at.remaining() } else { length };
    if version >> 4 != 6 || at.limit(length).is_none() {
        return Opened::OTHER;
    }
    let envelope =
        Envelope { source, destination, is_fragment: false, more_fragments: false, is_plain: true };
    let within = scope.within(next);
    if matches!(within, Within::Other) {
        return extensions(at, next, scope, unlimited, envelope);
    }
    envelope.with(within)
}

/// Follows a chain of IPv6 extension headers as Linux does: hop-by-hop options only if they are
/// first, and no more than one fragment header.
#[inline(always)]
fn extensions<C: Cursor>(
    at: &mut C,
    first: u8,
    scope: Scope,
    unlimited: bool,
    mut found: Envelope,
) -> Opened {
    found.is_plain = false;
    let mut next = first;
    if next == HOP_BY_HOP {
        let Step::To(following) = extension(at, next) else { return Opened::OTHER };
        next = following;
        at.settle();
    }
    next = match walk(at, next) {
        Walk::To(next) => next,
        Walk::CutOff(_) => return Opened::OTHER,
        Walk::Endless => return found.with(Within::Endless),
    };
    if next == FRAGMENT {
        let Some([following, _, o0, o1, ..]) = at.take::<8>() else { return Opened::OTHER };
        let (field, left) = (u16::from_be_bytes([o0, o1]), at.remaining());
        let (is_later, more_fragments) = (field & 0xfff8 != 0, field & 1 != 0);
        // A later fragment has no port. Linux discards an empty one, one that ends where no other
        // can begin, and one in a packet whose length is not known from its header.
        if is_later || left == 0 || more_fragments && left & 7 != 0 || unlimited {
            return Opened::OTHER;
        }
        at.settle();
        next = match walk(at, following) {
            Walk::To(next) => next,
            // What is cut off here may continue in a later fragment.
            Walk::CutOff(next) if more_fragments => {
                return found.with(continued(next, scope));
            }
            Walk::CutOff(_) => return Opened::OTHER,
            Walk::Endless => return found.with(Within::Endless),
        };
        (found.is_fragment, found.more_fragments) = (true, more_fragments);
    }
    found.with(scope.within(next))
}

/// Where a chain leads that continues, with a header of this type, in a later fragment.
#[inline(always)]
const fn continued(next: u8, scope: Scope) -> Within {
    if is_stepped_over(next) {
        return Within::Incomplete;
    }
    match (scope, scope.within(next)) {
        (Scope::UdpAndTcp, Within::Tcp) => Within::PortlessTcp,
        (Scope::UdpAndTcp, Within::Udp) => Within::PortlessUdp,
        _ => Within::Other,
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
