//! The privileges that the gate keeps after its start, and those that it drops.

use anyhow::Context;
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};

/// Attaching to an interface, changing programs and maps, and having the verifier follow packet
/// pointers need these three (Linux 5.8).
pub const FOR_XDP: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::PERFMON).union(CapabilitySet::BPF);

/// Without an XDP program: changing tables, and reading keys at a reload that belong to the server's user. The unit of
/// the package leaves the second out, because there the keys are root's.
pub const FOR_TABLES: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::DAC_READ_SEARCH);

/// Gives up every capability but these, for good.
///
/// # Errors
/// If the kernel refuses a step.
pub fn drop_all_but(kept: CapabilitySet) -> anyhow::Result<()> {
    let optional = CapabilitySet::DAC_READ_SEARCH;
    let own = capabilities(None).context("could not read the capabilities")?.permitted;
    let kept = kept.difference(optional).union(kept.intersection(optional).intersection(own));
    set_no_new_privs(true).context("could not set no-new-privs")?;
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // Unknown to this kernel, or already without the right to drop what is dropped already.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => {
                return Err(error).context("could not narrow the capability bounding set");
            }
        }
    }
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).context(
        "could not keep CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, which the gate needs; run it as root",
    )
}
