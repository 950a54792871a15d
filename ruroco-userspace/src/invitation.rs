//! Invitations: all that a client has to know of a host, as one line of text. `ruroco-gate` shows it,
//! as text and as a QR code, and `ruroco-client invite` makes a host and a key of it.
//!
//! ```text
//! ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3AAAEC…&command=open_ssh&wait=22
//! ```
//!
//! Behind `ruroco://` stands the address that datagrams go to, then fields as in an HTML form
//! (WHATWG URL Standard, `application/x-www-form-urlencoded`): `name` and `key` once each, `command`
//! any number of times (the first is the default one), `wait`, a TCP port that opens, at most once.
//! Unknown fields are refused: what a newer host asks for cannot be left out.
//!
//! It holds a key. It is as secret as that.

use std::num::NonZero;

use form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::{
    command_name::{self, NotACommand},
    destination::Destination,
    key::{self, Key},
    name::Name,
};

const SCHEME: &str = "ruroco://";

/// Longest text in bytes; what a QR code can hold is less (2,953 bytes, ISO/IEC 18004).
const MAX_SIZE: usize = 4096;

/// All that a client has to know of a host.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// What to call the host, and its key.
    pub name: Name,
    /// Where datagrams go.
    pub address: Destination,
    /// The key.
    pub key: Key,
    /// What the host does, the default command first.
    pub commands: Vec<String>,
    /// The TCP port that opens, if one does.
    pub wait: Option<NonZero<u16>>,
}

/// A text that is no invitation. The message never repeats the text, which may hold a key: it is `Copy`, so
/// nothing of the text can be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is longer than any that is made.
    #[error("the invitation is longer than {MAX_SIZE} bytes; have the host offer fewer commands")]
    TooLong,
    /// Something else.
    #[error(
        "not an invitation: expected one line that begins with `{SCHEME}`, as `ruroco-gate` shows it"
    )]
    Form,
    /// More than one, each in a line.
    #[error("there are several invitations in it: say one of them")]
    Several,
    /// No address behind the scheme.
    #[error("the invitation's address is none: was the line copied as it was?")]
    Address,
    /// A name that is none.
    #[error("the invitation's name is not one for a host: was the line copied as it was?")]
    Name,
    /// A key that is none.
    #[error("the invitation's key is damaged: was the whole line copied? {0}")]
    Key(key::ParseError),
    /// A command that cannot be shown.
    #[error("the invitation's command is none: {0}")]
    Command(NotACommand),
    /// A port that is none.
    #[error("the invitation's `wait` is not a port")]
    Wait,
    /// Something that is needed is not there.
    #[error("the invitation has no `{0}`: was the whole line copied?")]
    Missing(&'static str),
    /// Something is there twice.
    #[error("the invitation has `{0}` twice")]
    Twice(&'static str),
    /// Something that this program does not know.
    #[error("the invitation has a field that this version does not know: install a newer one")]
    Unknown,
}

impl Invitation {
    /// Reads an invitation from its text; white space around it is ignored.
    ///
    /// # Errors
    /// [`ParseError`] if it is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let rest = text.strip_prefix(SCHEME).ok_or(ParseError::Form)?;
        if text.len() > MAX_SIZE {
            return Err(ParseError::TooLong);
        }
        let (address, fields) = rest.split_once('?').ok_or(ParseError::Form)?;
        let address = address.strip_suffix('/').unwrap_or(address);
        let address = address.parse().map_err(|_| ParseError::Address)?;
        let (mut name, mut key, mut wait, mut commands) = (None, None, None, Vec::new());
        for (field, value) in form_urlencoded::parse(fields.as_bytes()) {
            match &*field {
                "name" => once("name", &mut name, value.parse().map_err(|_| ParseError::Name)?)?,
                "key" => once("key", &mut key, secret(&Zeroizing::new(value.into_owned()))?)?,
                "wait" => once("wait", &mut wait, value.parse().map_err(|_| ParseError::Wait)?)?,
                "command" => commands
                    .push(command_name::check(value.into_owned()).map_err(ParseError::Command)?),
                _ => return Err(ParseError::Unknown),
            }
        }
        Ok(Self {
            name: name.ok_or(ParseError::Missing("name"))?,
            address,
            key: key.ok_or(ParseError::Missing("key"))?,
            commands,
            wait,
        })
    }

    /// Reads an invitation that is a line of its own in a text, such as what `ruroco-gate` prints.
    ///
    /// # Errors
    /// [`ParseError`] if there is none, or more than one.
    pub fn find(text: &str) -> Result<Self, ParseError> {
        let mut lines = text.lines().map(str::trim).filter(|line| line.starts_with(SCHEME));
        let line = lines.next().ok_or(ParseError::Form)?;
        if lines.any(|other| other != line) { Err(ParseError::Several) } else { Self::parse(line) }
    }

    /// The invitation as one line of text, the inverse of [`Invitation::parse`].
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut fields = Serializer::new(String::with_capacity(MAX_SIZE));
        fields.append_pair("name", self.name.as_str());
        fields.append_pair("key", &self.key.to_text());
        for command in &self.commands {
            fields.append_pair("command", command);
        }
        if let Some(port) = self.wait {
            fields.append_pair("wait", &port.to_string());
        }
        let fields = Zeroizing::new(fields.finish());
        Zeroizing::new(format!("{SCHEME}{}?{}", self.address, &*fields))
    }
}

fn once<T>(field: &'static str, place: &mut Option<T>, value: T) -> Result<(), ParseError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParseError::Twice(field)),
    }
}

fn secret(text: &str) -> Result<Key, ParseError> {
    Key::parse(text).map_err(ParseError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

    fn invitation(address: &str, commands: &[String], wait: Option<u16>) -> Invitation {
        Invitation {
            name: "home".parse().unwrap(),
            address: address.parse().unwrap(),
            key: Key::parse(KEY).unwrap(),
            commands: commands.to_vec(),
            wait: wait.and_then(NonZero::new),
        }
    }

    #[test]
    fn an_invitation_is_one_line() {
        let text = invitation("203.0.113.5", &["open_ssh".to_owned()], Some(22)).to_text();
        assert_eq!(
            *text,
            "ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3AAAECAwQFBgcgISIjJCUmJygpKissL\
             S4vMDEyMzQ1Njc4OTo7PD0%2BPw%3D%3D&command=open_ssh&wait=22"
        );
    }

    #[test]
    fn an_invitation_is_found_among_other_lines() {
        let line = invitation("203.0.113.5", &[], None).to_text();
        let other = invitation("203.0.113.6", &[], None).to_text();
        assert!(Invitation::find(&format!("a code\n\n  {}\r\nwords\n", &*line)).is_ok());
        assert!(Invitation::find(&format!("{0}\n{0}\n", &*line)).is_ok());
        let several = Invitation::find(&format!("{}\n{}\n", &*line, &*other));
        assert_eq!(several.unwrap_err(), ParseError::Several);
        assert_eq!(Invitation::find("words\n").unwrap_err(), ParseError::Form);
        let torn = line.replace("&key", "\n&key");
        assert_eq!(Invitation::find(&torn).unwrap_err(), ParseError::Missing("key"));
    }

    #[test]
    fn what_is_nearly_an_invitation_is_refused() {
        let good = invitation("203.0.113.5", &[], None).to_text();
        assert!(Invitation::parse(&good).is_ok());
        for (text, error) in [
            (String::new(), ParseError::Form),
            (KEY.to_owned(), ParseError::Form),
            (good.replace("ruroco:", "https:"), ParseError::Form),
            (good[..good.len() - 1].to_owned(), ParseError::Key(key::ParseError::Malformed)),
            (good.replace("name=home&", ""), ParseError::Missing("name")),
            (format!("{}&name=b", &*good), ParseError::Twice("name")),
            (format!("{}&wait=0", &*good), ParseError::Wait),
            (format!("{}&port=1", &*good), ParseError::Unknown),
            (good.replace(":80", ":0"), ParseError::Address),
            (good.replace(":80", "\u{1b}]0;x"), ParseError::Address),
            (good.replace("home", "..%2Fhome"), ParseError::Name),
            (format!("{}&command={}", &*good, "a".repeat(MAX_SIZE)), ParseError::TooLong),
            (format!("{}&command=a%1b%5B2J", &*good), ParseError::Command(NotACommand)),
            (format!("{}&command=", &*good), ParseError::Command(NotACommand)),
        ] {
            assert_eq!(Invitation::parse(&text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn what_is_said_of_a_mangled_line_has_nothing_of_its_key() {
        let good = invitation("203.0.113.5", &["a".to_owned()], None).to_text();
        for between in ["?", "&", "=", "%3A", ":", "/"] {
            for (instead, all) in [("%26", false), ("", false), (":", true), ("%3F", true)] {
                let mangled = match all {
                    true => good.replace(between, instead),
                    false => good.replacen(between, instead, 1),
                };
                if let Err(error) = Invitation::parse(&mangled) {
                    let told = error.to_string();
                    assert!(!told.contains("AAECAwQF"), "{mangled}: {told}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn an_invitation_survives_being_written_down(
            commands in prop::collection::vec("\\PC{1,20}", 0..4),
            wait: Option<u16>,
            address in prop::sample::select(vec!["host.example:81", "[2001:db8::1]:80", "192.0.2.1:9"]),
        ) {
            let written = invitation(address, &commands, wait);
            let read = Invitation::parse(&format!(" {}\n", &*written.to_text())).unwrap();
            prop_assert_eq!(read.address, written.address);
            prop_assert_eq!(read.commands, commands);
            prop_assert_eq!(read.wait, written.wait);
            prop_assert_eq!(&*read.key.to_text(), KEY);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".*", fields in ".*") {
            let _ = Invitation::parse(&text);
            let _ = Invitation::find(&text);
            let _ = Invitation::parse(&format!("ruroco://h?{fields}"));
        }
    }
}
