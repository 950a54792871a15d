//! Checking the effect of a knock. The host never replies to a knock, but the client can see a port open.
//!
//! Rationale: decision 0020.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// The default time limit for a port to open.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// How long the first connection attempt may take. If a firewall drops its packet, the kernel repeats it only
/// after a second; a new attempt finds the port open sooner. Each attempt may take twice as long as the one
/// before, because the round-trip time may be long.
const FIRST_ATTEMPT: Duration = Duration::from_millis(250);

/// When the kernel repeats the first packet of a connection: after a second (RFC 6298, section 2), minus a
/// margin for the resolution of the kernel's clock.
const SECOND_SYN: Duration = Duration::from_millis(900);

/// The time between connection attempts that are rejected at once.
const PAUSE: Duration = Duration::from_millis(50);

/// A port that the knock should open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The TCP port.
    pub port: NonZero<u16>,
    /// The total time for the address look-up, the knocks and the waiting.
    pub limit: Duration,
    /// The maximum number of knocks. The command may run once for each.
    pub tries: NonZero<u32>,
}

impl Effect {
    /// The opening of this port after one knock, within the usual time.
    pub const fn of(port: NonZero<u16>) -> Self {
        Self { port, limit: DEFAULT_LIMIT, tries: NonZero::<u32>::MIN }
    }
}

/// A time limit that runs from a moment on.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    begun: Instant,
    limit: Duration,
}

impl Limit {
    /// A limit that starts now.
    pub fn from_now(limit: Duration) -> Self {
        Self { begun: Instant::now(), limit }
    }

    /// The remaining time.
    pub fn left(self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }
}

/// The result of [`look`].
#[derive(Debug)]
pub enum Seen {
    /// The port is open.
    Open(TcpStream),
    /// The port did not open in time. The error of the last connection attempt.
    NotOpened(io::Error),
    /// `give_up` returned true.
    GivenUp,
}

/// Connects to the port as soon as it is open. Calls `give_up` between attempts.
pub fn look(at: SocketAddr, limit: Duration, give_up: &dyn Fn() -> bool) -> Seen {
    let begin = Instant::now();
    let mut patience = FIRST_ATTEMPT;
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        // `connect_timeout` rejects a timeout of zero.
        let attempt = patience.min(left).max(Duration::from_millis(1));
        let error = match TcpStream::connect_timeout(&at, attempt) {
            Ok(stream) => return Seen::Open(stream),
            Err(error) => error,
        };
        if give_up() {
            return Seen::GivenUp;
        }
        if begin.elapsed() >= limit {
            return Seen::NotOpened(error);
        }
        if error.kind() == io::ErrorKind::TimedOut {
            patience = patience.saturating_mul(2);
        } else {
            thread::sleep(PAUSE.min(limit.saturating_sub(begin.elapsed())));
        }
    }
}

/// A connection attempt that begins before the knock and does not delay it: its first packet is sent
/// just before the knock. If the host answers this packet, the port was already open.
#[derive(Debug)]
pub struct EarlierLook {
    socket: Socket,
    begun: Instant,
}

impl EarlierLook {
    /// Begins to connect, without waiting. None if that fails: then it is unknown whether the port was open.
    pub fn begin(at: SocketAddr) -> Option<Self> {
        let kind = Type::STREAM;
        let socket = Socket::new(Domain::for_address(at), kind, Some(Protocol::TCP)).ok()?;
        socket.set_nonblocking(true).ok()?;
        let begun = Instant::now();
        // A connection in progress is reported as an error, whose kind depends on the system.
        let _ = socket.connect(&at.into());
        Some(Self { socket, begun })
    }

    /// Whether the port was open. After `SECOND_SYN`, the host may have answered the kernel's second
    /// packet.
    pub fn has_seen_it_open(&self) -> bool {
        self.begun.elapsed() < SECOND_SYN && self.socket.peer_addr().is_ok()
    }

    /// The connection to the port.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn into_connection(self) -> io::Result<TcpStream> {
        self.socket.set_nonblocking(false)?;
        Ok(self.socket.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::Cell,
        net::{Ipv4Addr, TcpListener},
    };

    fn listener() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
    }

    #[test]
    fn a_port_is_seen_to_open() {
        let at = listener().local_addr().unwrap();
        let opened = Cell::new(None);
        let open_at_the_first_look = || {
            opened.set(Some(TcpListener::bind(at).unwrap()));
            false
        };
        let earlier = EarlierLook::begin(at).unwrap();
        let seen = look(at, DEFAULT_LIMIT, &open_at_the_first_look);
        assert!(matches!(seen, Seen::Open(stream) if stream.peer_addr().unwrap() == at));
        assert!(!earlier.has_seen_it_open());
    }

    #[test]
    fn a_port_that_was_open_before_is_told_from_one_that_opens() {
        let open = listener();
        let earlier = EarlierLook::begin(open.local_addr().unwrap()).unwrap();
        drop(open.accept().unwrap());
        assert!(earlier.has_seen_it_open());
        earlier.into_connection().unwrap();
    }

    #[test]
    fn a_port_that_stays_shut_is_told_with_its_reason() {
        let at = listener().local_addr().unwrap();
        let seen = look(at, Duration::ZERO, &|| false);
        let Seen::NotOpened(error) = seen else { panic!("{seen:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(matches!(look(at, DEFAULT_LIMIT, &|| true), Seen::GivenUp));
    }
}
