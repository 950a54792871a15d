//! The values of a host's fields: the one list from which `client.toml` and the lists of hosts are written.

use ruroco_invite::{destination::Family, door::Doors};
use ruroco_keys::command_name::DEFAULT_COMMAND;

use super::{Host, fields};

/// A field of a host and its value.
pub(crate) struct HostField<'a> {
    /// Its name in `client.toml`.
    pub(crate) name: &'static str,
    /// What precedes its value in a list for people, or stands for it. Such a list has the other fields in columns of
    /// their own.
    pub(crate) word: Option<&'static str>,
    /// Its value.
    pub(crate) value: FieldValue<'a>,
    /// Whether the host is the same without it.
    pub(crate) is_default: bool,
}

/// The value of a field.
pub(crate) enum FieldValue<'a> {
    /// The field has none.
    Nothing,
    /// Whether it is so.
    Flag(bool),
    /// A port.
    Number(u16),
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<&'a str>),
    /// A table for each door.
    Doors(&'a Doors),
}

impl Host {
    /// Every field of the host, in the order of a new entry in `client.toml`.
    pub(crate) fn fields(&self) -> [HostField<'_>; 12] {
        use FieldValue::{Doors, Flag, Nothing, Number, Text, Texts};
        let Self {
            address,
            family,
            all_addresses,
            key,
            command,
            commands,
            confirm,
            wait,
            doors,
            connect,
            ip,
            permissive,
        } = self;
        let field = |name, word, value, is_default| HostField { name, word, value, is_default };
        let text = |text: Option<String>| text.map_or(Nothing, Text);
        let is_one = commands.is_empty();
        let command_is_default = !is_one || command == DEFAULT_COMMAND;
        let confirmed = confirm.iter().map(String::as_str).collect();
        let port = wait.map_or(Nothing, |port| Number(port.get()));
        [
            field(fields::ADDRESS.name, None, Text(address.to_string()), false),
            field(fields::KEY.name, Some("key"), Text(key.to_string()), false),
            field(fields::COMMAND.name, None, Text(command.clone()), command_is_default),
            field(fields::COMMANDS.name, None, Texts(self.all_commands().collect()), is_one),
            field(fields::CONFIRM.name, Some("confirm"), Texts(confirmed), confirm.is_empty()),
            field(fields::WAIT.name, Some("port"), port, wait.is_none()),
            field(fields::DOORS, Some("door"), Doors(doors), doors.is_empty()),
            field(fields::CONNECT.name, Some("connect"), text(connect.clone()), connect.is_none()),
            field(fields::IP.name, Some("for"), text(ip.map(|ip| ip.to_string())), ip.is_none()),
            field(fields::PERMISSIVE.name, Some("permissive"), Flag(*permissive), !permissive),
            field(
                fields::FAMILY.name,
                Some(""),
                Text(family.field().to_owned()),
                *family == Family::Any,
            ),
            field(
                fields::ALL_ADDRESSES.name,
                Some("all addresses"),
                Flag(*all_addresses),
                !all_addresses,
            ),
        ]
    }
}
