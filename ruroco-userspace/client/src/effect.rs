//! Looking at what a knock has done. A server never answers one, but a port that opens is seen.
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

/// How long a port that did not open is looked at, unless somebody says otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// How long the first attempt to connect may take. A firewall that drops lets it wait for the
/// kernel's own second attempt; a new one finds the port open sooner. Each attempt may take twice as
/// long as the one before: the way there may be a long one.
const FIRST_ATTEMPT: Duration = Duration::from_millis(250);

/// When the kernel itself tries a connection for the second time, which is after a second (RFC 6298,
/// section 2); a little less, as clocks of kernels tick.
const SECOND_SYN: Duration = Duration::from_millis(900);

/// Between attempts that are refused at once, and between looks at whether to go on.
const PAUSE: Duration = Duration::from_millis(50);

/// A port that is to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The TCP port.
    pub port: NonZero<u16>,
    /// How long all of it may take: looking the host up, knocking and looking at the port.
    pub limit: Duration,
    /// How often to knock in this time as long as the port stays shut. The command may run as often.
    pub tries: NonZero<u32>,
}

impl Effect {
    /// The opening of this port after one knock, within the usual time.
    pub const fn of(port: NonZero<u16>) -> Self {
        Self { port, limit: DEFAULT_LIMIT, tries: NonZero::<u32>::MIN }
    }
}

/// How long something may take, and since when it does.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    begun: Instant,
    limit: Duration,
}

impl Limit {
    /// This long, from now.
    pub fn from_now(limit: Duration) -> Self {
        Self { begun: Instant::now(), limit }
    }

    /// What is left of it.
    pub fn left(self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }
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

/// Connects to the port as soon as it is open; looks at `give_up` between attempts.
pub fn look(at: SocketAddr, limit: Duration, give_up: &dyn Fn() -> bool) -> Seen {
    let begin = Instant::now();
    let mut patience = FIRST_ATTEMPT;
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        // Zero is not a time to wait: the last attempt begins with the least there is.
        let attempt = patience.min(left).max(Duration::from_millis(1));
        let error = match TcpStream::connect_timeout(&at, attempt) {
            Ok(stream) => return Seen::Open(stream),
            Err(error) => error,
        };
        if give_up() {
            return Seen::GivenUp;
        }
        if begin.elapsed() >= limit {
            return Seen::Shut(error);
        }
        if error.kind() == io::ErrorKind::TimedOut {
            patience = patience.saturating_mul(2);
        } else {
            thread::sleep(PAUSE.min(limit.saturating_sub(begin.elapsed())));
        }
    }
}

/// A look at the port that begins before the knock and takes no time: one packet is on its way to the
/// port when the knock sets out. If it is this one that is answered, the port was open already.
#[derive(Debug)]
pub struct EarlierLook {
    socket: Socket,
    begun: Instant,
}

impl EarlierLook {
    /// Begins to connect, and does not wait for it. Nothing is known without one, so that none could
    /// be made is no error.
    pub fn begin(at: SocketAddr) -> Option<Self> {
        let kind = Type::STREAM;
        let socket = Socket::new(Domain::for_address(at), kind, Some(Protocol::TCP)).ok()?;
        socket.set_nonblocking(true).ok()?;
        let begun = Instant::now();
        // That it is not there at once is told as an error, under several names.
        let _ = socket.connect(&at.into());
        Some(Self { socket, begun })
    }

    /// Whether the port was open. Later than this nobody knows any more which packet was answered.
    pub fn has_seen_it_open(&self) -> bool {
        self.begun.elapsed() < SECOND_SYN && self.socket.peer_addr().is_ok()
    }

    /// The connection that has shown it.
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
        let Seen::Shut(error) = seen else { panic!("{seen:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(matches!(look(at, DEFAULT_LIMIT, &|| true), Seen::GivenUp));
    }
}
