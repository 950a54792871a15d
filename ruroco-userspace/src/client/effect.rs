//! Looking at what a knock has done. A server never answers one, but a port that opens is seen.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

/// How long a port that did not open is looked at, unless somebody says otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// How long the first attempt to connect may take. A firewall that drops lets it wait for the
/// kernel's own second attempt, a second later (RFC 6298, section 2); a new one finds the port open
/// sooner. Each attempt may take twice as long as the one before: the way there may be a long one.
const FIRST_ATTEMPT: Duration = Duration::from_millis(250);

/// Between attempts that are refused at once, and between looks at whether to go on.
const PAUSE: Duration = Duration::from_millis(50);

/// A port that is to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The TCP port.
    pub port: NonZero<u16>,
    /// How long to look.
    pub limit: Duration,
}

/// What was seen.
#[derive(Debug)]
pub enum Seen {
    /// The port is open.
    Open(TcpStream),
    /// It did not open in time; what the last attempt to connect has met.
    Shut(io::Error),
    /// Nobody wants to know any more.
    GivenUp,
}

impl Effect {
    /// Connects to the port as soon as it is open; looks at `give_up` between attempts.
    pub fn look(&self, host: IpAddr, give_up: &dyn Fn() -> bool) -> Seen {
        let address = SocketAddr::new(host, self.port.get());
        let begin = Instant::now();
        let mut patience = FIRST_ATTEMPT;
        loop {
            let left = self.limit.saturating_sub(begin.elapsed());
            // Zero is not a time to wait: the last attempt begins with the least there is.
            let attempt = patience.min(left).max(Duration::from_millis(1));
            let error = match TcpStream::connect_timeout(&address, attempt) {
                Ok(stream) => return Seen::Open(stream),
                Err(error) => error,
            };
            if give_up() {
                return Seen::GivenUp;
            }
            if begin.elapsed() >= self.limit {
                return Seen::Shut(error);
            }
            if error.kind() == io::ErrorKind::TimedOut {
                patience = patience.saturating_mul(2);
            } else {
                thread::sleep(PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::Cell,
        net::{Ipv4Addr, TcpListener},
    };

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn effect(port: u16, limit: Duration) -> Effect {
        Effect { port: NonZero::new(port).unwrap(), limit }
    }

    #[test]
    fn a_port_is_seen_to_open() {
        let free = TcpListener::bind((HOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let opened = Cell::new(None);
        let open_at_the_first_look = || {
            opened.set(Some(TcpListener::bind(address).unwrap()));
            false
        };
        let seen = effect(address.port(), DEFAULT_LIMIT).look(HOST, &open_at_the_first_look);
        assert!(matches!(seen, Seen::Open(stream) if stream.peer_addr().unwrap() == address));
    }

    #[test]
    fn a_port_that_stays_shut_is_told_with_its_reason() {
        let free = TcpListener::bind((HOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let seen = effect(port, Duration::ZERO).look(HOST, &|| false);
        let Seen::Shut(error) = seen else { panic!("{seen:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(matches!(effect(port, DEFAULT_LIMIT).look(HOST, &|| true), Seen::GivenUp));
    }
}
