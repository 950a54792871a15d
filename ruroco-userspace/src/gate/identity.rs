//! Looking at things as another user does.
//!
//! What a user may read hangs on modes, owners, lists of rights and each directory on the way. Who
//! wants to know asks the kernel, as that user.

use std::thread;

use anyhow::{Context, anyhow};
use nix::unistd::User;
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

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
    thread::scope(|scope| {
        let looked = scope.spawn(inside).join();
        looked.unwrap_or_else(|_| Err(anyhow!("the thread ended early")))
    })
}
