//! Doors, as a client knows them: the port to connect to, how long a knock opens it, and which commands open and
//! close it. The host never answers a knock, so this is all that a client knows about a lease.

use std::{collections::BTreeMap, fmt, num::NonZero, str::FromStr, time::Duration};

use ruroco_common::doors::DoorName;

/// The longest lease of any door, in seconds.
pub const MAX_SECONDS: u64 = 86_400;

/// The doors of a host, by name.
pub type Doors = BTreeMap<DoorName, Door>;

/// A door of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The port to connect to. If the door has several ports, this is its first TCP port, if any.
    pub port: Port,
    /// How long a knock opens the door for the client's address.
    pub duration: Duration,
    /// The commands that open the door.
    pub open: Vec<String>,
    /// The commands that close the door.
    pub close: Vec<String>,
}

/// A port of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A TCP port, which shows to a client whether it is open.
    Tcp(NonZero<u16>),
    /// A UDP port.
    Udp(NonZero<u16>),
}

/// A text is not a port of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a port. Use a protocol and a number, such as \"tcp/22\" or \"udp/51820\"")]
pub struct NotAPort;

impl Door {
    /// A door that no command opens or closes.
    pub const fn new(port: Port, duration: Duration) -> Self {
        Self { port, duration, open: Vec::new(), close: Vec::new() }
    }
}

impl Port {
    /// The number of a TCP port.
    pub const fn tcp(self) -> Option<NonZero<u16>> {
        match self {
            Self::Tcp(number) => Some(number),
            Self::Udp(_) => None,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(number) => write!(f, "tcp/{number}"),
            Self::Udp(number) => write!(f, "udp/{number}"),
        }
    }
}

impl FromStr for Port {
    type Err = NotAPort;

    fn from_str(text: &str) -> Result<Self, NotAPort> {
        let (protocol, number) = text.split_once('/').ok_or(NotAPort)?;
        let number = number.parse().map_err(|_| NotAPort)?;
        let port = match protocol {
            "tcp" => Self::Tcp(number),
            "udp" => Self::Udp(number),
            _ => return Err(NotAPort),
        };
        // `parse` also accepts a sign and leading zeros.
        if port.to_string() == text { Ok(port) } else { Err(NotAPort) }
    }
}

/// A duration of a lease, or what is left of it, in words: `30 s`, `9 min 40 s`, `1 h 5 min`.
pub fn in_words(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    let part = |number: Option<u64>, unit| {
        number.filter(|number| *number > 0).map_or_else(String::new, |n| format!(" {n} {unit}"))
    };
    let seconds = duration.as_secs();
    let text = if seconds >= HOUR {
        let minutes = seconds.checked_rem(HOUR).and_then(|rest| rest.checked_div(MINUTE));
        part(seconds.checked_div(HOUR), "h") + &part(minutes, "min")
    } else if seconds > 2 * MINUTE {
        part(seconds.checked_div(MINUTE), "min") + &part(seconds.checked_rem(MINUTE), "s")
    } else {
        format!(" {seconds} s")
    };
    text.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_a_door_has_one_form() {
        for good in ["tcp/22", "udp/51820", "tcp/65535"] {
            assert_eq!(good.parse::<Port>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "22",
            "tcp/",
            "tcp/0",
            "tcp/+22",
            "tcp/022",
            "tcp/65536",
            "sctp/1",
            "TCP/22",
            "tcp/22 ",
        ] {
            assert_eq!(bad.parse::<Port>(), Err(NotAPort), "{bad}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_the_largest_units() {
        for (seconds, words) in [
            (0, "0 s"),
            (30, "30 s"),
            (120, "120 s"),
            (580, "9 min 40 s"),
            (600, "10 min"),
            (3600, "1 h"),
            (3900, "1 h 5 min"),
            (86_400, "24 h"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
