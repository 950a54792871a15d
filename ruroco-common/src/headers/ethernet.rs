//! Ethernet and VLAN tags.

use super::{Cursor, MAX_VLAN_TAGS};

pub(super) const IPV4: u16 = 0x0800; // RFC 894
pub(super) const IPV6: u16 = 0x86dd; // RFC 2464
const ETHERTYPE_8021Q: u16 = 0x8100; // IEEE 802.1Q
const ETHERTYPE_8021AD: u16 = 0x88a8; // IEEE 802.1ad, the outer tag of QinQ

/// Skips the Ethernet header and VLAN tags; the type of what follows.
#[inline(always)]
pub(super) fn ethertype<C: Cursor>(at: &mut C) -> Option<u16> {
    let [.., high, low] = at.take::<14>()?;
    let mut ethertype = u16::from_be_bytes([high, low]);
    if matches!(ethertype, IPV4 | IPV6) {
        return Some(ethertype);
    }
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
pub(super) fn is_vlan(ethertype: u16) -> bool {
    let (is_customer, is_service) = (ethertype ^ ETHERTYPE_8021Q, ethertype ^ ETHERTYPE_8021AD);
    u32::from(is_customer).wrapping_mul(u32::from(is_service)) == 0
}
