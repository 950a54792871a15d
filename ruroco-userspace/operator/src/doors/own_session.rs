//! The SSH session that this program runs in: ending it, or closing its way in, would be a surprise.
//!
//! sshd puts both ends of the connection into `SSH_CONNECTION`. sudo removes the variable, so the environments of the
//! processes that have started this one are searched, too.

use std::{fs, net::IpAddr, process};

/// Most generations of processes that are searched.
const GENERATIONS: usize = 64;

/// The two ends of an SSH session with this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnSession {
    /// The address of the other host.
    pub(crate) peer: IpAddr,
    /// The port of the other host.
    pub(crate) peer_port: u16,
    /// The address of this host.
    pub(crate) address: IpAddr,
    /// The port of this host.
    pub(crate) port: u16,
}

/// The session, if there is one.
pub(crate) fn find() -> Option<OwnSession> {
    let mut pid = process::id();
    for _ in 0..GENERATIONS {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if let Some(session) = in_environment(&environment) {
            return Some(session);
        }
        pid = parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    }
    None
}

/// The process id of the parent in `/proc/PID/stat` (proc_pid_stat(5)). The name of a program may have any characters.
fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok().filter(|pid| *pid != 0)
}

/// `SSH_CONNECTION` (ssh(1)): address and port of the client, and of the server.
fn in_environment(environment: &[u8]) -> Option<OwnSession> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(b"SSH_CONNECTION="))?;
    let mut fields = str::from_utf8(value).ok()?.split(' ');
    let mut end = || {
        let address: IpAddr = fields.next()?.parse().ok()?;
        Some((address.to_canonical(), fields.next()?.parse().ok()?))
    };
    let ((peer, peer_port), (address, port)) = (end()?, end()?);
    Some(OwnSession { peer, peer_port, address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_sshd_writes_it() {
        let environment = b"HOME=/root\0SSH_CONNECTION=2001:db8::7 50122 2001:db8::1 22\0TERM=x\0";
        let session = in_environment(environment).unwrap();
        assert_eq!((session.peer, session.peer_port), ("2001:db8::7".parse().unwrap(), 50122));
        assert_eq!((session.address, session.port), ("2001:db8::1".parse().unwrap(), 22));
        for other in [&b"SSH_CONNECTION="[..], b"SSH_CONNECTION=192.0.2.1 x", b"", b"A=1\0"] {
            assert_eq!(in_environment(other), None);
        }
    }

    #[test]
    fn the_parent_of_a_program_with_any_name_is_found() {
        assert_eq!(parent("7 (a) S 9 (b)) R 6 7 8 0"), Some(6));
        assert_eq!(parent("1 (systemd) S 0 1 1"), None);
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(parent(&stat), Some(std::os::unix::process::parent_id()));
    }
}
