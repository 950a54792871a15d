//! A door: the ports that it closes, and what a knock opens. Here are its types as `config.toml` has them;
//! [`ruroco_common::doors`] has them as the XDP program does.

mod backend;

use std::{fmt, str::FromStr, time::Duration};

use ruroco_common::doors::{DoorName, SourcePrefix};
use ruroco_files::toml_file::{
    one_or_more::OneOrMore,
    value::{Item, Value},
};
use ruroco_messages::problems::Problems;

pub use self::backend::Backend;

/// `[doors.NAME]`: ports that are closed to every address without a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its name.
    pub name: DoorName,
    /// Its ports. No other door has any of them.
    pub ports: Vec<DoorPort>,
    /// How long a lease lasts.
    pub duration: Duration,
    /// Most new connections and flows after each knock; `None` sets no limit.
    pub connections: Option<u32>,
    /// How much of the address that knocked a lease covers.
    pub source: SourcePrefix,
    /// Whether connections are forwarded, so that this host has no socket for them.
    pub is_forwarded: bool,
    /// What closes it.
    pub backend: Backend,
}

/// That a text is not the name of a door, and what to use.
pub fn bad_name(text: &str) -> String {
    format!(
        "`{}` is not a valid name of a door. Use 1 to {} of the characters a-z, 0-9, - and _",
        text.escape_debug(),
        DoorName::MAX_LENGTH
    )
}

impl Door {
    /// Whether the XDP program distinguishes some of its packets by flow, because this host has no connection for them.
    pub fn has_flows(&self) -> bool {
        self.is_forwarded || self.ports.iter().any(|port| port.transport == Transport::Udp)
    }
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl Transport {
    const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// The name it has in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of a door, or a range of them: `tcp/22`, `tcp/8000-8010`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DoorPort {
    /// The protocol.
    pub transport: Transport,
    /// The first port, which is not 0.
    pub first: u16,
    /// The last port, which is not below the first.
    pub last: u16,
}

impl DoorPort {
    /// Whether it is this port, or the range has it.
    pub fn contains(self, transport: Transport, port: u16) -> bool {
        self.transport == transport && (self.first..=self.last).contains(&port)
    }

    /// The ports that both have.
    pub fn common(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (self.transport == other.transport && first <= last).then_some(Self { first, last, ..self })
    }
}

impl fmt::Display for DoorPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transport.name(), self.first)?;
        match self.first == self.last {
            true => Ok(()),
            false => write!(f, "-{}", self.last),
        }
    }
}

/// Why a text is not a port of a door; what to use is the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDoorPort {
    /// Neither a port nor a range.
    #[error(
        "a protocol and a port or a range of ports, such as \"tcp/22\", \"udp/51820\" or \"tcp/8000-8010\""
    )]
    Syntax,
    /// Another protocol.
    #[error("tcp or udp: doors exist for no other protocol")]
    Transport,
    /// A number that is not a port.
    #[error("port numbers from 1 to 65535")]
    Number,
    /// The first port of a range is above the last; this is the range in the right order.
    #[error("the lower port first: \"{0}\"")]
    Reversed(DoorPort),
}

impl FromStr for DoorPort {
    type Err = NoDoorPort;

    fn from_str(text: &str) -> Result<Self, NoDoorPort> {
        let (transport, ports) = text.split_once('/').ok_or(NoDoorPort::Syntax)?;
        let known = Transport::ALL.into_iter().find(|known| known.name() == transport);
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(first) || !is_number(last) {
            return Err(NoDoorPort::Syntax);
        }
        let transport = known.ok_or(NoDoorPort::Transport)?;
        let number = |text: &str| text.parse().ok().filter(|port| *port != 0);
        let first = number(first).ok_or(NoDoorPort::Number)?;
        let last = number(last).ok_or(NoDoorPort::Number)?;
        match first <= last {
            true => Ok(Self { transport, first, last }),
            false => Err(NoDoorPort::Reversed(Self { transport, first: last, last: first })),
        }
    }
}

impl Value for DoorPort {
    fn kind() -> String {
        "protocol and port, such as \"tcp/22\" or \"tcp/8000-8010\"".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let port = item.text().ok_or(NoDoorPort::Syntax).and_then(str::parse);
        port.map_err(|remedy| problems.add(item.wrong(remedy))).ok()
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

/// `source` of a door: how much of the address that knocked a lease covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorSource(pub SourcePrefix);

/// The address that knocked and no other.
const ADDRESS: &str = "address";

/// The length of a prefix. A shorter one would be the network of many strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    /// 16 to 32 bits of an IPv4 address.
    Ipv4(u8),
    /// 48 to 128 bits of an IPv6 address.
    Ipv6(u8),
}

impl Value for Prefix {
    fn kind() -> String {
        "length of a prefix, such as \"/24\" or \"/64\"".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let length = item.text().and_then(|text| text.strip_prefix('/'));
        let length = length.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match length.and_then(|length| length.parse().ok()) {
            Some(length @ 16..=32) => return Some(Self::Ipv4(length)),
            Some(length @ 48..=128) => return Some(Self::Ipv6(length)),
            Some(_) | None => problems.add(item.wrong(
                "\"address\", or the length of a prefix: \"/16\" to \"/32\" is one for IPv4, and \"/48\" to \
                 \"/128\" one for IPv6",
            )),
        }
        None
    }

    fn show(&self) -> String {
        let (Self::Ipv4(length) | Self::Ipv6(length)) = self;
        format!("\"/{length}\"")
    }
}

impl Value for DoorSource {
    fn kind() -> String {
        format!("\"{ADDRESS}\"; {}", OneOrMore::<Prefix>::kind())
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let mut source = SourcePrefix::ADDRESS;
        if item.text() == Some(ADDRESS) {
            return Some(Self(source));
        }
        let OneOrMore(prefixes) = OneOrMore::<Prefix>::read(item, problems)?;
        let are_of_ipv4 =
            prefixes.iter().filter(|prefix| matches!(prefix, Prefix::Ipv4(_))).count();
        if prefixes.len() > 2 || (prefixes.len() == 2 && are_of_ipv4 != 1) {
            problems.add(
                item.problem(
                    "`source` has two prefixes for IPv4, or two for IPv6. Keep one for each",
                ),
            );
            return None;
        }
        for prefix in prefixes {
            match prefix {
                Prefix::Ipv4(length) => source.ipv4 = length,
                Prefix::Ipv6(length) => source.ipv6 = length,
            }
        }
        Some(Self(source))
    }

    fn show(&self) -> String {
        let SourcePrefix { ipv4, ipv6 } = self.0;
        match (ipv4, ipv6) {
            (32, 128) => format!("\"{ADDRESS}\""),
            _ => OneOrMore(vec![Prefix::Ipv4(ipv4), Prefix::Ipv6(ipv6)]).show(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn port(text: &str) -> DoorPort {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_is_a_protocol_and_a_number_or_a_range() {
        assert_eq!(port("tcp/22"), DoorPort { transport: Transport::Tcp, first: 22, last: 22 });
        assert_eq!(
            port("udp/1-65535"),
            DoorPort { transport: Transport::Udp, first: 1, last: 65_535 }
        );
        for (text, expected) in [
            ("22", NoDoorPort::Syntax),
            ("tcp", NoDoorPort::Syntax),
            ("tcp/", NoDoorPort::Syntax),
            ("tcp/+22", NoDoorPort::Syntax),
            ("tcp/22-", NoDoorPort::Syntax),
            ("tcp/1-2-3", NoDoorPort::Syntax),
            ("tcp/ssh", NoDoorPort::Syntax),
            ("TCP/22", NoDoorPort::Transport),
            ("sctp/22", NoDoorPort::Transport),
            ("tcp/0", NoDoorPort::Number),
            ("tcp/0-5", NoDoorPort::Number),
            ("udp/65536", NoDoorPort::Number),
            ("udp/9-8", NoDoorPort::Reversed(port("udp/8-9"))),
        ] {
            assert_eq!(text.parse::<DoorPort>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn ports_of_two_protocols_have_nothing_in_common() {
        assert_eq!(port("tcp/1-9").common(port("tcp/5-20")), Some(port("tcp/5-9")));
        assert_eq!(port("tcp/1-9").common(port("udp/5-20")), None);
        assert_eq!(port("tcp/1-9").common(port("tcp/10")), None);
        assert!(port("tcp/1-9").contains(Transport::Tcp, 9));
        assert!(!port("tcp/1-9").contains(Transport::Udp, 9));
    }

    proptest! {
        #[test]
        fn a_port_reads_as_it_shows(is_tcp: bool, a in 1_u16.., b in 1_u16..) {
            let transport = if is_tcp { Transport::Tcp } else { Transport::Udp };
            let port = DoorPort { transport, first: a.min(b), last: a.max(b) };
            prop_assert_eq!(port.to_string().parse(), Ok(port));
        }

        #[test]
        fn what_two_ranges_have_in_common_is_in_both(a in 1_u16..9, b in 1_u16..9, c in 1_u16..9, d in 1_u16..9) {
            let range = |a: u16, b: u16| DoorPort { transport: Transport::Tcp, first: a.min(b), last: a.max(b) };
            let (one, other) = (range(a, b), range(c, d));
            for port in 0..10 {
                let [one_has, other_has] = [one, other].map(|range| range.contains(Transport::Tcp, port));
                let both_have = one.common(other).is_some_and(|both| both.contains(Transport::Tcp, port));
                prop_assert_eq!(both_have, one_has && other_has);
            }
        }
    }
}
