//! Real-time scheduling of a command for its first moment.
//!
//! On hosts with floods, server and commander have real-time scheduling (`SCHED_RR`), so that a knock does
//! not wait for a CPU that is busy with rejected packets. A command should start as fast, but it may run for
//! hours. So its own process keeps real-time scheduling for a moment, in which most commands end, and
//! processes that it starts never have it.
//!
//! Rationale: decision 0010.

use std::{
    io,
    os::{fd::BorrowedFd, unix::process::CommandExt},
    process::Command,
    time::{Duration, Instant},
};

use libc::{SCHED_FIFO, SCHED_OTHER, SCHED_RESET_ON_FORK, SCHED_RR, c_int, c_long, syscall};
use ruroco_daemon::wait::wait;
use rustix::process::Pid;

/// How long it lasts.
const LENGTH: Duration = Duration::from_millis(50);

/// The calling thread, to the system calls below.
const ONESELF: c_int = 0;

/// The head start of one command.
#[derive(Debug)]
pub struct HeadStart(());

impl HeadStart {
    /// Prepares a command for it; gives none if the calling thread, which is to start the command,
    /// is not in real time either.
    pub fn prepare(command: &mut Command) -> Option<Self> {
        let policy = real_time_policy()?;
        let keep_from_children = move || {
            // Where that is not allowed (`RestrictRealtime=`) there is no head start; a command that
            // does not run because of it would be worse.
            let set = set_policy(ONESELF, policy, LEAST_PRIORITY);
            let _ = set.or_else(|_| set_policy(ONESELF, SCHED_OTHER, NO_PRIORITY));
            Ok(())
        };
        // SAFETY: between fork and exec there are one or two system calls; no memory is allocated.
        unsafe { command.pre_exec(keep_from_children) };
        Some(Self(()))
    }

    /// Lets it pass, then gives the command the kernel's ordinary time sharing. `ended` is readable
    /// when the command has ended, which has not been waited for.
    ///
    /// # Errors
    /// If the commander may not: it takes `CAP_SYS_NICE` if the command has another user.
    pub fn pass(self, command: Pid, ended: BorrowedFd<'_>) -> io::Result<()> {
        let [ended] = wait([Some(ended)], Instant::now().checked_add(LENGTH))?;
        if ended {
            return Ok(());
        }
        set_policy(command.as_raw_nonzero().get(), SCHED_OTHER, NO_PRIORITY)
    }
}

/// Gives up real-time scheduling for the calling thread and for what it starts. Where there is none, nothing changes.
pub fn decline_real_time() {
    if real_time_policy().is_some() {
        let _ = set_policy(ONESELF, SCHED_OTHER, NO_PRIORITY);
    }
}

/// The least in real time (sched(7)).
const LEAST_PRIORITY: c_int = 1;
/// The only one in time sharing.
const NO_PRIORITY: c_int = 0;

/// The calling thread's, if it is in real time.
fn real_time_policy() -> Option<c_int> {
    // SAFETY: takes a number, touches no memory.
    let policy = unsafe { syscall(libc::SYS_sched_getscheduler, ONESELF) };
    [SCHED_FIFO, SCHED_RR].into_iter().find(|real_time| policy == c_long::from(*real_time))
}

/// Sets it for a thread, and time sharing for whatever that starts. By the bare system call: musl's
/// function does nothing.
fn set_policy(thread: c_int, policy: c_int, priority: c_int) -> io::Result<()> {
    let policy = policy | SCHED_RESET_ON_FORK;
    // SAFETY: reads one `struct sched_param`, which is this integer (linux/sched/types.h).
    let result =
        unsafe { syscall(libc::SYS_sched_setscheduler, thread, policy, &raw const priority) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
