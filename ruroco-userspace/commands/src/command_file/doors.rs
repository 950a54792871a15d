//! `open` and `close` of a command: doors that `config.toml` has, each once.

#[cfg(test)]
mod tests;

use std::time::Duration;

use ruroco_common::doors::DoorName;
use ruroco_config::door;
use ruroco_files::toml_file::{nearest, one_or_more::OneOrMore, table::Taken, value::Located};
use ruroco_messages::problems::Problem;

use super::Checker;
use crate::task::{DoorAction, DoorChange};

/// The value of `open` or of `close`.
pub(super) type Names = Taken<OneOrMore<Located<String>>>;

impl Checker<'_> {
    /// What a command does with doors. Those that it opens come first.
    pub(super) fn doors(&mut self, open: Names, close: Names) -> Vec<DoorChange> {
        let mut changes = Vec::new();
        for (names, opens) in [(open, true), (close, false)] {
            let OneOrMore(names) = match names.ok() {
                Some(names) => names.value,
                None => continue,
            };
            for name in names {
                let found = self.good(|checker| checker.door(&name));
                let Some((door, duration)) = found.flatten() else { continue };
                if changes.iter().any(|change: &DoorChange| change.door == door) {
                    let message =
                        format!("the door {door} is named twice in `open` and `close`. Remove one");
                    self.problems.add(self.file.error(name.at, message));
                    continue;
                }
                let action = if opens { DoorAction::Open { duration } } else { DoorAction::Close };
                changes.push(DoorChange { door, action });
            }
        }
        changes
    }

    /// A door, and how long it is open after a knock; nothing if the errors of the door have been reported.
    fn door(&self, name: &Located<String>) -> Result<Option<(DoorName, Duration)>, Problem> {
        let (text, valid) = (&name.value, DoorName::new(&name.value));
        let Some(known) = self.known else {
            // Nothing runs for a reader that knows no doors.
            let door =
                valid.ok_or_else(|| self.file.error(name.at.clone(), door::bad_name(text)))?;
            return Ok(Some((door, Duration::ZERO)));
        };
        let doors = &known.config.doors;
        if let Some(door) = valid.and_then(|name| doors.get(&name)) {
            return Ok(Some((door.name, door.duration)));
        }
        if known.config.door_names().any(|known| known == text) {
            return Ok(None);
        }
        let shown = text.escape_debug();
        let meant = nearest(text, known.config.door_names());
        let message = match meant {
            Some(meant) => {
                format!("there is no door `{shown}` in config.toml; did you mean `{meant}`?")
            }
            None => format!(
                "there is no door `{shown}` in config.toml. Add [doors.NAME] there, or remove the name here"
            ),
        };
        Err(self.file.error(name.at.clone(), message))
    }
}
