//! The maps: what the gate tells the program, and what the program tells others.
//!
//! Until the gate has filled them, no port, address or key is ours and every packet passes.

use aya_ebpf::{
    helpers::bpf_ktime_get_boot_ns,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
    programs::XdpContext,
};
use ruroco_common::{
    address::Address,
    candidate::Candidate,
    datagram::{Datagram, KeyId},
    headers::Udp,
    maps::{KeyEntry, MAX_ADDRESSES, MAX_KEYS, RING_SIZE, Settings},
    verdict::Verdict,
};

/// `BPF_F_NO_PREALLOC` (Linux 4.6): memory for the keys there are, not for the most there can be.
const NO_PREALLOC: u32 = 1;

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static ADDRESSES: HashMap<Address, u8> = HashMap::with_max_entries(MAX_ADDRESSES, NO_PREALLOC);
#[map]
static KEYS: HashMap<KeyId, KeyEntry> = HashMap::with_max_entries(MAX_KEYS, NO_PREALLOC);
#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);
#[map]
static CANDIDATES: RingBuf = RingBuf::with_byte_size(RING_SIZE, 0);

/// Whether the gate listens on this port.
#[inline(always)]
pub(crate) fn is_our_port(port: u16) -> bool {
    SETTINGS.get(0).is_some_and(|settings| settings.port == port)
}

/// Whether this is one of the addresses that the gate guards.
#[inline(always)]
pub(crate) fn is_our_address(address: &Address) -> bool {
    ADDRESSES.get_ptr(address).is_some()
}

/// Whether a key of ours has this id.
#[inline(always)]
pub(crate) fn is_key(key_id: &KeyId) -> bool {
    KEYS.get_ptr(key_id).is_some()
}

/// Adds one to the verdict's counter on this CPU.
#[inline(always)]
pub(crate) fn count(verdict: Verdict) {
    if let Some(counter) = VERDICTS.get_ptr_mut(verdict.index()) {
        // SAFETY: the map gave the address of this CPU's own slot, and an XDP program is not
        // interrupted by another one on its CPU.
        let counter = unsafe { &mut *counter };
        *counter = counter.wrapping_add(1);
    }
}

/// Writes the packet into the ring; whether there was room.
#[inline(always)]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "an interface index is 32 bits in the context"
)]
pub(crate) fn submit<C>(context: &XdpContext, udp: &Udp<C>, datagram: &Datagram) -> bool {
    let Some(mut record) = CANDIDATES.reserve::<Candidate>(0) else { return false };
    record.write(Candidate {
        // SAFETY: a helper without arguments; available to XDP programs.
        received_at: unsafe { bpf_ktime_get_boot_ns() },
        source: udp.source,
        destination: udp.destination,
        interface: context.ingress_ifindex() as u32,
        source_port: udp.source_port,
        destination_port: udp.destination_port,
        datagram: *datagram,
        padding: [0; 2],
    });
    record.submit(0);
    true
}
