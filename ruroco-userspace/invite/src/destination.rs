//! Destinations: the address of a host, as the user enters it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ruroco_messages::visible::is_hidden;

/// The port of an address that contains none.
pub const DEFAULT_PORT: u16 = 80;

/// A host name or address, with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An IP address.
    Address(SocketAddr),
    /// A host name to look up.
    Host(String, u16),
}

/// A text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text after the colon is not a port.
    #[error("`{}` is not a port. After the colon, enter a number from 1 to 65535", .0.escape_debug())]
    Port(String),
    /// Anything else.
    #[error("not an address. Use HOST, HOST:PORT, IP, IP:PORT or [IPV6]:PORT")]
    Form,
}

/// Which addresses of a host may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 or IPv6, as the system prefers.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl FromStr for Destination {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, DEFAULT_PORT)
    }
}

impl Destination {
    /// Parses an address. If it contains no port, the port is `default_port`.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(text: &str, default_port: u16) -> Result<Self, ParseError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(ParseError::Port("0".to_owned())),
                _ => Ok(Self::Address(address)),
            };
        }
        // Checked before the port is split off, because an IPv6 address contains colons.
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(SocketAddr::new(address, default_port)));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            Some(_) => return Err(ParseError::Form),
            None => (text, None),
        };
        if host.is_empty() || !host.chars().all(is_for_hosts) {
            return Err(ParseError::Form);
        }
        let port = match port {
            Some(port) => numbered(port).ok_or_else(|| ParseError::Port(port.to_owned()))?,
            None => default_port,
        };
        Ok(Self::Host(host.to_owned(), port))
    }
}

/// A port, digits only: `parse` would also accept a sign.
fn numbered(port: &str) -> Option<u16> {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|port| is_number && *port > 0)
}

/// Whether a host name may contain this character. Punctuation, which may have been copied with the name, is
/// rejected.
fn is_for_hosts(c: char) -> bool {
    (c.is_alphanumeric() && !is_hidden(c)) || "._-".contains(c)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Destination {
    /// The port that datagrams go to.
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Host(_, port) => *port,
        }
    }

    /// Whether this is the same host, with any port.
    pub fn is_same_host(&self, other: &Self) -> bool {
        self.is_of_host(&other.host())
    }

    /// The host without the port.
    pub fn host(&self) -> String {
        match self {
            Self::Address(address) => address.ip().to_string(),
            Self::Host(name, _) => name.clone(),
        }
    }

    /// Whether this is the host with this address or name, without a port. Names are compared without
    /// regard to case (RFC 4343).
    pub fn is_of_host(&self, host: &str) -> bool {
        match self {
            Self::Address(address) => host.parse() == Ok(address.ip()),
            Self::Host(name, _) => name.eq_ignore_ascii_case(host),
        }
    }
}

impl Family {
    /// Its value in `client.toml`.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_understood() {
        for (text, form) in [
            ("192.0.2.1", "192.0.2.1:80"),
            ("192.0.2.1:8080", "192.0.2.1:8080"),
            ("::1", "[::1]:80"),
            ("2001:db8::1", "[2001:db8::1]:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("host", "host:80"),
            ("host.example:8080", "host.example:8080"),
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), form, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":80",
            "[::1]",
            "a:b:c",
            "[::1]:70000",
            "a b",
            "a\u{1b}]0;x\u{7}",
            "a\u{200b}",
            "a>",
            "\"a\"",
            "a,",
            "a\u{202e}b:80",
            "\u{3164}",
            "192.0.2.1\u{feff}",
        ] {
            assert_eq!(text.parse::<Destination>(), Err(ParseError::Form), "{text}");
        }
        for text in [
            "host:",
            "host:x",
            "http://host",
            "host:0",
            "host:+80",
            "192.0.2.1:+80",
            "host:65536",
            "192.0.2.1:0",
        ] {
            assert!(matches!(text.parse::<Destination>(), Err(ParseError::Port(_))), "{text}");
        }
        let message = "a:\u{1b}[2J".parse::<Destination>().unwrap_err().to_string();
        assert!(message.contains("\\u{1b}[2J"), "{message:?}");
    }
}
