//! Leases, as a client knows them. The host never answers a knock, so a lease is what the invitation promised: how
//! long a knock opens a door. That a port is open is a fact only once a connection to it has succeeded.
//!
//! A lease is counted from the moment at which the knock was sent, so it never ends later than the host's.

pub mod file;

use std::{
    num::NonZero,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use ruroco_common::doors::DoorName;
use ruroco_invite::door::{self, Door, Port};

use crate::{attempt::Observation, profiles::Host};

/// A new connection needs a lease that lasts at least this much longer. Otherwise the client knocks again first: the
/// packets of a connection are repeated for seconds if the network loses them.
pub const MARGIN: Duration = Duration::from_secs(5);

/// What a knock should have opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The door.
    pub door: DoorName,
    /// The port to connect to.
    pub port: Port,
    /// How long the knock opens the door.
    pub duration: Duration,
    /// The end of the lease.
    pub until: SystemTime,
    /// Whether the port was seen to open.
    pub is_seen: bool,
}

impl Lease {
    /// The leases after a knock for this command that was sent at this time. None if the port that the knock should
    /// open did not open.
    pub fn of(
        host: &Host,
        command: &str,
        sent: SystemTime,
        observation: &Observation,
    ) -> Vec<Self> {
        let seen = match observation {
            Observation::NotOpened { .. } => return Vec::new(),
            Observation::Opened { at, was_open: false, .. } => NonZero::new(at.port()),
            Observation::Opened { .. } | Observation::NotChecked | Observation::GivenUp => None,
        };
        let seen = seen.and_then(|port| door_at(host, command, port)).map(|(name, _)| name);
        let lease = |(name, door): (&DoorName, &Door)| {
            let until = sent.checked_add(door.duration)?;
            let (door, port, duration) = (*name, door.port, door.duration);
            Some(Self { door, port, duration, until, is_seen: seen == Some(name) })
        };
        host.opened_by(command).filter_map(lease).collect()
    }

    /// What is left of it, if it is not over. If the clock was set back, what is left is unknown.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        let left = self.until.duration_since(now).ok()?;
        (!left.is_zero() && left <= self.duration).then_some(left)
    }

    /// Whether it lasts long enough for a new connection.
    pub fn is_enough(&self, now: SystemTime) -> bool {
        self.left(now).is_some_and(|left| left >= MARGIN)
    }

    /// What is left of it in words, such as `28 s`.
    pub fn left_in_words(&self, now: SystemTime) -> Option<String> {
        const HALF: Duration = Duration::from_millis(500);
        self.left(now).map(|left| door::in_words(left.saturating_add(HALF)))
    }

    /// The lease in a sentence, such as `ssh (tcp/22) should be open until 14:32:10 (28 s)`.
    pub fn sentence(&self, now: SystemTime) -> String {
        let Self { door, port, until, is_seen, .. } = self;
        let until = clock(*until);
        match self.left_in_words(now) {
            Some(left) => {
                let is = if *is_seen { "is" } else { "should be" };
                format!("{door} ({port}) {is} open until {until} ({left})")
            }
            None => format!("{door} ({port}) should have closed again at {until}"),
        }
    }
}

/// What a knock for this command closes, in sentences.
pub fn closings(host: &Host, command: &str) -> Vec<String> {
    let closed = host.closed_by(command);
    closed.map(|(name, door)| format!("{name} ({}) should be closed again", door.port)).collect()
}

/// The door that this command opens and that has this port. `wait` can have another number than the port of its
/// door.
fn door_at<'a>(
    host: &'a Host,
    command: &'a str,
    port: NonZero<u16>,
) -> Option<(&'a DoorName, &'a Door)> {
    let mut doors = host.opened_by(command);
    doors.find(|(_, door)| door.port.tcp() == Some(port)).or_else(|| {
        let mut doors = host.opened_by(command);
        let is_wait = host.wait == Some(port) && command == host.command;
        doors.find(|(_, door)| is_wait && door.port.tcp().is_some())
    })
}

/// A time of day, followed by the date unless it is today.
pub fn clock(at: SystemTime) -> String {
    let Ok(at) = Timestamp::try_from(at) else { return "an unknown time".to_owned() };
    let at = at.to_zoned(TimeZone::system());
    let is_today = at.date() == Zoned::now().date();
    at.strftime(if is_today { "%H:%M:%S" } else { "%H:%M:%S on %-d %B" }).to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    /// A host whose command `open` opens `ssh` and `vpn`, and whose command `close` closes `ssh`.
    pub(crate) fn host() -> Host {
        let door = |port: &str, seconds| {
            let door = Door::new(port.parse().unwrap(), Duration::from_secs(seconds));
            Door { open: vec!["open".to_owned()], ..door }
        };
        let name = |name| DoorName::new(name).unwrap();
        let ssh = Door { close: vec!["close".to_owned()], ..door("tcp/22", 30) };
        let host = Host::new("203.0.113.5".parse().unwrap(), "k".parse().unwrap());
        let host = host.with_commands(["open", "close"].map(str::to_owned));
        Host { doors: [(name("ssh"), ssh), (name("vpn"), door("udp/51820", 3600))].into(), ..host }
    }

    fn opened(port: u16, was_open: bool) -> Observation {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let at = SocketAddr::from(([203, 0, 113, 5], port));
        Observation::Opened { at, after: Duration::ZERO, was_open, connection }
    }

    fn shown(leases: &[Lease], now: SystemTime) -> Vec<String> {
        leases.iter().map(|lease| lease.sentence(now)).collect()
    }

    #[test]
    fn only_a_port_that_was_seen_to_open_is_said_to_be_open() {
        let now = SystemTime::now();
        let host = host();
        let until = |seconds| clock(now + Duration::from_secs(seconds));
        let vpn = format!("vpn (udp/51820) should be open until {} (1 h)", until(3600));
        for (observation, is) in [
            (opened(22, false), "is"),
            (opened(22, true), "should be"),
            (opened(23, false), "should be"),
            (Observation::NotChecked, "should be"),
            (Observation::GivenUp, "should be"),
        ] {
            let ssh = format!("ssh (tcp/22) {is} open until {} (30 s)", until(30));
            let leases = Lease::of(&host, "open", now, &observation);
            assert_eq!(shown(&leases, now), [ssh, vpn.clone()], "{observation:?}");
        }
        let forwarded = Host { wait: NonZero::new(2222), ..host.clone() };
        assert!(Lease::of(&forwarded, "open", now, &opened(2222, false))[0].is_seen);
        assert_eq!(Lease::of(&host, "close", now, &Observation::NotChecked), []);
        assert_eq!(closings(&host, "close"), ["ssh (tcp/22) should be closed again"]);
        let shut = Observation::NotOpened {
            at: SocketAddr::from(([203, 0, 113, 5], 22)),
            limit: Duration::ZERO,
            error: std::io::ErrorKind::TimedOut.into(),
        };
        assert_eq!(Lease::of(&host, "open", now, &shut), []);
    }

    #[test]
    fn a_lease_ends_and_is_renewed_shortly_before() {
        let sent = SystemTime::now();
        let lease = &Lease::of(&host(), "open", sent, &Observation::NotChecked)[0];
        let after = |seconds| sent + Duration::from_secs(seconds);
        assert_eq!(lease.left_in_words(after(2)).as_deref(), Some("28 s"));
        assert!(lease.is_enough(after(25)) && !lease.is_enough(after(26)));
        assert!(lease.sentence(after(30)).contains("should have closed again at"));
        // The clock was set back.
        assert_eq!(lease.left(sent - Duration::from_secs(1)), None);
    }
}
