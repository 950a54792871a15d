//! The types that only fields of `client.toml` have.

use std::{fmt::Display, str::FromStr};

use ruroco_files::toml_file::value::{Choice, Item, Value};
use ruroco_invite::{
    destination::{Destination, Family},
    door,
};
use ruroco_keys::command_name;
use ruroco_messages::{problems::Problems, visible::is_visible};

use crate::key_store::KeyReference;

/// The address of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress(pub Destination);

impl Value for HostAddress {
    fn kind() -> String {
        "name or IP address, with or without a port".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        parsed(item, problems).map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string().show()
    }
}

impl Value for KeyReference {
    fn kind() -> String {
        "key name or absolute path".to_owned()
    }

    /// A relative path would depend on the current directory.
    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        match parsed(item, problems)? {
            Self::File(path) if !path.is_absolute() => {
                problems.add(item.problem(format_args!(
                    "`{}`: {} is a relative path. Set the absolute path of the file, or import it with \
                     `ruroco-client key import NAME` and set `key` to that name",
                    item.field(),
                    path.display()
                )));
                None
            }
            key @ (Self::File(_) | Self::Named(_)) => Some(key),
        }
    }

    fn show(&self) -> String {
        self.to_string().show()
    }
}

/// The name of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandName(pub String);

impl Value for CommandName {
    fn kind() -> String {
        "command name".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let name = command_name::check(String::read(item, problems)?);
        problems.good(name.map(Self).map_err(|error| item.problem(error)))
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

/// The port of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorPort(pub door::Port);

impl Value for DoorPort {
    fn kind() -> String {
        "protocol and port, such as \"tcp/22\"".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        parsed(item, problems).map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string().show()
    }
}

/// A program and its arguments, as a shell would write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine(pub String);

/// A text is not a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a command line. Use a program and its arguments on one line, without control or invisible characters, and \
     close every quote"
)]
pub struct NotACommandLine;

impl CommandLine {
    /// The program and its arguments.
    pub fn words(&self) -> Vec<String> {
        shlex::split(&self.0).unwrap_or_default()
    }
}

impl FromStr for CommandLine {
    type Err = NotACommandLine;

    fn from_str(text: &str) -> Result<Self, NotACommandLine> {
        let has_words = shlex::split(text).is_some_and(|words| !words.is_empty());
        if has_words && is_visible(text) { Ok(Self(text.to_owned())) } else { Err(NotACommandLine) }
    }
}

impl Value for CommandLine {
    fn kind() -> String {
        "command line".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        parsed(item, problems)
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

/// [`Family`] as the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFamily(pub Family);

impl AddressFamily {
    const fn choice(family: Family) -> (&'static str, Self) {
        (family.field(), Self(family))
    }
}

impl Choice for AddressFamily {
    const CHOICES: &'static [(&'static str, Self)] =
        &[Self::choice(Family::Any), Self::choice(Family::V4), Self::choice(Family::V6)];
}

/// A text that a type parses by itself.
fn parsed<T: FromStr>(item: &Item<'_>, problems: &mut Problems) -> Option<T>
where
    T::Err: Display,
{
    let parsed = String::read(item, problems)?.parse();
    let problem = |error| item.problem(format_args!("`{}`: {error}", item.field()));
    problems.good(parsed.map_err(problem))
}
