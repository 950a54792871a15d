//! Leases as the program uses them: how long one lasts, and how much of it is left.
//!
//! Several CPUs may use a lease in the same instant. Each adds itself to a counter before it reads it, so that no two
//! of them take the last connection. Kernels before 5.12 have no instruction that does both.

use ruroco_common::{
    address::Address,
    doors::{Door, LEASE_RATE, Lease, MAX_FLOWS_PER_LEASE},
};

use crate::{atomic, tables};

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
        // SAFETY: the map gave the address, which is aligned and stays valid as long as this program runs; the
        // gate may write the lease, but words are not torn. So in all of these functions.
        unsafe { (&raw const (*self.0).until).read_volatile() }
    }

    /// Whether it admits only so many connections.
    #[inline(always)]
    pub(crate) fn has_limit(&self) -> bool {
        self.limit() != 0
    }

    #[inline(always)]
    fn limit(&self) -> u32 {
        // SAFETY: see `until`.
        unsafe { (&raw const (*self.0).limit).read_volatile() }
    }

    /// Takes one connection or flow from what is left of the lease.
    #[inline(always)]
    pub(crate) fn claim(&self, claim: Claim, now: u64) -> Option<()> {
        let most = match self.limit() {
            0 => u32::MAX,
            limit => limit,
        };
        // SAFETY: see `until`.
        let (used, flows, bucket) = unsafe {
            (&raw mut (*self.0).used, &raw mut (*self.0).flows, &raw mut (*self.0).bucket)
        };
        if read(used) >= most || claim == Claim::Flow && read(flows) >= MAX_FLOWS_PER_LEASE {
            return None;
        }
        if !tables::take_at(bucket, LEASE_RATE, now) {
            return None;
        }
        let counted = add(used) <= most;
        (counted && (claim == Claim::Connection || add(flows) <= MAX_FLOWS_PER_LEASE)).then_some(())
    }

    /// Notes a connection that was admitted.
    #[inline(always)]
    pub(crate) fn note(&self, source_port: u16, now: u64) {
        // SAFETY: see `until`.
        unsafe {
            (&raw mut (*self.0).last_port).write_volatile(source_port.into());
            (&raw mut (*self.0).admitted_at).write_volatile(now);
        }
    }

    /// Whether the lease has admitted a connection from this port since then, and none after it.
    #[inline(always)]
    pub(crate) fn has_admitted(&self, source_port: u16, since: u64) -> bool {
        // SAFETY: see `until`.
        let (port, at) = unsafe {
            let port = (&raw const (*self.0).last_port).read_volatile();
            (port, (&raw const (*self.0).admitted_at).read_volatile())
        };
        port == source_port.into() && at > since
    }

    /// Counts what was admitted.
    #[inline(always)]
    pub(crate) fn count(&self) {
        // SAFETY: see `until`.
        unsafe { atomic::increment_u64(&raw mut (*self.0).connections) }
    }
}

/// Adds one; the sum, or more if other CPUs have added since.
#[inline(always)]
fn add(counter: *mut u32) -> u32 {
    // SAFETY: see `LeaseRef::until`.
    unsafe { atomic::increment_u32(counter) }
    read(counter)
}

#[inline(always)]
fn read(counter: *mut u32) -> u32 {
    // SAFETY: see `LeaseRef::until`.
    unsafe { counter.read_volatile() }
}
