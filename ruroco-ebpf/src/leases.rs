//! Leases as the program uses them: how long one lasts, and how much of it is left.
//!
//! Several CPUs may use a lease in the same instant. Each adds itself to a counter before it reads it, so that no two
//! of them take the last connection. Kernels before 5.12 have no instruction that does both.

use core::mem::offset_of;

use ruroco_common::{
    address::Address,
    datagram::KeyId,
    doors::{Door, LEASE_RATE, Lease, MAX_FLOWS_PER_LEASE},
};

use crate::{tables, words};

/// A lease in the map.
pub(crate) struct LeaseRef(*mut Lease);

/// What a packet would begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A connection that the kernel has a socket for.
    Connection,
    /// A flow that this program remembers.
    Flow,
}

/// The lease that a source has for a door, which may have ended.
#[inline(always)]
pub(crate) fn of(door: &Door, source: Address) -> Option<LeaseRef> {
    tables::lease(&door.lease_key(source)).map(LeaseRef)
}

impl LeaseRef {
    /// When it ends.
    #[inline(always)]
    pub(crate) fn until(&self) -> u64 {
        words::read(words::field(self.0, offset_of!(Lease, until)))
    }

    /// The key of the last knock.
    #[inline(always)]
    pub(crate) fn key(&self) -> KeyId {
        let word: u64 = words::read(words::field(self.0, offset_of!(Lease, key)));
        KeyId(word.to_ne_bytes())
    }

    /// Whether it admits only so many connections.
    #[inline(always)]
    pub(crate) fn has_limit(&self) -> bool {
        self.limit() != 0
    }

    #[inline(always)]
    fn limit(&self) -> u32 {
        words::read(words::field(self.0, offset_of!(Lease, limit)))
    }

    /// Takes one connection or flow from what is left of the lease.
    #[inline(always)]
    pub(crate) fn claim(&self, claim: Claim, now: u64) -> Option<()> {
        let most = match self.limit() {
            0 => u32::MAX,
            limit => limit,
        };
        let used: *mut u32 = words::field(self.0, offset_of!(Lease, used));
        let flows: *mut u32 = words::field(self.0, offset_of!(Lease, flows));
        let is_flow = claim == Claim::Flow;
        if words::read(used) >= most || is_flow && words::read(flows) >= MAX_FLOWS_PER_LEASE {
            return None;
        }
        let bucket = words::field(self.0, offset_of!(Lease, bucket));
        if !tables::take_at(bucket, LEASE_RATE, now) {
            return None;
        }
        let is_within = add(used) <= most && (!is_flow || add(flows) <= MAX_FLOWS_PER_LEASE);
        is_within.then_some(())
    }

    /// Notes a connection that was admitted.
    #[inline(always)]
    pub(crate) fn note(&self, source_port: u16, now: u64) {
        words::write(words::field(self.0, offset_of!(Lease, last_port)), u32::from(source_port));
        words::write(words::field(self.0, offset_of!(Lease, admitted_at)), now);
    }

    /// Whether the lease has admitted a connection from this port since then, and none after it.
    #[inline(always)]
    pub(crate) fn has_admitted(&self, source_port: u16, since: u64) -> bool {
        let port: u32 = words::read(words::field(self.0, offset_of!(Lease, last_port)));
        port == u32::from(source_port) && self.admitted_at() > since
    }

    /// When it admitted a connection last; 0 for never.
    #[inline(always)]
    pub(crate) fn admitted_at(&self) -> u64 {
        words::read(words::field(self.0, offset_of!(Lease, admitted_at)))
    }

    /// Counts what was admitted.
    #[inline(always)]
    pub(crate) fn count(&self) {
        words::increment_u64(words::field(self.0, offset_of!(Lease, connections)));
    }
}

/// Adds one; the sum, or more if other CPUs have added since.
#[inline(always)]
fn add(counter: *mut u32) -> u32 {
    words::increment_u32(counter);
    words::read(counter)
}
