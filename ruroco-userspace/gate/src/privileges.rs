//! The privileges that the gate keeps after its start, and those that it drops.

use anyhow::Context;
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};

/// Attaching to an interface, changing programs and maps, and having the verifier follow packet
/// pointers need these three (Linux 5.8).
const KEPT: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::PERFMON).union(CapabilitySet::BPF);

/// Gives up every capability but the three that the gate needs, for good.
///
/// # Errors
/// If the kernel refuses a step.
pub fn drop_all_but_needed() -> anyhow::Result<()> {
    set_no_new_privs(true).context("could not set no-new-privs")?;
    for capability in CapabilitySet::all().difference(KEPT).iter() {
        match remove_capability_from_bounding_set(capability) {
            // Unknown to this kernel, or already without the right to drop what is dropped already.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => {
                return Err(error).context("could not narrow the capability bounding set");
            }
        }
    }
    let sets =
        CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).context(
        "could not keep CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, which the gate needs; run it as root",
    )
}
