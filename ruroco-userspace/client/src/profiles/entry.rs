//! One entry of `client.toml`: from its table to a [`Host`].

use std::num::NonZero;

use ruroco_common::doors::DoorName;
use ruroco_files::toml_file::{
    field::Field,
    one_or_more::OneOrMore,
    table::{Table, Taken},
    value::{Located, Value},
};
use ruroco_invite::door::{Door, Doors};
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;

use super::{
    Host,
    fields::{self, door_fields},
    values::CommandName,
};

/// Reads an entry, which is a host only if nothing in it is wrong.
pub(super) fn read(
    name: &Located<String>,
    table: Table<'_>,
    problems: &mut Problems,
) -> Option<(Name, Host)> {
    let before = problems.len();
    let entry = Entry { name, table, problems }.read()?;
    (problems.len() == before).then_some(entry)
}

struct Entry<'a, 'f> {
    name: &'a Located<String>,
    table: Table<'f>,
    problems: &'a mut Problems,
}

impl Entry<'_, '_> {
    fn read(mut self) -> Option<(Name, Host)> {
        let file = self.table.file();
        let name = self.name.value.parse();
        let name =
            self.problems.good(name.map_err(|error| file.error(self.name.at.clone(), error)));
        let address = self.required(&fields::ADDRESS, "\"203.0.113.5:80\"");
        let key = self.required(&fields::KEY, "\"home\"");
        let family = self.value(&fields::FAMILY);
        let all_addresses = self.value(&fields::ALL_ADDRESSES);
        let commands = self.commands();
        let confirm = self.value(&fields::CONFIRM);
        let wait = self.table.take(&fields::WAIT, self.problems).ok();
        let connect = self.table.take(&fields::CONNECT, self.problems).ok();
        let doors = self.doors();
        let ip = self.table.take(&fields::IP, self.problems).ok();
        let permissive = self.value(&fields::PERMISSIVE);
        self.table.reject_unknown(&fields::host(), &[fields::DOORS], self.problems);
        let host = Host {
            family: family?.0.0,
            all_addresses: all_addresses?,
            wait: wait.and_then(|port| NonZero::new(port.value.0)),
            doors,
            connect: connect.map(|line| line.value.0),
            ip: ip.map(|ip| ip.value),
            permissive: permissive?,
            ..Host::new(address?.0, key?).with_commands(commands?)
        };
        let confirm = host.check_confirm(confirm?, file, self.problems);
        Some((name?, Host { confirm, ..host }))
    }

    /// What a field with a default is.
    fn value<T: Value>(&mut self, field: &Field<T>) -> Option<T> {
        Some(self.table.take_or_default(field, self.problems)?.value)
    }

    /// What a field is that every host has.
    fn required<T: Value>(&mut self, field: &Field<T>, example: &str) -> Option<T> {
        match self.table.take(field, self.problems) {
            Taken::Is(value) => return Some(value.value),
            Taken::Wrong => {}
            Taken::Absent => {
                let Located { value: host, at } = self.name;
                let name = field.name;
                let message = format!(
                    "host `{host}` has no `{name}`. Add it, for example: {name} = {example}"
                );
                self.problems.add(self.table.file().error(at.clone(), message));
            }
        }
        None
    }

    /// The commands, the default one first, unless one of them is wrong.
    fn commands(&mut self) -> Option<Vec<String>> {
        let before = self.problems.len();
        let command = self.table.take(&fields::COMMAND, self.problems).ok();
        let others = self.value(&fields::COMMANDS)?;
        let all = command.map(|command| command.value).into_iter().chain(others);
        (self.problems.len() == before).then(|| all.map(|command| command.0).collect())
    }
    /// The doors without errors.
    fn doors(&mut self) -> Doors {
        let Some(mut doors) = self.table.take_table(fields::DOORS, self.problems).ok() else {
            return Doors::new();
        };
        let tables = doors.value.take_tables(self.problems);
        let read = |(name, table): (Located<String>, Taken<Table<'_>>)| {
            let valid = DoorName::new(&name.value);
            if valid.is_none() {
                let message = format!(
                    "`{}` is not the name of a door, which has 1 to {} of the characters a-z, 0-9, - and _",
                    name.value.escape_debug(),
                    DoorName::MAX_LENGTH
                );
                self.problems.add(self.table.file().error(name.at.clone(), message));
            }
            Some((valid?, door(&name, table.ok()?.value, self.problems)?))
        };
        tables.into_iter().filter_map(read).collect()
    }
}

/// Reads a door, which both of its required fields make one.
fn door(name: &Located<String>, mut table: Table<'_>, problems: &mut Problems) -> Option<Door> {
    let port = table.take(&door_fields::PORT, problems);
    let duration = table.take(&door_fields::FOR, problems);
    for (field, is_absent) in [("port", port.is_absent()), ("for", duration.is_absent())] {
        if is_absent {
            let message = format!(
                "door `{}` has no `{field}`. Accept the host's invitation again, or add it",
                name.value
            );
            problems.add(table.file().error(name.at.clone(), message));
        }
    }
    let mut commands = |field: &Field<OneOrMore<CommandName>>| {
        let commands = table.take(field, problems).ok().map(|commands| commands.value.0);
        commands.unwrap_or_default().into_iter().map(|command| command.0).collect()
    };
    let (open, close) = (commands(&door_fields::OPEN), commands(&door_fields::CLOSE));
    table.reject_unknown(&door_fields::door_of_host(), &[], problems);
    Some(Door { open, close, ..Door::new(port.ok()?.value.0, duration.ok()?.value.0) })
}
