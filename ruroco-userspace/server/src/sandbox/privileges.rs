//! The privileges of the process: its user, its capabilities, and the access of other processes to it.

use anyhow::{Context, bail};
use rustix::{
    process::{DumpableBehavior, geteuid, set_dumpable_behavior},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

use super::State;

/// Refuses to go on as root: no capability that it gave up would change what root may do to files.
///
/// # Errors
/// If this process is root; says how to start it instead.
pub fn refuse_root() -> anyhow::Result<()> {
    if geteuid().is_root() {
        bail!(
            "the server does not run as root: it needs no privilege. Start it as `server_user`, for example with: \
            setpriv --reuid ruroco --regid ruroco --clear-groups --bounding-set=-all ruroco-server"
        );
    }
    Ok(())
}

/// Takes the way to any new privilege.
pub(super) fn refuse_new() -> anyhow::Result<()> {
    set_no_new_privs(true).context("could not set no-new-privs")
}

/// Keeps other processes of the same user from reading the keys in this one's memory.
pub(super) fn close_memory() -> anyhow::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("could not protect this process's memory from other processes")
}

/// Empties the bounding set, which needs `CAP_SETPCAP`. The server usually does not have it, and depends on
/// the program that started it.
pub(super) fn empty_bounding_set() -> State {
    let is_left = |capability: &CapabilitySet| {
        // An error is a capability that this kernel does not have.
        remove_capability_from_bounding_set(*capability).is_err()
            && capability_is_in_bounding_set(*capability).unwrap_or(false)
    };
    if CapabilitySet::all().iter().any(|capability| is_left(&capability)) {
        return State::not(
            "needs CAP_SETPCAP; start the server with `setpriv --bounding-set=-all` or systemd's \
            `CapabilityBoundingSet=`",
        );
    }
    State::Enforced
}

/// Gives up every capability. The kernel takes them out of the ambient set then, too.
pub(super) fn drop_capabilities() -> anyhow::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // Who started it may have done so already, and have taken the system call away, too.
    if capabilities(None).is_ok_and(|has| has == none) {
        return Ok(());
    }
    set_capabilities(None, none).context("could not drop the capabilities")
}
