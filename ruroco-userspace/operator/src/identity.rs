//! Runs a check as another user, or with fewer privileges than root's.
//!
//! What a user may read depends on modes, owners, access control lists and each directory on the way. So the
//! kernel decides, for a thread of that user.

use std::thread;

use anyhow::{Context, anyhow};
use nix::unistd::User;
use rustix::thread::{
    CapabilitySet, Gid, Uid, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

/// What opens other users' files and directories to root, whatever their modes are.
const OVERRIDING: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

/// Calls `look` on a thread that is this user, with no group but the user's own and no capability.
/// To the kernel these are a thread's, so all others stay what they are.
///
/// # Errors
/// If this process may not: it takes root.
pub(super) fn run_as<T: Send>(user: &User, look: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let (uid, gid) = (Uid::from_raw(user.uid.as_raw()), Gid::from_raw(user.gid.as_raw()));
    let inside = || {
        set_thread_groups(&[])
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            // Last: it takes the right to do the others away.
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            .with_context(|| format!("could not become {}; run this as root", user.name))?;
        Ok(look())
    };
    on_thread(inside)
}

/// Calls `look` on a thread of this user's to which modes apply, as they do to root in a unit that leaves
/// it no capability to pass them over.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn run_without_overriding<T: Send>(
    look: impl FnOnce() -> T + Send,
) -> anyhow::Result<T> {
    on_thread(|| {
        let giving_up = "could not drop the capabilities that override file permissions";
        let mut sets = capabilities(None).context(giving_up)?;
        sets.effective.remove(OVERRIDING);
        set_capabilities(None, sets).context(giving_up)?;
        Ok(look())
    })
}

fn on_thread<T: Send>(inside: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let looked = scope.spawn(inside).join();
        looked.unwrap_or_else(|_| Err(anyhow!("the thread ended early")))
    })
}
