//! The SSH session that this program was started in, as its environment has it: enough for a warning.
//!
//! sshd puts both ends of the connection into `SSH_CONNECTION`. sudo removes the variable, so the environments of the
//! processes that have started this one are searched, too. In tmux, it may be an earlier session, which is why
//! [`own_sockets`](super::own_sockets) decides which sessions are spared.

use std::{fs, net::IpAddr};

use super::own_sockets::ancestors;

/// The two ends of an SSH session with this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnSession {
    /// The address of the other host.
    peer: IpAddr,
    /// The port of the other host.
    peer_port: u16,
    /// The address of this host.
    pub(crate) address: IpAddr,
    /// The port of this host.
    port: u16,
}

/// The session, if there is one.
pub(crate) fn find() -> Option<OwnSession> {
    ancestors().into_iter().find_map(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        in_environment(&environment)
    })
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
}
