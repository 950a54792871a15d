//! A commander that is started by hand, from a shell with a terminal and whatever else it has: none of it
//! gets into a command.

use std::{
    ffi::{CStr, CString},
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::Child,
};

use libc::c_int;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{
    harness::{Commander, Host, check, is_root, order, put_in_place},
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

/// KEYCTL_JOIN_SESSION_KEYRING and KEY_SPEC_SESSION_KEYRING (linux/keyctl.h).
const JOIN_SESSION_KEYRING: c_int = 1;
const SESSION_KEYRING: c_int = -3;

fn join_session_keyring() -> io::Result<()> {
    // SAFETY: without a name the call reads no memory.
    let joined =
        unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
    check(joined.try_into().unwrap_or(-1)).map(drop)
}

/// Adds a key to the session keyring of this process.
fn add_key(name: &CStr) -> io::Result<()> {
    let (kind, name, content) = (c"user".as_ptr(), name.as_ptr(), b"secret");
    let size = content.len();
    // SAFETY: reads two texts up to their ends, and as many bytes as there are.
    let key =
        unsafe { libc::syscall(libc::SYS_add_key, kind, name, content, size, SESSION_KEYRING) };
    if key < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a shell may have done that has a key in its session.
fn join_keyring_with_a_key() -> io::Result<()> {
    join_session_keyring()?;
    add_key(c"of-the-shell")
}

/// A process that has as many keys as its user may have, for as long as this lives.
struct FullQuota(Child);

impl FullQuota {
    fn of(user: u32) -> Self {
        let most = fs::read_to_string("/proc/sys/kernel/keys/maxkeys").unwrap();
        let most: usize = most.trim().parse().unwrap();
        let names: Vec<_> =
            (0..most).map(|number| CString::new(format!("key {number}")).unwrap()).collect();
        let fill = move || {
            join_session_keyring()?;
            for name in &names {
                match add_key(name) {
                    Err(error) if error.raw_os_error() == Some(libc::EDQUOT) => return Ok(()),
                    added => added?,
                }
            }
            Err(io::Error::other("there is room for more keys"))
        };
        let mut command = Command::new("sleep");
        command.arg("600").uid(user);
        // SAFETY: what is done is made of system calls, on memory that was there before.
        let child = unsafe { command.pre_exec(fill) }.spawn();
        Self(child.expect("fill a quota of keys"))
    }
}

impl Drop for FullQuota {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A user that nobody else has, so that nobody else's quota is full.
const CROWDED: u32 = 1_736_021;

#[test]
fn no_key_of_the_sessions_keyring_if_the_user_has_no_room_for_a_keyring() {
    if !is_root("running as another user") || !fs::exists("/proc/keys").unwrap() {
        return;
    }
    let host =
        Host::new("[commands.keys]\nshell = \"cat /proc/keys; echo end\"\nuser = \"crowded\"\n");
    let users = fs::read_to_string("/etc/passwd").unwrap();
    host.write("passwd", &format!("{users}crowded:x:{CROWDED}:{CROWDED}::/:/bin/sh\n"), 0o644);
    let _full = FullQuota::of(CROWDED);
    let commander = host.start_by(|command| {
        put_in_place(command, &[(&host.path("passwd"), "/etc/passwd")]);
        // SAFETY: what is done is made of system calls, on memory that was there before.
        unsafe { command.pre_exec(join_keyring_with_a_key) };
    });
    commander.connect().send(&order("keys"));
    commander.line(&["ended", "command=keys", "result=could_not_run", "kernel.keys.maxkeys"]);
    assert_eq!(commander.output("keys"), [""; 0]);
}

#[test]
fn no_key_of_the_sessions_keyring() {
    if !is_root("running as another user") || !fs::exists("/proc/keys").unwrap() {
        return;
    }
    let host =
        Host::new("[commands.keys]\nshell = \"cat /proc/keys; echo end\"\nuser = \"nobody\"\n");
    let commander = start_after(&host, join_keyring_with_a_key);
    commander.connect().send(&order("keys"));
    commander.line(&["ended", "command=keys", "result=exit:0"]);
    let seen = commander.output("keys");
    assert_eq!(seen.last().map(String::as_str), Some("end"));
    assert!(!seen.iter().any(|key| key.contains("of-the-shell")), "{seen:#?}");
}
