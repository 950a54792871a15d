//! Commands that require a confirmation before they are sent: a click, or a line from a shell's history,
//! must not shut a host down by accident.

use ruroco_files::toml_file::{Source, nearest, value::Located};
use ruroco_messages::problems::Problems;

use super::{Host, fields};

impl Host {
    /// Whether this command requires a confirmation before it is sent.
    pub fn needs_confirmation(&self, command: &str) -> bool {
        self.confirm.iter().any(|asking| asking == command)
    }

    /// The first of these names that is not one of the host's commands. If such a typo were accepted,
    /// the intended command would be sent without a confirmation.
    pub fn first_unlisted<'a>(
        &self,
        confirm: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        confirm.into_iter().find(|name| self.all_commands().all(|command| command != *name))
    }

    /// The names in `confirm`; adds a problem for each that is not one of the host's commands.
    pub(super) fn check_confirm(
        &self,
        names: Vec<Located<String>>,
        file: &Source,
        problems: &mut Problems,
    ) -> Vec<String> {
        for Located { value: name, at } in &names {
            let Some(unknown) = self.first_unlisted([name.as_str()]) else { continue };
            let remedy = match nearest(unknown, self.all_commands()) {
                Some(meant) => format!("Did you mean {meant}?"),
                None => "List only commands of this host".to_owned(),
            };
            let message = format!(
                "`{}`: {unknown:?} is not one of the host's commands. {remedy}",
                fields::CONFIRM.name
            );
            problems.add(file.error(at.clone(), message));
        }
        names.into_iter().map(|name| name.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::profiles::Profiles;
    use ruroco_files::toml_file::Source;

    const HOST: &str =
        "[hosts.nas]\naddress = \"a\"\nkey = \"k\"\ncommands = [\"open_ssh\", \"shut_down\"]\n";

    #[test]
    fn only_commands_that_are_listed_are_confirmed() {
        let text = format!("{HOST}confirm = [\"shut_down\"]\n");
        let profiles = Profiles::check(&Source::new("/client.toml", text)).or_problems().unwrap();
        let host = profiles.get("nas").unwrap();
        assert!(host.needs_confirmation("shut_down") && !host.needs_confirmation("open_ssh"));
    }

    #[test]
    fn an_error_in_the_commands_is_reported_once() {
        let text = HOST.replace("\"shut_down\"", "1") + "confirm = [\"shut_down\"]\n";
        let checked = Profiles::check(&Source::new("/client.toml", text)).or_problems();
        let message = checked.unwrap_err().to_string();
        assert!(
            message.starts_with("/client.toml:4: ") && !message.contains("confirm"),
            "{message}"
        );
    }

    #[test]
    fn a_typo_does_not_leave_a_command_without_confirmation() {
        for (typo, remedy) in
            [("shut_donw", "Did you mean shut_down?"), ("x", "List only commands")]
        {
            let text = format!("{HOST}confirm = [\"{typo}\"]\n");
            let checked = Profiles::check(&Source::new("/client.toml", text)).or_problems();
            let message = checked.unwrap_err().to_string();
            assert!(message.starts_with("/client.toml:5: `confirm`: "), "{message}");
            assert!(message.contains(remedy), "{message}");
        }
    }
}
