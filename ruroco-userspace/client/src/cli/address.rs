//! An address that the user types on the command line, where a forgotten port is easy to miss.

use std::str::FromStr;

use ruroco_invite::destination::{DEFAULT_PORT, Destination, ParseError};

use super::print_note;

/// A destination, and whether the user typed its port.
#[derive(Clone, Debug)]
pub(super) struct TypedAddress {
    destination: Destination,
    has_port: bool,
}

/// Any port but the default.
const OTHER_PORT: u16 = DEFAULT_PORT + 1;

impl FromStr for TypedAddress {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let destination: Destination = text.parse()?;
        // A typed port does not depend on the default port.
        let has_port = Destination::parse(text, OTHER_PORT)? == destination;
        Ok(Self { destination, has_port })
    }
}

impl TypedAddress {
    /// The destination. Prints a warning if no port was typed, so that the default port is used.
    pub(super) fn destination(self) -> Destination {
        if !self.has_port {
            print_note(&self.warning());
        }
        self.destination
    }

    fn warning(&self) -> String {
        let host = self.destination.host();
        format!("Warning: {host} has no port, so the default UDP port {DEFAULT_PORT} is used")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_port_was_typed_does_not_depend_on_which() {
        for (text, has_port) in [
            ("203.0.113.5", false),
            ("203.0.113.5:80", true),
            ("203.0.113.5:62201", true),
            ("2001:db8::1", false),
            ("2001:db8::80", false),
            ("[2001:db8::1]:80", true),
            ("host.example", false),
            ("host.example:80", true),
        ] {
            let address: TypedAddress = text.parse().unwrap();
            assert_eq!(address.has_port, has_port, "{text}");
            assert_eq!(address.destination, text.parse().unwrap());
        }
    }
}
