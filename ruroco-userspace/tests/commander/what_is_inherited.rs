//! A commander that is started by hand, from a shell with a terminal and whatever else it has: none of it
//! gets into a command.

use std::{
    ffi::CString,
    os::{fd::OwnedFd, unix::process::CommandExt},
};

use libc::c_int;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{
    harness::{Commander, Host, is_root, order},
    *,
};

/// A terminal: its other end, and its path.
fn terminal() -> (OwnedFd, CString) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    (ours, path)
}

/// A commander for which this was done before it was started, as a shell might.
fn start_after(
    host: &Host,
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> Commander {
    // SAFETY: what the tests do is made of system calls, on memory that was there before.
    host.start_by(|command| unsafe {
        command.pre_exec(prepare);
    })
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Session and terminal of a process, the 6th and 7th fields, counted from 1 (`proc_pid_stat`(5)).
fn session_and_terminal(stat: &str) -> (i32, i32) {
    let third_and_on: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (third_and_on[6 - 3].parse().unwrap(), third_and_on[7 - 3].parse().unwrap())
}

#[test]
fn no_session_and_no_terminal() {
    let (_other_end, path) = terminal();
    let host = Host::new(
        "[commands.look]\nshell = \"\"\"\ncat /proc/$$/stat\n\
         if (: </dev/tty) 2>/dev/null; then echo terminal; else echo none; fi\"\"\"\n",
    );
    let commander = start_after(&host, move || {
        // A session without a terminal gets the first that its leader opens.
        // SAFETY: takes nothing and touches no memory.
        check(unsafe { libc::setsid() })?;
        // SAFETY: reads the path up to its end.
        check(unsafe { libc::open(path.as_ptr(), libc::O_RDWR) })?;
        Ok(())
    });
    let own = fs::read_to_string(format!("/proc/{}/stat", commander.pid())).unwrap();
    let (session, terminal) = session_and_terminal(&own);
    assert_ne!(terminal, 0, "the commander has no terminal itself");
    commander.connect().send(&order("look"));
    commander.line(&["ended", "command=look", "result=exit:0"]);
    let [stat, found] = &commander.output("look")[..] else { panic!("{:?}", commander.lines()) };
    let (commands_session, commands_terminal) = session_and_terminal(stat);
    assert_ne!(commands_session, session);
    assert_eq!((commands_terminal, found.as_str()), (0, "none"));
}

#[test]
fn no_open_file_and_no_signal_that_is_ignored_or_blocked() {
    let host = Host::new(
        "[commands.descriptors]\nrun = [\"ls\", \"/proc/self/fd\"]\n\
         [commands.signals]\nrun = [\"grep\", \"-E\", \"^Sig(Blk|Ign)\", \"/proc/self/status\"]\n",
    );
    let commander = start_after(&host, || {
        for signal in [libc::SIGQUIT, libc::SIGCHLD, libc::SIGUSR1, libc::SIGTSTP, 40] {
            // SAFETY: to ignore a signal takes no function of ours.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        let mut blocked = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: writes a whole set into memory of its size.
        check(unsafe { libc::sigfillset(blocked.as_mut_ptr()) })?;
        // SAFETY: reads the set that was just written.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, blocked.as_ptr(), std::ptr::null_mut()) };
        for copy in [7, 400] {
            // SAFETY: takes numbers of descriptors; the copies are nobody else's.
            check(unsafe { libc::dup2(0, copy) })?;
        }
        Ok(())
    });
    let connection = commander.connect();
    for name in ["descriptors", "signals"] {
        connection.send(&order(name));
        commander.line(&["ended", &format!("command={name} "), "result=exit:0"]);
    }
    // The last one is that of the directory that `ls` reads.
    assert_eq!(commander.output("descriptors"), ["0", "1", "2", "3"]);
    let none = "0000000000000000";
    let expected = ["SigBlk", "SigIgn"].map(|name| format!("{name}:\\t{none}"));
    assert_eq!(commander.output("signals"), expected);
    // Signals that were blocked for the commander end it all the same.
    let mut commander = commander;
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
}

#[test]
fn no_key_of_the_sessions_keyring() {
    if !is_root("running as another user") || !fs::exists("/proc/keys").unwrap() {
        return;
    }
    let host =
        Host::new("[commands.keys]\nshell = \"cat /proc/keys; echo end\"\nuser = \"nobody\"\n");
    let commander = start_after(&host, || {
        // KEYCTL_JOIN_SESSION_KEYRING and KEY_SPEC_SESSION_KEYRING (linux/keyctl.h).
        let (join, session) = (1, -3);
        // SAFETY: without a name the call reads no memory.
        let joined = unsafe { libc::syscall(libc::SYS_keyctl, join, std::ptr::null::<u8>()) };
        check(joined.try_into().unwrap_or(-1))?;
        let (kind, name, content) = (c"user", c"of-the-shell", b"secret");
        let (kind, name, content) = (kind.as_ptr(), name.as_ptr(), content.as_ptr());
        // SAFETY: reads two texts up to their ends, and as many bytes as there are.
        let key = unsafe { libc::syscall(libc::SYS_add_key, kind, name, content, 6, session) };
        check(key.try_into().unwrap_or(-1))?;
        Ok(())
    });
    commander.connect().send(&order("keys"));
    commander.line(&["ended", "command=keys", "result=exit:0"]);
    let seen = commander.output("keys");
    assert_eq!(seen.last().map(String::as_str), Some("end"));
    assert!(!seen.iter().any(|key| key.contains("of-the-shell")), "{seen:#?}");
}
