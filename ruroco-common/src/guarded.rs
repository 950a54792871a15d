//! What the gate guards: one port of some addresses. The gate writes it, and the XDP program reads
//! it for every UDP packet.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::{address::Address, maps, rate::Rate};

/// Most addresses a host may have behind one gate, a power of two.
pub const MAX_ADDRESSES: usize = 1024;

/// As many addresses are tried one after the other before the search begins.
const FEW: usize = 4;

/// Halvings after which one of [`MAX_ADDRESSES`] is left.
const HALVINGS: u32 = MAX_ADDRESSES.ilog2();

/// The bits of an index.
const MASK: usize = MAX_ADDRESSES - 1;

const _: () = assert!(MAX_ADDRESSES.is_power_of_two());

/// Addresses and port, and what is to happen to that which is for them and refused.
///
/// The addresses are sorted and searched by halving, after the first few: nearly all hosts have a handful, which are
/// found in less time than it takes to hash one.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Guarded {
    /// How much of what is refused goes to the stack, which answers it as it answers for any
    /// closed port; all else is dropped.
    pub pass_refused: Rate,
    /// How much of what is authentic each key may put into the ring, see [`maps::share`].
    pub share: Rate,
    /// The gate's UDP port, in the byte order of this machine; 0 in unfilled memory, and no packet
    /// is to port 0.
    port: u16,
    /// How many addresses there are.
    count: u16,
    /// Where keys are looked for, see [`keys::home`](crate::keys::home).
    pub key_shift: u32,
    sorted: [Address; MAX_ADDRESSES],
}

impl Guarded {
    /// One port of these addresses, with the smallest [share](maps::share) for each key; more than [`MAX_ADDRESSES`] of them are too many.
    pub fn new(port: u16, addresses: &[Address], pass_refused: Rate) -> Option<Self> {
        let count = u16::try_from(addresses.len()).ok()?;
        let share = maps::share(0);
        let mut guarded = Self { pass_refused, share, port, count, ..Self::new_zeroed() };
        let sorted = guarded.sorted.get_mut(..addresses.len())?;
        sorted.copy_from_slice(addresses);
        sorted.sort_unstable();
        Some(guarded)
    }

    /// Whether this is our port.
    #[inline(always)]
    pub const fn is_port(&self, port: u16) -> bool {
        self.port == port
    }

    /// Whether this is one of our addresses.
    #[inline(always)]
    pub fn is_address(&self, address: &Address) -> bool {
        let (mut from, mut count) = (0_usize, usize::from(self.count));
        for at in 0..FEW {
            if at >= count {
                return false;
            }
            if self.sorted.get(at).is_some_and(|this| this.is(address)) {
                return true;
            }
        }
        // The one that is looked for is among `count` from `from` on, if it is there.
        for _ in 0..HALVINGS {
            if count == 1 {
                break;
            }
            let half = count >> 1;
            // The mask changes nothing; it tells the BPF verifier that this is within the array.
            let middle = from.wrapping_add(half) & MASK;
            if self.sorted.get(middle).is_some_and(|middle| middle <= address) {
                from = middle;
            }
            count = count.wrapping_sub(half);
        }
        self.sorted.get(from & MASK).is_some_and(|this| this.is(address))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::{collections::HashSet, vec::Vec};

    fn guarded(addresses: &[Address]) -> Guarded {
        Guarded::new(80, addresses, Rate::NEVER).unwrap()
    }

    #[test]
    fn nothing_is_ours_in_unfilled_memory() {
        let unfilled = Guarded::new_zeroed();
        assert!(!unfilled.is_address(&Address::UNSPECIFIED));
        assert!((1..=u16::MAX).all(|port| !unfilled.is_port(port)));
        assert!(unfilled.pass_refused.is_never());
    }

    #[test]
    fn there_is_room_for_so_many_addresses_and_no_more() {
        let addresses: Vec<Address> =
            (0..=1024_u32).map(|n| Address::from_ipv4(n.to_be_bytes())).collect();
        let (last, fit) = addresses.split_last().unwrap();
        let full = guarded(fit);
        assert!(fit.iter().all(|address| full.is_address(address)));
        assert!(!full.is_address(last));
        assert!(Guarded::new(80, &addresses, Rate::NEVER).is_none());
    }

    proptest! {
        #[test]
        fn an_address_is_ours_if_it_was_given(
            // Few different ones, so that neighbours and duplicates are met.
            ours in prop::collection::vec(prop::array::uniform16(0_u8..3), 0..1025),
            others in prop::collection::vec(prop::array::uniform16(0_u8..3), 100),
        ) {
            let ours: Vec<_> = ours.into_iter().map(Address::from_bytes).collect();
            let set: HashSet<_> = ours.iter().copied().collect();
            let guarded = guarded(&ours);
            for address in others.into_iter().map(Address::from_bytes).chain(ours) {
                prop_assert_eq!(guarded.is_address(&address), set.contains(&address));
            }
        }
    }
}
