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
//! times, the first is the default one; `wait`, a TCP port that opens, at most once. For each [door](crate::door)
//! there is one `door`, with its name, port and seconds (`ssh tcp/22 30`), and any number of `open` and `close`,
//! each with the door's name and a command (`ssh open_ssh`). Unknown fields are rejected, because a newer host
//! may require them. So a client that does not know doors needs an invitation without them
//! (`ruroco invite --no-doors`); an invitation without doors is valid for every client.
//!
//! A line that was altered is rejected, too: each value must be encoded exactly as
//! [`Invitation::to_text`] encodes it. The reader accepts these differences only: white space around the
//! line, another order of the fields, a missing port, which is 80, another notation of an IP address, and a
//! slash before the question mark.
//!
//! An invitation contains a key and is as secret as the key.

use std::{collections::btree_map::Entry, fmt, num::NonZero, time::Duration};

use form_urlencoded::{Serializer, byte_serialize};
use ruroco_common::doors::DoorName;
use ruroco_keys::{
    command_name::{self, NotACommand},
    key::{self, Key},
    name::Name,
};
use ruroco_messages::visible::is_hidden;
use zeroize::Zeroizing;

use crate::{
    destination::Destination,
    door::{Door, Doors, MAX_SECONDS},
};

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
    /// The doors that the commands open and close.
    pub doors: Doors,
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
    /// A door, or a command that opens or closes one, is invalid.
    #[error("`{0}` in the invitation is not valid, {ALTERED}")]
    Door(&'static str),
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
        let (mut doors, mut open, mut close) = (Doors::new(), Vec::new(), Vec::new());
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
                "door" => {
                    let (name, door) = door(read("door")?).ok_or(ParseError::Door("door"))?;
                    match doors.entry(name) {
                        Entry::Vacant(free) => _ = free.insert(door),
                        Entry::Occupied(_) => return Err(ParseError::Twice("door")),
                    }
                }
                "open" => open.push(used(read("open")?).ok_or(ParseError::Door("open"))?),
                "close" => close.push(used(read("close")?).ok_or(ParseError::Door("close"))?),
                _ => return Err(ParseError::Unknown),
            }
        }
        for (name, command) in open {
            doors.get_mut(&name).ok_or(ParseError::Door("open"))?.open.push(command);
        }
        for (name, command) in close {
            doors.get_mut(&name).ok_or(ParseError::Door("close"))?.close.push(command);
        }
        Ok(Self {
            name: name.ok_or(ParseError::Missing("name"))?,
            address,
            key: key.ok_or(ParseError::Missing("key"))?,
            commands,
            wait,
            doors,
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
        for (name, Door { port, duration, open, close }) in &self.doors {
            fields.append_pair("door", &format!("{name} {port} {}", duration.as_secs()));
            for (field, commands) in [("open", open), ("close", close)] {
                for command in commands {
                    fields.append_pair(field, &format!("{name} {command}"));
                }
            }
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

/// A door: its name, port and seconds.
fn door(text: &str) -> Option<(DoorName, Door)> {
    let (name, rest) = text.split_once(' ')?;
    let (port, seconds) = rest.split_once(' ')?;
    let length: u64 = seconds.parse().ok()?;
    let is_valid = (1..=MAX_SECONDS).contains(&length) && length.to_string() == seconds;
    let door = Door::new(port.parse().ok()?, Duration::from_secs(length));
    is_valid.then_some((DoorName::new(name)?, door))
}

/// The name of a door, and a command that opens or closes it.
fn used(text: &str) -> Option<(DoorName, String)> {
    let (name, command) = text.split_once(' ')?;
    Some((DoorName::new(name)?, command_name::check(command.to_owned()).ok()?))
}

fn secret(text: &str) -> Result<Key, ParseError> {
    let key = Key::parse(text).map_err(ParseError::Key)?;
    if *key.to_text() == text { Ok(key) } else { Err(ParseError::Encoding("key")) }
}

#[cfg(test)]
mod tests;
