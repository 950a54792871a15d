//! Drops what the commander has inherited from its parent, so that no command inherits it.
//!
//! From a service manager, the commander inherits next to nothing; from a shell, it may inherit open files,
//! and ignored or blocked signals. docs/operate/configuration.md lists what a command gets. All the rest is
//! dropped here, once, or by each command at its start (`spawn`).

use std::{fs, io, mem::MaybeUninit, ptr};

use anyhow::Context;
use libc::{FD_CLOEXEC, SIG_IGN, SIGPIPE, SYS_rt_sigaction, c_int, sigset_t, syscall};

/// Standard input, output and error: each command gets its own.
const STANDARD: c_int = 3;

/// Signals have numbers from 1 to this.
const SIGNALS: c_int = 64;

/// Bytes in a set of signals for the kernel: a bit for each.
const SIGNAL_SET: usize = 8;

/// Gives it up. To be called before there are threads and handlers of signals.
///
/// # Errors
/// If /proc is not mounted, or the kernel does not make a keyring.
pub fn give_up() -> anyhow::Result<()> {
    leave_session_keyring().context(
        "could not replace the inherited session keyring, whose keys commands could use. See the limits with: sysctl \
        kernel.keys",
    )?;
    close_on_exec()
        .context("could not list the open files in /proc/self/fd. Check that /proc is mounted")?;
    (1..=SIGNALS).for_each(stop_ignoring);
    unblock_signals();
    Ok(())
}

/// Has every open file be closed in commands.
fn close_on_exec() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number @ STANDARD..) = number {
            // SAFETY: takes numbers, touches no memory, and closes nothing in this process.
            unsafe { libc::fcntl(number, libc::F_SETFD, FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// What is ignored stays ignored in commands. `SIGPIPE` is ignored by Rust, which gives it back to them.
///
/// By the bare system call: C libraries have signals of their own that they do not let be changed, and a
/// parent may have ignored these, too.
fn stop_ignoring(signal: c_int) {
    if signal == SIGPIPE {
        return;
    }
    // Longer than the kernel's `struct sigaction`, which begins with the handler (asm-generic/signal.h) and
    // means the default if all of it is 0.
    let default = [0_usize; 8];
    let mut action = default;
    // SAFETY: writes what is asked for into memory that is long enough, and changes nothing.
    let result = unsafe {
        syscall(SYS_rt_sigaction, signal, ptr::null::<usize>(), action.as_mut_ptr(), SIGNAL_SET)
    };
    if result == 0 && action.first() == Some(&SIG_IGN) {
        // SAFETY: reads memory that is long enough; the default is no function of ours.
        unsafe {
            syscall(SYS_rt_sigaction, signal, default.as_ptr(), ptr::null::<usize>(), SIGNAL_SET)
        };
    }
}

/// Blocked signals would not reach this process; commands get an empty mask anyway.
fn unblock_signals() {
    let mut none = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: writes an empty set into memory of its size.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: reads the set that was just written.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
}

/// Gives the calling process a session keyring of its own, so that it does not possess the keys in the
/// inherited keyring.
///
/// The commander does so when it starts, as root: from then on, no command can reach a key of the shell that
/// started the commander. Each command does so again, so that commands do not share a keyring either. There,
/// the new keyring counts for the command's user, who may have as many keys as the kernel allows.
///
/// May be called between fork and exec.
///
/// # Errors
/// If there is no room for the keyring (`EDQUOT`, `ENOMEM`). A kernel without keyrings (`ENOSYS`) has no keys
/// to protect, and if a container's filter forbids keyrings (`EPERM`), it forbids them for commands as well.
pub(super) fn leave_session_keyring() -> io::Result<()> {
    /// `KEYCTL_JOIN_SESSION_KEYRING` (linux/keyctl.h).
    const JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: without a name the call reads no memory.
    let joined =
        unsafe { syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, ptr::null::<libc::c_char>()) };
    if joined >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    #[test]
    fn what_was_open_before_is_closed_in_commands() {
        let file = fs::File::open("/dev/null").unwrap();
        // SAFETY: copies a descriptor of ours; the copy is not closed on exec.
        let copy = unsafe { libc::dup(file.as_raw_fd()) };
        assert!(copy >= STANDARD, "{}", io::Error::last_os_error());
        // SAFETY: it is nobody else's.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        assert_eq!(rustix::io::fcntl_getfd(&copy).unwrap(), rustix::io::FdFlags::empty());
        close_on_exec().unwrap();
        assert_eq!(rustix::io::fcntl_getfd(&copy).unwrap(), rustix::io::FdFlags::CLOEXEC);
    }
}
