//! Invitations: everything that a client needs to know about a host, as one line of text. `ruroco
//! invite` shows an invitation as text and as a QR code, and `ruroco-client join` adds the host and the
//! key.
//!
//! ```text
//! ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3AAAEC…&command=open_ssh&wait=22
//! ```
//!
//! After `ruroco://` comes the address that datagrams go to, then fields as in an HTML form (WHATWG URL
//! Standard, `application/x-www-form-urlencoded`): `name` and `key` once each; `command` any number of
//! times, the first is the default one; `wait`, a TCP port that opens, at most once. Unknown fields are
//! rejected, because a newer host may require them.
//!
//! A line that was altered is rejected, too: each value must be encoded exactly as
//! [`Invitation::to_text`] encodes it. The reader accepts these differences only: white space around the
//! line, another order of the fields, a missing port, which is 80, another notation of an IP address, and a
//! slash before the question mark.
//!
//! An invitation contains a key and is as secret as the key.

use std::{fmt, num::NonZero};

use form_urlencoded::{Serializer, byte_serialize};
use ruroco_keys::{
    command_name::{self, NotACommand},
    key::{self, Key},
    name::Name,
};
use ruroco_messages::visible::is_hidden;
use zeroize::Zeroizing;

use crate::destination::Destination;

const SCHEME: &str = "ruroco://";

/// Longest text in bytes that is searched for an invitation or a key. `ruroco invite` draws a QR code
/// above its line, which takes up to 50 KiB.
pub const MAX_SOURCE_SIZE: usize = 64 << 10;

/// Longest invitation in bytes. A QR code can contain less (2,953 bytes, ISO/IEC 18004).
const MAX_SIZE: usize = 4096;

/// Everything that a client needs to know about a host.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The name for the host and its key.
    pub name: Name,
    /// Where knocks go.
    pub address: Destination,
    /// The key.
    pub key: Key,
    /// The commands of the host, the default one first.
    pub commands: Vec<String>,
    /// The TCP port that the default command opens, if any.
    pub wait: Option<NonZero<u16>>,
}

/// A text is not a valid invitation. The text may contain a key, so the message repeats at most one
/// character of it, which no key contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is longer than any invitation.
    #[error(
        "the invitation is longer than {MAX_SIZE} bytes. On the host, create one with fewer commands: `ruroco \
         invite KEY --command COMMAND`"
    )]
    TooLong,
    /// The text is something else.
    #[error(
        "not an invitation: expected a line that begins with `{SCHEME}`, as `ruroco invite` shows it"
    )]
    Form,
    /// The line contains more than the invitation.
    #[error(
        "the invitation is not on a line of its own. Copy it from `{SCHEME}` to the end of the line, without \
         quotes or brackets"
    )]
    Surrounded,
    /// The text contains several invitations.
    #[error("the text contains more than one invitation. Paste only one of them")]
    Several,
    /// A character that no invitation contains.
    #[error("the invitation contains {}, {ALTERED}", Shown(*.0))]
    Character(char),
    /// A value is not encoded as an invitation encodes it.
    #[error("the value of `{0}` in the invitation is not encoded correctly, {ALTERED}")]
    Encoding(&'static str),
    /// The address is missing or invalid.
    #[error("the invitation has no valid address, {ALTERED}")]
    Address,
    /// The name is invalid.
    #[error("the name in the invitation is not valid for a host, {ALTERED}")]
    Name,
    /// The key is invalid.
    #[error("the key in the invitation is damaged, {ALTERED} ({0})")]
    Key(key::ParseError),
    /// The name of a command is invalid.
    #[error("a command in the invitation has an invalid name: {0}")]
    Command(NotACommand),
    /// The port is invalid.
    #[error("`wait` in the invitation is not a port from 1 to 65535")]
    Wait,
    /// A required field is missing.
    #[error("the invitation has no `{0}`, {ALTERED}")]
    Missing(&'static str),
    /// A field appears twice.
    #[error("the invitation contains `{0}` twice")]
    Twice(&'static str),
    /// A field is unknown.
    #[error(
        "the invitation contains a field that this version of ruroco does not support. Install a newer version"
    )]
    Unknown,
}

/// The cause and the remedy if an invitation is damaged.
const ALTERED: &str = "so it was altered when it was copied. Copy the whole line again";

/// A character in a message. Invisible characters are shown by their number.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_hidden(self.0) {
            write!(f, "the invisible character U+{:04X}", u32::from(self.0))
        } else {
            write!(f, "the character {}", self.0.escape_debug())
        }
    }
}

impl Invitation {
    /// Parses an invitation. White space around it is ignored.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let rest = text.strip_prefix(SCHEME).ok_or(ParseError::Form)?;
        if text.len() > MAX_SIZE {
            return Err(ParseError::TooLong);
        }
        let (address, fields) = rest.split_once('?').ok_or(ParseError::Form)?;
        if let Some(other) = fields.chars().find(|c| !is_written(*c)) {
            return Err(ParseError::Character(other));
        }
        let address = address.strip_suffix('/').unwrap_or(address);
        let address = address.parse().map_err(|_| ParseError::Address)?;
        let (mut name, mut key, mut wait, mut commands) = (None, None, None, Vec::new());
        for written in fields.split('&') {
            let decoded = form_urlencoded::parse(written.as_bytes()).next();
            let (field, value) = decoded.ok_or(ParseError::Character('&'))?;
            let value = Zeroizing::new(value.into_owned());
            let read = |field| as_written(field, &value, written);
            match &*field {
                "name" => {
                    once("name", &mut name, read("name")?.parse().map_err(|_| ParseError::Name)?)?
                }
                "key" => once("key", &mut key, secret(read("key")?)?)?,
                "wait" => once("wait", &mut wait, port(read("wait")?)?)?,
                "command" => commands.push(
                    command_name::check(read("command")?.to_owned())
                        .map_err(ParseError::Command)?,
                ),
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

    /// Parses the invitation that is a separate line in a text, such as the output of `ruroco invite`.
    ///
    /// # Errors
    /// [`ParseError`] if there is no invitation, or more than one.
    pub fn find(text: &str) -> Result<Self, ParseError> {
        let mut lines = text.lines().map(str::trim).filter(|line| line.starts_with(SCHEME));
        let Some(line) = lines.next() else {
            let is_there = text.contains(SCHEME) && text.contains("key=");
            return Err(if is_there { ParseError::Surrounded } else { ParseError::Form });
        };
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

/// Whether the fields of an invitation, which are percent-encoded, can contain this character.
fn is_written(c: char) -> bool {
    c.is_ascii_alphanumeric() || "*-._+%=&".contains(c)
}

/// The value, if it is encoded exactly like this.
fn as_written<'a>(
    field: &'static str,
    value: &'a str,
    written: &str,
) -> Result<&'a str, ParseError> {
    let written = written.strip_prefix(field).and_then(|rest| rest.strip_prefix('='));
    // Compared in parts: a whole string would be another copy of the secret.
    let mut rest = written.ok_or(ParseError::Encoding(field))?;
    for part in byte_serialize(value.as_bytes()) {
        rest = rest.strip_prefix(part).ok_or(ParseError::Encoding(field))?;
    }
    if rest.is_empty() { Ok(value) } else { Err(ParseError::Encoding(field)) }
}

fn port(text: &str) -> Result<NonZero<u16>, ParseError> {
    let port: NonZero<u16> = text.parse().map_err(|_| ParseError::Wait)?;
    if port.to_string() == text { Ok(port) } else { Err(ParseError::Wait) }
}

fn secret(text: &str) -> Result<Key, ParseError> {
    let key = Key::parse(text).map_err(ParseError::Key)?;
    if *key.to_text() == text { Ok(key) } else { Err(ParseError::Encoding("key")) }
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
            (good[..good.len() - 1].to_owned(), ParseError::Encoding("key")),
            (good[..good.len() - 8].to_owned(), ParseError::Key(key::ParseError::Malformed)),
            (good.replace("name=home&", ""), ParseError::Missing("name")),
            (format!("{}&name=b", &*good), ParseError::Twice("name")),
            (format!("{}&wait=0", &*good), ParseError::Wait),
            (format!("{}&port=1", &*good), ParseError::Unknown),
            (good.replace(":80", ":0"), ParseError::Address),
            (good.replace(":80", "\u{1b}]0;x"), ParseError::Address),
            (good.replace("home", "..%2Fhome"), ParseError::Name),
            (format!("{}&command={}", &*good, "a".repeat(MAX_SIZE)), ParseError::TooLong),
            (format!("{}&command=a%1B%5B2J", &*good), ParseError::Command(NotACommand)),
            (format!("{}&command=+a", &*good), ParseError::Command(NotACommand)),
            (format!("{}&wait=022", &*good), ParseError::Wait),
            (format!("{}&wait=%2B22", &*good), ParseError::Wait),
            (format!("{}&", &*good), ParseError::Character('&')),
            (good.replace("key=", "key=+"), ParseError::Encoding("key")),
            (good.replace("%3D", "%3d"), ParseError::Encoding("key")),
            (good.replace("home", "h%6Fme"), ParseError::Encoding("name")),
            (good.replace("?name", "?n%61me"), ParseError::Encoding("name")),
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
                    let message = error.to_string();
                    assert!(!message.contains("AAECAwQF"), "{mangled}: {message}");
                }
            }
        }
    }

    const COMMANDS: [&str; 3] = ["open_ssh", "öffne, \"sofort\" > jetzt", "a+b*c.d-e"];

    fn line() -> String {
        let commands = COMMANDS.map(str::to_owned);
        invitation("host.example", &commands, Some(22)).to_text().to_string()
    }

    #[test]
    fn what_a_copy_adds_to_the_end_of_an_invitation_does_not_become_part_of_it() {
        for end in ["open_ssh", "22"] {
            let wait = (end == "22").then_some(22);
            let good = invitation("203.0.113.5", &["open_ssh".to_owned()], wait).to_text();
            assert!(good.ends_with(end));
            for added in [
                "\u{200b}",
                "\u{ad}",
                ">",
                "\"",
                ",",
                "\u{202e}",
                "\u{feff}",
                "'",
                ")",
                ";",
                "\u{2060}",
                "\u{a0}x",
                "&",
                "%",
                "%E2%80%8B",
                "%C2%AD",
                "%C2%A0",
                "%E2%80%AE",
                "%FF",
                "\u{3164}",
            ] {
                let damaged = format!("{}{added}", &*good);
                for read in [Invitation::parse(&damaged), Invitation::find(&damaged)] {
                    let message = read.unwrap_err().to_string();
                    assert!(!message.contains("AAECAwQF"), "{message}");
                }
            }
            // What the user cannot mean to be part of it does no harm.
            for around in [" ", "\u{a0}", "\t", "\r\n"] {
                assert!(Invitation::find(&format!("{around}{}{around}", &*good)).is_ok());
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_copied_line_is_said() {
        let good = line();
        let message = |text: &str| Invitation::find(text).unwrap_err().to_string();
        assert!(
            message(&format!("{good}\u{200b}"))
                .contains("the invisible character U+200B, so it was altered")
        );
        assert!(message(&format!("{good}>")).contains("the character >, so it was altered"));
        assert!(message(&format!("<{good}>")).contains("not on a line of its own"));
        assert!(message(&format!("> {good}")).contains("not on a line of its own"));
    }

    /// Makes sure that a text is rejected, or is as it would be written, except for the address.
    fn expect_as_written(text: &str) -> Result<(), TestCaseError> {
        let Ok(read) = Invitation::parse(text) else { return Ok(()) };
        let written = read.to_text();
        let fields = |line: &str| line.trim().split_once('?').map(|(_, fields)| fields.to_owned());
        prop_assert_eq!(fields(&written), fields(text), "{}", text);
        let address =
            text.trim().strip_prefix(SCHEME).and_then(|rest| rest.split_once('?')).unwrap().0;
        prop_assert_eq!(address.trim_end_matches('/').parse(), Ok(read.address));
        Ok(())
    }

    proptest! {
        #[test]
        fn no_character_more_or_other_goes_unnoticed(place: prop::sample::Index, c: char, instead: bool) {
            let mut characters: Vec<char> = line().chars().collect();
            let place = place.index(characters.len());
            if instead { characters[place] = c } else { characters.insert(place, c) }
            expect_as_written(&characters.iter().collect::<String>())?;
        }

        #[test]
        fn no_byte_that_is_percent_encoded_goes_unnoticed(place: prop::sample::Index, byte: u8) {
            let mut text = line();
            let place = place.index(text.len());
            text.insert_str(place, &format!("%{byte:02X}"));
            expect_as_written(&text)?;
        }

        #[test]
        fn an_invitation_survives_being_written_down(
            commands in prop::collection::vec("\\PC{1,20}", 0..4),
            wait: Option<u16>,
            address in prop::sample::select(vec!["host.example:81", "[2001:db8::1]:80", "192.0.2.1:9"]),
        ) {
            let can_be_shown = |command: &String| command_name::check(command.clone()).is_ok();
            prop_assume!(commands.iter().all(can_be_shown));
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
