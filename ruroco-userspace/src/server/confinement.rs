//! What the server gives up before it looks at the first packet.

use anyhow::{Context, bail};
use rustix::{
    process::{DumpableBehavior, geteuid, set_dumpable_behavior},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};

/// Refuses to go on as root: no capability that it gave up would change what root may do to files.
///
/// # Errors
/// If this process is root; says how to start it instead.
pub fn refuse_root() -> anyhow::Result<()> {
    if geteuid().is_root() {
        bail!(
            "refusing to run as root: the server needs no privilege; start it as the configured \
             `socket_user`, for example with: setpriv --reuid ruroco --regid ruroco --clear-groups \
             ruroco-server"
        );
    }
    Ok(())
}

/// Gives up every capability and the way to get any back, and keeps other processes of the same
/// user from reading the keys in this one's memory.
///
/// # Errors
/// If the kernel refuses a step.
pub fn confine() -> anyhow::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_no_new_privs(true).context("could not set no-new-privs")?;
    set_capabilities(None, none).context("could not drop the capabilities")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("could not close this process's memory to others")
}
