//! One entry of `client.toml`: from its table to a [`Host`].

use std::num::NonZero;

use ruroco_files::toml_file::{
    field::Field,
    table::{Table, Taken},
    value::{Located, Value},
};
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;

use super::{Host, fields};

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
        let ip = self.table.take(&fields::IP, self.problems).ok();
        let permissive = self.value(&fields::PERMISSIVE);
        self.table.reject_unknown(&fields::host(), &[], self.problems);
        let host = Host {
            family: family?.0.0,
            all_addresses: all_addresses?,
            wait: wait.and_then(|port| NonZero::new(port.value.0)),
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
}
