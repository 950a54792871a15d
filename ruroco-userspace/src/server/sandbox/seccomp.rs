//! seccomp: all system calls fail but those that the server makes once it runs.
//!
//! What is not let through fails with `ENOSYS`: every library takes that for the answer of an older
//! kernel and, where it was only trying, does without. A call by the conventions of another
//! architecture ends the process; one by those of x32 has a number that is not in the list.

use std::{
    collections::BTreeMap,
    env::consts::ARCH,
    os::fd::{AsRawFd, BorrowedFd},
};

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::State;

/// Lets through, in every thread of this process, only what the server needs.
pub(super) fn restrict(network: Option<BorrowedFd<'_>>) -> State {
    // The numbers of system calls are those of an architecture.
    let Ok(architecture) = TargetArch::try_from(ARCH) else {
        return State::not(format!("there is no list of system calls for {ARCH}"));
    };
    let program = program(network, architecture).map_err(Error::from);
    match program.and_then(|program| apply_filter_all_threads(&program)) {
        Ok(()) => State::Enforced,
        Err(error) => State::not(format!("seccomp failed: {error}")),
    }
}

fn program(
    network: Option<BorrowedFd<'_>>,
    architecture: TargetArch,
) -> Result<BpfProgram, BackendError> {
    let not_let_through = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules(network)?, not_let_through, SeccompAction::Allow, architecture)?
        .try_into()
}

/// System calls that are let through whatever their arguments: those that act on what this process
/// has, and those whose files Landlock chooses.
const WHATEVER: &[i64] = &[
    // Waiting, and the clock where it cannot be read without a call.
    libc::SYS_ppoll,
    libc::SYS_clock_gettime,
    libc::SYS_restart_syscall,
    // What comes from the gate, from the commander and, with `source = "udp"`, from the network.
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    // The floors, the log, and configuration and keys when they are read again.
    libc::SYS_openat,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_close,
    libc::SYS_getdents64,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_geteuid,
    // Memory; what makes some is below.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_getrandom,
    // Locks, signals and the end.
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_exit_group,
];

/// The same under the numbers of an older time, which some C libraries use.
#[cfg(target_arch = "x86_64")]
const WHATEVER_ELSE: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_unlink,
    libc::SYS_rename,
];
#[cfg(not(target_arch = "x86_64"))]
const WHATEVER_ELSE: &[i64] = &[];

/// What is let through: a system call with any of its rules, or with any arguments if it has none.
fn rules(network: Option<BorrowedFd<'_>>) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let whatever = WHATEVER.iter().chain(WHATEVER_ELSE);
    let mut rules: BTreeMap<_, _> = whatever.map(|call| (*call, Vec::new())).collect();

    // Memory whose content is never executed.
    let no_code = is(2, SeccompCmpOp::MaskedEq(number(libc::PROT_EXEC)), 0)?;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![no_code.clone()])?]);
    }

    // Unix sockets that keep the boundaries of messages, as gate and commander have them.
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let unix = vec![
        is(0, SeccompCmpOp::Eq, number(libc::AF_UNIX))?,
        is(1, SeccompCmpOp::Eq, number(kind))?,
        is(2, SeccompCmpOp::Eq, 0)?,
    ];
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(unix)?]);

    // Sent is only to whom a socket is connected to. The network's is connected to nobody, and as
    // no descriptor can be doubled, it is known by its number.
    let to_nobody_else = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    let not_the_networks =
        network.map(|socket| is(0, SeccompCmpOp::Ne, number(socket.as_raw_fd()))).transpose()?;
    let send = [to_nobody_else].into_iter().chain(not_the_networks.clone()).collect();
    rules.insert(libc::SYS_sendto, vec![SeccompRule::new(send)?]);
    let connect = not_the_networks.into_iter().map(|condition| SeccompRule::new(vec![condition]));
    rules.insert(libc::SYS_connect, connect.collect::<Result<_, _>>()?);
    Ok(rules)
}

/// A condition for an argument, of which the kernel looks at 32 bits.
fn is(argument: u8, how: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value)
}

fn number(value: i32) -> u64 {
    value.cast_unsigned().into()
}
