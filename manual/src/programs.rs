//! The programs, and where their pages belong.

use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use ruroco::{client, commander::arguments, gate, server};

/// A section of the manual (man(1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Programs for everybody.
    User,
    /// Formats of files.
    Formats,
    /// Programs for whoever runs the host.
    Administrator,
}

impl Section {
    /// As in a file's name.
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::User => "1",
            Self::Formats => "5",
            Self::Administrator => "8",
        }
    }
}

/// All of them.
pub(crate) fn all() -> [(Command, Section); 5] {
    [
        (client::cli::Cli::command(), Section::User),
        (client::cli::window::Cli::command(), Section::User),
        (gate::cli::Cli::command(), Section::Administrator),
        (server::cli::Cli::command(), Section::Administrator),
        (commander(), Section::Administrator),
    ]
    // A page for a word that prints what another page says.
    .map(|(command, section)| (command.disable_help_subcommand(true), section))
}

/// The commander parses its command line by hand, to keep what it links small, so this reads what
/// it prints when it is asked for help.
fn commander() -> Command {
    let mut lines = arguments::HELP.lines();
    let about = lines.next().unwrap_or_default().trim_end_matches('.');
    let options = lines.filter_map(option);
    Command::new("ruroco-commander")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options)
}

/// A line such as `  -c, --config <PATH>    what it is`.
fn option(line: &'static str) -> Option<Arg> {
    let (names, help) = line.trim_start().split_once("  ")?;
    let (short, rest) = match names.split_once(", ") {
        Some((short, rest)) => (short.trim_start_matches('-').chars().next(), rest),
        None => (None, names),
    };
    let mut words = rest.split(' ');
    let long = words.next()?.strip_prefix("--")?;
    let arg = Arg::new(long).long(long).help(help.trim_start());
    let arg = short.into_iter().fold(arg, Arg::short);
    Some(match words.next() {
        Some(value) => {
            let value = value.trim_matches(['<', '>']);
            arg.value_name(value).value_hint(ValueHint::AnyPath)
        }
        None => arg.action(ArgAction::SetTrue),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_hold_together() {
        for (command, _) in all() {
            command.debug_assert();
        }
    }

    #[test]
    fn all_of_the_commanders_options_are_found() {
        let commander = commander();
        let found: Vec<_> = commander.get_arguments().filter_map(Arg::get_long).collect();
        let printed = arguments::HELP.matches("--").count();
        assert_eq!(found.len(), printed, "{found:?}");
        let config = commander.get_arguments().find(|arg| arg.get_long() == Some("config"));
        let config = config.unwrap();
        assert_eq!((config.get_short(), config.get_action().takes_values()), (Some('c'), true));
    }
}
