//! Which TCP sessions of this host this program runs in: ending one of these would cut the operator off.
//!
//! The daemon that has the session, such as sshd, is an ancestor of the programs in it, and has its socket open. In
//! tmux, screen and mosh, no such daemon is an ancestor. The operator may also have come back by another session than that
//! in which the terminal began, so that `SSH_CONNECTION` does not identify the session, either.

use std::{collections::BTreeSet, fs, os::unix::ffi::OsStrExt, path::Path, process};

/// Most generations of processes that are searched.
const GENERATIONS: usize = 64;

/// What programs in a session from outside, or in a terminal that outlives sessions, have in their environment:
/// ssh(1), tmux(1), screen(1).
const SIGNS: [&[u8]; 3] = [b"SSH_CONNECTION=", b"TMUX=", b"STY="];

/// The sessions that this program runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// The inodes of their sockets. The console, and programs that systemd or cron starts, have no such socket.
    Known(BTreeSet<u32>),
    /// It runs in a session or terminal, and which of the host's sessions lead there is unknown.
    Unknown,
}

/// Finds them among the sockets of all sessions, which their inodes name.
pub(super) fn find(sessions: &BTreeSet<u32>) -> Own {
    let mut own = BTreeSet::new();
    let mut has_sign = false;
    for pid in ancestors() {
        own.extend(sockets_of(pid).intersection(sessions));
        has_sign |= is_marked(&fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
    }
    match own.is_empty() && has_sign {
        true => Own::Unknown,
        false => Own::Known(own),
    }
}

/// This process and those that have started it.
pub(super) fn ancestors() -> Vec<u32> {
    let mut pids = vec![process::id()];
    while let Some(last) = pids.last()
        && pids.len() < GENERATIONS
        && let Ok(stat) = fs::read_to_string(format!("/proc/{last}/stat"))
        && let Some(next) = parent(&stat)
    {
        pids.push(next);
    }
    pids
}

/// The process id of the parent in `/proc/PID/stat` (proc_pid_stat(5)). The name of a program may have any characters.
fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok().filter(|pid| *pid != 0)
}

/// The inodes of the sockets that a process has open.
fn sockets_of(pid: u32) -> BTreeSet<u32> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| inode(&link)).collect()
}

/// `socket:[INODE]` (proc_pid_fd(5)).
fn inode(link: &Path) -> Option<u32> {
    let text = str::from_utf8(link.as_os_str().as_bytes()).ok()?;
    text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether an environment is that of a session or terminal.
fn is_marked(environment: &[u8]) -> bool {
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| SIGNS.iter().any(|sign| variable.starts_with(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, os::fd::AsRawFd};

    #[test]
    fn the_parent_of_a_program_with_any_name_is_found() {
        assert_eq!(parent("7 (a) S 9 (b)) R 6 7 8 0"), Some(6));
        assert_eq!(parent("1 (systemd) S 0 1 1"), None);
        assert_eq!(ancestors().get(1), Some(&std::os::unix::process::parent_id()));
    }

    #[test]
    fn a_socket_that_this_process_has_open_is_its_own() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = inode(&link).unwrap();
        // No socket has this one.
        let sessions = BTreeSet::from([inode, u32::MAX]);
        assert_eq!(find(&sessions), Own::Known(BTreeSet::from([inode])));
    }

    #[test]
    fn sessions_and_terminals_leave_their_signs() {
        for marked in [
            &b"HOME=/root\0SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22"[..],
            b"TMUX=/tmp/tmux-0/default,7,0\0A=1",
            b"STY=7.pts-0.host\0",
        ] {
            assert!(is_marked(marked));
        }
        for other in [&b""[..], b"TMUX_TMPDIR=/tmp\0TERM=SSH_CONNECTION="] {
            assert!(!is_marked(other));
        }
    }
}
