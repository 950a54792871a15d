//! The maps: what the gate tells the program, and what the program tells others.
//!
//! Until the gate has filled them, no port, address or key is ours and every packet passes.

use core::mem::offset_of;

use aya_ebpf::{
    bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP},
    helpers::{bpf_ktime_get_boot_ns, bpf_ktime_get_ns},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, ring_buf::RingBufEntry},
    programs::XdpContext,
};
use ruroco_common::{
    address::Address,
    candidate::Candidate,
    datagram::{Datagram, KeyId},
    doors::{
        Door, DoorPorts, DoorState, Flow, FlowKey, Lease, LeaseKey, MAX_DOORS, MAX_FLOWS,
        MAX_LEASES,
    },
    guarded::Guarded,
    headers::{Addresses, Ports},
    keys::{self, Check, KeyEntry},
    maps::{
        MAX_DOOR_ADDRESSES, MAX_DOOR_INTERFACES, MAX_KEYS, MAX_SEEN, RING_SIZE, Seen, SeenHints,
        THROTTLE,
    },
    rate::Rate,
    verdict::Verdict,
};

use crate::words;

#[map]
static GUARDED: Array<Guarded> = Array::with_max_entries(1, 0);
#[map]
static KEYS: Array<KeyEntry> = Array::with_max_entries(MAX_KEYS, 0);
#[map]
static KEY_BUCKETS: Array<u64> = Array::with_max_entries(MAX_KEYS, 0);
#[map]
static REFUSED_BUCKET: Array<u64> = Array::with_max_entries(1, 0);
#[map]
static SEEN: LruHashMap<Seen, u8> = LruHashMap::with_max_entries(MAX_SEEN, 0);
#[map]
static SEEN_HINTS: Array<SeenHints> = Array::with_max_entries(1, 0);
#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);
#[map]
static CANDIDATES: RingBuf = RingBuf::with_byte_size(RING_SIZE, 0);

#[map]
static DOOR_PORTS: Array<DoorPorts> = Array::with_max_entries(1, 0);
#[map]
static DOORS: Array<Door> = Array::with_max_entries(DOOR_NUMBERS, 0);
#[map]
static DOOR_ADDRESSES: HashMap<Address, u8> = HashMap::with_max_entries(MAX_DOOR_ADDRESSES, 0);
#[map]
static DOOR_INTERFACES: HashMap<u32, u8> = HashMap::with_max_entries(MAX_DOOR_INTERFACES, 0);
#[map]
static LEASES: HashMap<LeaseKey, Lease> = HashMap::with_max_entries(MAX_LEASES, 0);
#[map]
static FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(MAX_FLOWS, 0);
#[map]
static DOOR_STATE: Array<DoorState> = Array::with_max_entries(1, 0);

/// A door's number is one byte.
const DOOR_NUMBERS: u32 = 256;

const _: () = assert!(MAX_DOORS == 255);

/// What the gate guards.
#[inline(always)]
pub(crate) fn guarded() -> Option<&'static Guarded> {
    GUARDED.get(0)
}

/// How packets with this key id are checked.
#[inline(always)]
pub(crate) fn check(guarded: &Guarded, key_id: KeyId) -> Check<'static> {
    keys::find(key_id, guarded.key_shift, |slot| KEYS.get(slot))
}

/// Whether one more packet of a key that the kernel cannot check may pass.
#[inline(always)]
pub(crate) fn may_pass_unchecked(slot: u32) -> bool {
    KEY_BUCKETS.get_ptr_mut(slot).is_some_and(|bucket| take(bucket, THROTTLE))
}

/// Whether one more authentic packet of a key is within the key's share of the ring.
#[inline(always)]
pub(crate) fn is_within_share(guarded: &Guarded, slot: u32) -> bool {
    KEY_BUCKETS.get_ptr_mut(slot).is_some_and(|bucket| take(bucket, guarded.share))
}

/// Whether a packet that was refused may go on to the stack.
#[inline(always)]
pub(crate) fn may_pass_refused() -> bool {
    let rate = guarded().map_or(Rate::NEVER, |guarded| guarded.pass_refused);
    !rate.is_never() && REFUSED_BUCKET.get_ptr_mut(0).is_some_and(|bucket| take(bucket, rate))
}

/// Takes a token from a bucket in a map. CPUs that do so in the same instant may share one, so that a
/// little more than the rate passes (3 % more was seen with two CPUs); a flood does not have them wait
/// for each other.
#[inline(always)]
fn take(bucket: *mut u64, rate: Rate) -> bool {
    // SAFETY: a helper without arguments; available to XDP programs.
    let now = unsafe { bpf_ktime_get_ns() };
    take_at(bucket, rate, now)
}

/// The same at a time on the bucket's clock.
#[inline(always)]
pub(crate) fn take_at(bucket: *mut u64, rate: Rate, now: u64) -> bool {
    // SAFETY: the map gave the address, which is aligned and stays valid as long as this program
    // runs; another CPU may write the word, but words are not torn.
    let full_at = unsafe { bucket.read_volatile() };
    let Some(full_at) = rate.take(full_at, now) else { return false };
    // SAFETY: as above.
    unsafe { bucket.write_volatile(full_at) };
    true
}

/// Whether an authentic packet with this tag has been handed over before.
#[inline(always)]
pub(crate) fn was_seen(datagram: &Datagram) -> bool {
    let seen = Seen::of(datagram);
    // SAFETY: another CPU may write the byte, and a byte is not torn.
    let may_be = hint(&seen).is_some_and(|hint| unsafe { hint.read_volatile() } != 0);
    may_be && SEEN.get_ptr(seen).is_some()
}

#[inline(always)]
fn hint(seen: &Seen) -> Option<*mut u8> {
    let hints = SEEN_HINTS.get_ptr_mut(0)?.cast::<u8>();
    Some(hints.wrapping_add(usize::from(seen.hint())))
}

/// The doors of all ports.
#[inline(always)]
pub(crate) fn door_ports() -> Option<&'static DoorPorts> {
    DOOR_PORTS.get(0)
}

/// The door with a number.
#[inline(always)]
pub(crate) fn door(number: u8) -> Option<&'static Door> {
    DOORS.get(number.into())
}

/// Whether this is one of the addresses that are guarded for doors alone.
#[inline(always)]
pub(crate) fn is_door_address(address: &Address) -> bool {
    DOOR_ADDRESSES.get_ptr(address).is_some()
}

/// Whether packets that come in here are guarded, or come from an interface that is.
#[inline(always)]
pub(crate) fn is_door_interface(index: u32) -> bool {
    DOOR_INTERFACES.get_ptr(index).is_some()
}

/// From when on doors are open to everyone; 0 for never.
#[inline(always)]
pub(crate) fn doors_open_from() -> u64 {
    let state = DOOR_STATE.get_ptr_mut(0);
    state.map_or(0, |state| words::read(words::field(state, offset_of!(DoorState, open_from))))
}

/// When it was set whether doors are open to everyone.
#[inline(always)]
pub(crate) fn doors_set_at() -> u64 {
    let state = DOOR_STATE.get_ptr_mut(0);
    state.map_or(0, |state| words::read(words::field(state, offset_of!(DoorState, set_at))))
}

/// Has doors stay closed to everyone without a lease.
#[inline(always)]
pub(crate) fn keep_doors_closed() {
    if let Some(state) = DOOR_STATE.get_ptr_mut(0) {
        words::write(words::field(state, offset_of!(DoorState, open_from)), 0_u64);
    }
}

/// A lease.
#[inline(always)]
pub(crate) fn lease(key: &LeaseKey) -> Option<*mut Lease> {
    LEASES.get_ptr_mut(key)
}

/// A flow, which may have ended.
#[inline(always)]
pub(crate) fn flow(key: &FlowKey) -> Option<*mut Flow> {
    FLOWS.get_ptr_mut(key)
}

/// Remembers a flow, if there is room. Another CPU may have done so in the same instant.
#[inline(always)]
pub(crate) fn remember(key: &FlowKey, flow: &Flow) -> Option<()> {
    match FLOWS.insert(key, flow, BPF_NOEXIST.into()) {
        Ok(()) | Err(EEXIST) => Some(()),
        Err(_) => None,
    }
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

/// Hands an authentic packet over and remembers it.
///
/// In this order: what found no room is not remembered, and of two copies that two CPUs have at the
/// same time, the second to be remembered is not handed over.
#[inline(always)]
pub(crate) fn submit_once(
    context: &XdpContext,
    addresses: &Addresses,
    ports: Ports,
    datagram: &Datagram,
) -> Verdict {
    let Some(record) = CANDIDATES.reserve::<Candidate>(0) else { return Verdict::RingFull };
    let seen = Seen::of(datagram);
    if SEEN.insert(seen, 0, BPF_NOEXIST.into()) == Err(EEXIST) {
        record.discard(BPF_RB_NO_WAKEUP.into());
        return Verdict::Replayed;
    }
    if let Some(hint) = hint(&seen) {
        // SAFETY: the map gave the address, which stays valid as long as this program runs; whoever
        // else writes the byte writes the same.
        unsafe { hint.write_volatile(1) };
    }
    write(record, context, addresses, ports, datagram)
}

/// Hands over a packet that is not authenticated. It is not remembered: an observer of a knock could be faster
/// than it with a forgery that has its tag.
#[inline(always)]
pub(crate) fn submit_unchecked(
    context: &XdpContext,
    addresses: &Addresses,
    ports: Ports,
    datagram: &Datagram,
) -> Verdict {
    match CANDIDATES.reserve::<Candidate>(0) {
        Some(record) => write(record, context, addresses, ports, datagram),
        None => Verdict::RingFull,
    }
}

#[inline(always)]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "an interface index is 32 bits in the context"
)]
fn write(
    mut record: RingBufEntry<Candidate>,
    context: &XdpContext,
    addresses: &Addresses,
    ports: Ports,
    datagram: &Datagram,
) -> Verdict {
    record.write(Candidate {
        // SAFETY: a helper without arguments; available to XDP programs.
        received_at: unsafe { bpf_ktime_get_boot_ns() },
        source: addresses.source,
        destination: addresses.destination,
        interface: context.ingress_ifindex() as u32,
        source_port: ports.source,
        destination_port: ports.destination,
        datagram: *datagram,
        padding: [0; 2],
    });
    record.submit(0);
    Verdict::Candidate
}

/// What a helper returns where there is such an element already (`EEXIST`, asm-generic/errno-base.h).
const EEXIST: i32 = -17;
