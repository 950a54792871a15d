//! seccomp: all system calls fail, except those that the running server makes.
//!
//! Other calls fail with `ENOSYS`: libraries take that for the answer of an older kernel, and do without the
//! call if it is optional. A call by the conventions of another architecture ends the process; a call by
//! those of x32 has a number that is not in the list.
//!
//! Rationale: decision 0014.

use std::{collections::BTreeMap, env::consts::ARCH, os::fd::AsRawFd, process};

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::{Needs, State};

/// Lets through, in every thread of this process, only what the server needs.
pub(super) fn restrict(needs: &Needs<'_>) -> State {
    let program = program(needs).map_err(Error::from);
    match program.and_then(|program| apply_filter_all_threads(&program)) {
        Ok(()) => State::Enforced,
        Err(error) => State::not(format!("seccomp failed: {error}")),
    }
}

fn program(needs: &Needs<'_>) -> Result<BpfProgram, BackendError> {
    let not_let_through = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let architecture = TargetArch::try_from(ARCH)?;
    SeccompFilter::new(rules(needs)?, not_let_through, SeccompAction::Allow, architecture)?
        .try_into()
}

/// System calls that are let through whatever their arguments: those that act on what this process
/// has, and those whose files Landlock chooses.
const WHATEVER: &[i64] = &[
    // Waiting, and the clock where it cannot be read without a call.
    libc::SYS_ppoll,
    libc::SYS_clock_gettime,
    // What comes from gate and commander and, with `source = "udp"`, from the network.
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    // The floors, the log, and configuration and keys when they are read again.
    libc::SYS_openat,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_close,
    libc::SYS_getdents64,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_getcwd,
    libc::SYS_readlinkat,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_unlinkat,
    libc::SYS_geteuid,
    // Memory; what makes some is below.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_getrandom,
    // Locks, signals and the end, the sudden one included (below): a fault whose handler could not
    // be taken away would come again and again.
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit_group,
];

/// The same where an architecture has it under other numbers, or a C library uses older ones.
#[cfg(target_arch = "x86_64")]
const WHATEVER_ELSE: &[i64] =
    &[libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_unlink, libc::SYS_rename];
/// `renameat` (asm-generic/unistd.h).
#[cfg(target_arch = "aarch64")]
const WHATEVER_ELSE: &[i64] = &[38];
#[cfg(target_arch = "riscv64")]
const WHATEVER_ELSE: &[i64] = &[libc::SYS_renameat2];

/// What is let through: a system call with any of its rules, or with any arguments if it has none.
fn rules(needs: &Needs<'_>) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let whatever = WHATEVER.iter().chain(WHATEVER_ELSE);
    let mut rules: BTreeMap<_, _> = whatever.map(|call| (*call, Vec::new())).collect();

    // Memory whose content is never executed.
    let no_code = has(2, SeccompCmpOp::MaskedEq(number(libc::PROT_EXEC)), 0)?;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![no_code.clone()])?]);
    }

    // Unix sockets that keep the boundaries of messages, as gate and commander have them.
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let mut sockets = vec![unix_socket(kind)?];
    if needs.service_manager {
        sockets.push(unix_socket(libc::SOCK_DGRAM | libc::SOCK_CLOEXEC)?);
    }
    rules.insert(libc::SYS_socket, sockets);

    // Something is sent only to whom a socket is connected to. That of the network is to be connected
    // to nobody; as no descriptor can be doubled, it is known by its number.
    let not_the_networks = needs
        .network
        .map(|socket| has(0, SeccompCmpOp::Ne, number(socket.as_raw_fd())))
        .transpose()?;
    let to_nobody_else = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    let send = [to_nobody_else].into_iter().chain(not_the_networks.clone()).collect();
    rules.insert(libc::SYS_sendto, vec![SeccompRule::new(send)?]);
    let connect = not_the_networks.into_iter().map(|condition| SeccompRule::new(vec![condition]));
    rules.insert(libc::SYS_connect, connect.collect::<Result<_, _>>()?);

    // The standard library, compiled for debugging, looks whether what it closes is open.
    let is_open = has(1, SeccompCmpOp::Eq, number(libc::F_GETFD))?;
    rules.insert(libc::SYS_fcntl, vec![SeccompRule::new(vec![is_open])?]);

    // abort(3), of which a panic makes use.
    let abort = vec![
        has(0, SeccompCmpOp::Eq, process::id().into())?,
        has(2, SeccompCmpOp::Eq, number(libc::SIGABRT))?,
    ];
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(abort)?]);
    Ok(rules)
}

fn unix_socket(kind: i32) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![
        has(0, SeccompCmpOp::Eq, number(libc::AF_UNIX))?,
        has(1, SeccompCmpOp::Eq, number(kind))?,
        has(2, SeccompCmpOp::Eq, 0)?,
    ])
}

/// A condition for an argument, of which the kernel checks 32 bits.
fn has(argument: u8, how: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value)
}

fn number(value: i32) -> u64 {
    value.cast_unsigned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, path::PathBuf};

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();

    fn program_for_xdp() -> BpfProgram {
        let (read, write) = (BTreeSet::new(), PathBuf::from("/nowhere"));
        program(&Needs { read, write, network: None, service_manager: false }).unwrap()
    }

    /// What the kernel finds with a program, as far as `seccompiler` makes use of its instructions
    /// (Documentation/networking/filter.rst). `data` is `struct seccomp_data` in words: number,
    /// architecture, address, arguments.
    fn run(program: &BpfProgram, data: [u32; 16]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = &program[at];
            at += 1;
            let jump = |is_true| usize::from(if is_true { instruction.jt } else { instruction.jf });
            match instruction.code {
                0x20 => accumulator = data[usize::try_from(instruction.k).unwrap() / 4],
                0x54 => accumulator &= instruction.k,
                0x05 => at += usize::try_from(instruction.k).unwrap(),
                0x15 => at += jump(accumulator == instruction.k),
                0x25 => at += jump(accumulator > instruction.k),
                0x35 => at += jump(accumulator >= instruction.k),
                0x06 => return instruction.k,
                code => panic!("another instruction: {code:#x}"),
            }
        }
    }

    fn without_arguments(number: i64, architecture: u32) -> [u32; 16] {
        let mut data = [0; 16];
        (data[0], data[1]) = (u32::try_from(number).unwrap(), architecture);
        data
    }

    /// The architecture that a program is for: what it compares first.
    fn own(program: &BpfProgram) -> u32 {
        program.iter().find(|instruction| instruction.code == 0x15).unwrap().k
    }

    #[test]
    fn what_is_not_in_the_list_is_refused_whatever_its_number() {
        let program = program_for_xdp();
        let whatever: BTreeSet<i64> = WHATEVER.iter().chain(WHATEVER_ELSE).copied().collect();
        // With arguments of 0 that looks at none, `connect` too; and these two ask for no code.
        let by_arguments =
            [libc::SYS_connect, libc::SYS_sendto, libc::SYS_mmap, libc::SYS_mprotect];
        for number in 0..1_000 {
            let is_allowed = whatever.contains(&number) || by_arguments.contains(&number);
            let expected = if is_allowed { ALLOW } else { NO_SUCH_CALL };
            let found = run(&program, without_arguments(number, own(&program)));
            assert_eq!(found, expected, "system call {number}");
        }
    }

    #[test]
    fn no_call_is_let_through_by_the_numbers_of_x32() {
        let program = program_for_xdp();
        for number in 0..1_000 {
            let number = 0x4000_0000 | number; // __X32_SYSCALL_BIT
            let found = run(&program, without_arguments(number, own(&program)));
            assert_eq!(found, NO_SUCH_CALL, "system call {number:#x}");
        }
    }

    #[test]
    fn a_call_by_another_architectures_conventions_ends_the_process() {
        let program = program_for_xdp();
        // i386, arm, and none at all (linux/audit.h).
        for architecture in [0x4000_0003, 0x4000_0028, 0] {
            for number in 0..1_000 {
                let found = run(&program, without_arguments(number, architecture));
                assert_eq!(found, libc::SECCOMP_RET_KILL_PROCESS);
            }
        }
    }
}
