//! Commands that require a confirmation before they are sent: a click, or a line from a shell's history,
//! must not shut a server down by accident.

use ruroco_files::toml_file::nearest;
use toml::Spanned;

use super::{Checker, HOSTS, Host};

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
}

impl Checker<'_> {
    /// The commands that `confirm` lists for a host.
    pub(super) fn confirm(
        &mut self,
        name: &Spanned<String>,
        names: Vec<Spanned<String>>,
        host: &Host,
    ) -> Option<Vec<String>> {
        let is_left_out = |field| self.left_out.has(&[HOSTS, name.get_ref(), field]);
        // The errors in these fields are already reported, and the list of commands is incomplete.
        if is_left_out("command") || is_left_out("commands") {
            return None;
        }
        let mut good = true;
        for name in &names {
            if let Some(unknown) = host.first_unlisted([name.get_ref().as_str()]) {
                let meant = nearest(unknown, host.all_commands());
                let remedy = meant.map_or_else(
                    || "List only commands of this host".to_owned(),
                    |meant| format!("Did you mean {meant}?"),
                );
                let message =
                    format!("`confirm`: {unknown:?} is not one of the host's commands. {remedy}");
                self.problems.add(self.error(name.span(), message));
                good = false;
            }
        }
        good.then(|| names.into_iter().map(Spanned::into_inner).collect())
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
