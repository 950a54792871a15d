//! Names, layouts and sizes of the BPF maps, for the program that reads them and the gate that
//! fills them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    candidate,
    datagram::{Datagram, KeyId, TAG_SIZE},
    rate::Rate,
};

/// Array of one [`Guarded`](crate::guarded::Guarded).
pub const GUARDED: &str = "GUARDED";
/// Array of [`KeyEntry`](crate::keys::KeyEntry)s, a hash table.
pub const KEYS: &str = "KEYS";
/// Array of one `u64` for each slot: the bucket of the key in it, see [`Rate::take`]. It counts what is
/// let through unchecked, or what is authentic, whichever the key's cipher allows.
pub const KEY_BUCKETS: &str = "KEY_BUCKETS";
/// Array of one `u64`: the bucket of what is refused and goes to the stack, see [`Rate::take`].
pub const REFUSED_BUCKET: &str = "REFUSED_BUCKET";
/// Hash set of the [`Seen`] packets: to one unused byte. The least recently met ones make room.
pub const SEEN: &str = "SEEN";
/// Array of one [`SeenHints`].
pub const SEEN_HINTS: &str = "SEEN_HINTS";
/// Array per CPU of one `u64` counter for each [`Verdict`](crate::verdict::Verdict).
pub const VERDICTS: &str = "VERDICTS";
/// The ring of [`Candidate`](crate::candidate::Candidate)s.
pub const CANDIDATES: &str = "CANDIDATES";
/// Array of one [`DoorPorts`](crate::doors::DoorPorts).
pub const DOOR_PORTS: &str = "DOOR_PORTS";
/// Array of [`Door`](crate::doors::Door)s, by number: 0 is never used.
pub const DOORS: &str = "DOORS";
/// Hash set of the addresses of this host's interfaces, those in [`GUARDED`] among them: to one unused byte.
pub const DOOR_ADDRESSES: &str = "DOOR_ADDRESSES";
/// Hash map of [`LeaseKey`](crate::doors::LeaseKey) to [`Lease`](crate::doors::Lease), which never evicts. All
/// programs of a gate and its successors share it.
pub const LEASES: &str = "LEASES";
/// Hash map of [`FlowKey`](crate::doors::FlowKey) to [`Flow`](crate::doors::Flow), which never evicts. Shared as
/// [`LEASES`].
pub const FLOWS: &str = "FLOWS";
/// Array of one [`DoorState`](crate::doors::DoorState). Shared as [`LEASES`].
pub const DOOR_STATE: &str = "DOOR_STATE";

/// Hash set of the numbers of the interfaces that are guarded, and of those that get packets from them: to one unused byte.
pub const DOOR_INTERFACES: &str = "DOOR_INTERFACES";

/// Byte in the program's constants: for which protocols there are doors, [`TCP_DOORS`] and [`UDP_DOORS`]. The
/// kernel's verifier removes what a program with 0 does not need.
pub const DOOR_PROTOCOLS: &str = "DOOR_PROTOCOLS";
/// There are doors for TCP.
pub const TCP_DOORS: u8 = 1;
/// There are doors for UDP.
pub const UDP_DOORS: u8 = 2;

/// Byte in the program's constants: 1 if closed doors look like ports without a listener, 0 if they look filtered.
pub const DOORS_LOOK_CLOSED: &str = "DOORS_LOOK_CLOSED";

/// Most addresses in [`DOOR_ADDRESSES`].
pub const MAX_DOOR_ADDRESSES: u32 = 4096;

/// Most interfaces in [`DOOR_INTERFACES`].
pub const MAX_DOOR_INTERFACES: u32 = 4096;

/// Name of the program that hides the listeners of closed doors.
pub const LOOKUP: &str = "ruroco_lookup";

/// Name of the XDP program; BPF object names have at most 15 characters (`BPF_OBJ_NAME_LEN`).
pub const PROGRAM: &str = "ruroco";

/// Most keys a gate may know. The gate makes the maps as large as the keys it has need.
pub const MAX_KEYS: u32 = 65_536;
/// How many packets are remembered, except up to 128 that each CPU holds free (`LOCAL_FREE_TARGET`,
/// kernel/bpf/bpf_lru_list.c). An attacker who has recorded more authentic packets than
/// this can send the forgotten ones again. Each costs the verifier one decryption, and its floors reject it.
pub const MAX_SEEN: u32 = 65_536;
/// Size of the ring in bytes, a power of two and a multiple of the page size.
pub const RING_SIZE: u32 = 1 << 20;

/// Bytes that a record takes in the ring: a candidate and the kernel's header (`BPF_RINGBUF_HDR_SZ`,
/// linux/bpf.h).
const RECORD_SIZE: u32 = 152;

const _: () = assert!(candidate::SIZE + 8 == 152);

/// How many candidates the ring holds.
const RING_HOLDS: u32 = RING_SIZE / RECORD_SIZE;

/// What is let through unchecked, a second and key, of keys whose tags the kernel cannot check. The
/// verifier refuses a forgery in a few microseconds.
pub const THROTTLE: Rate = Rate::per_second(100);

/// Least [`share`] of a key, a second.
const LEAST_SHARE: u32 = 100;

/// Greatest [`share`] of a key, a second and at once: one key alone never fills the ring.
pub const MOST_SHARE: u32 = RING_HOLDS / 2;

/// A key's share of the ring, which the server reads while it accepts at most this many knocks of a key
/// in a second: twice as many, so that it is the server that rejects, and logs, what is only a little too
/// much. At least 69 keys have to use up all of the smallest share at once to fill the ring.
pub const fn share(max_knocks_per_second_per_key: u32) -> Rate {
    let twice = max_knocks_per_second_per_key.saturating_mul(2);
    Rate::per_second(match twice {
        ..LEAST_SHARE => LEAST_SHARE,
        LEAST_SHARE..MOST_SHARE => twice,
        MOST_SHARE.. => MOST_SHARE,
    })
}

/// What identifies a packet that comes again: its tag and its key. With the tag alone, a key holder could
/// make the packet of another key pass for a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Seen {
    key_id: KeyId,
    tag: [u8; TAG_SIZE],
}

impl Seen {
    /// What this packet will be recognised by.
    #[inline(always)]
    pub const fn of(datagram: &Datagram) -> Self {
        Self { key_id: datagram.key_id, tag: datagram.tag }
    }

    /// Where its hint stands: tags of authentic packets are as good as random.
    #[inline(always)]
    pub const fn hint(&self) -> u16 {
        u16::from_ne_bytes([self.tag[0], self.tag[1]])
    }
}

/// For each [`Seen::hint`] whether a packet with that hint has ever been remembered: 0 if not.
///
/// Most forgeries are found here not to be replays, in memory that stays in a CPU's cache. This only
/// saves time, less when tens of thousands of knocks have been remembered; whether a packet is a
/// replay [`SEEN`] alone decides.
pub type SeenHints = [u8; 1 << u16::BITS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_alone_fills_the_ring_at_once() {
        let at_once = |accepted| {
            let (share, mut full_at) = (share(accepted), 0);
            let takes = core::iter::from_fn(|| {
                full_at = share.take(full_at, 0)?;
                Some(())
            });
            takes.take(10_000).count()
        };
        for (accepted, expected) in
            [(0, 100), (2, 100), (50, 100), (1_000, 2_000), (1_725, 3_449), (u32::MAX, 3_449)]
        {
            assert_eq!(at_once(accepted), expected, "{accepted} a second");
        }
    }
}
