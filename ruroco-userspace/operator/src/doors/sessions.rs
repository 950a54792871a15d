//! The TCP sessions of this host, as `/proc/net/tcp` and `/proc/net/tcp6` list them.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// `TCP_ESTABLISHED` (include/net/tcp_states.h), as the files show it.
const ESTABLISHED: &str = "01";

/// An established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The port on this host.
    pub(super) port: u16,
    /// The address of the other host.
    pub(super) peer: IpAddr,
}

/// All of them.
///
/// # Errors
/// If the kernel does not list them.
pub(super) fn established() -> io::Result<Vec<Session>> {
    let mut sessions = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(file) {
            Ok(text) => sessions.extend(text.lines().filter_map(parse)),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sessions)
}

/// `sl local_address rem_address st …`; nothing for the heading and for other states.
fn parse(line: &str) -> Option<Session> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (columns.next()?, columns.next()?);
    if columns.next() != Some(ESTABLISHED) {
        return None;
    }
    let port = u16::from_str_radix(local.split_once(':')?.1, 16).ok()?;
    Some(Session { port, peer: address(remote.split_once(':')?.0)? })
}

/// Words of 32 bits in hexadecimal, each in the byte order of this machine.
fn address(text: &str) -> Option<IpAddr> {
    let mut words = [0; 4];
    let length = text.len();
    let count = length.checked_div(8)?;
    for (at, word) in words.get_mut(..count)?.iter_mut().enumerate() {
        let start = at.checked_mul(8)?;
        *word = u32::from_str_radix(text.get(start..start.checked_add(8)?)?, 16).ok()?;
    }
    match (length, words) {
        (8, [word, ..]) => Some(Ipv4Addr::from(word.to_ne_bytes()).into()),
        (32, words) => {
            let bytes = words.map(u32::to_ne_bytes);
            let bytes = <[u8; 16]>::try_from(bytes.as_flattened()).ok()?;
            Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_listed_once_it_is_established() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let is_here = || {
                let session = Session { port, peer: ip.parse().unwrap() };
                established().unwrap().contains(&session)
            };
            assert!(!is_here(), "{ip}: there is only a listener");
            let _client = TcpStream::connect((ip, port)).unwrap();
            let _server = listener.accept().unwrap();
            assert!(is_here(), "{ip}");
        }
    }

    #[test]
    fn lines_of_other_kinds_are_no_sessions() {
        for line in [
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when",
            "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000",
            "   0: 0100007F:0016 0100007 01",
            "   0: 0100007F:xxxx 0100007F:9999 01",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
