//! The programs, and where their pages belong.

use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use ruroco_client as client;
use ruroco_commander::arguments;
use ruroco_gate as gate;
use ruroco_operator as operator;
use ruroco_server as server;

/// A section of the manual (man(1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Programs for everybody.
    User,
    /// Formats of files.
    Formats,
    /// Overviews.
    Overview,
    /// Programs for administrators of a host.
    Administrator,
}

impl Section {
    /// As in a file's name.
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::User => "1",
            Self::Formats => "5",
            Self::Overview => "7",
            Self::Administrator => "8",
        }
    }
}

/// A package that programs, pages and completions belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Package {
    /// The client's command line.
    Client,
    /// The client's window.
    Window,
    /// Gate, server, commander and the operator's tool.
    Host,
}

impl Package {
    /// The folder for its man pages. `package.metadata.deb` in `ruroco-userspace/Cargo.toml` takes
    /// them from there.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Client => "ruroco-client",
            Self::Window => "ruroco-client-ui",
            Self::Host => "ruroco",
        }
    }
}

/// A program with a command line.
pub(crate) struct Program {
    /// Its command line.
    pub(crate) command: Command,
    /// The section of its pages.
    pub(crate) section: Section,
    /// The package that installs it.
    pub(crate) package: Package,
}

/// All programs.
pub(crate) fn all() -> [Program; 6] {
    [
        (client::cli::Cli::command(), Section::User, Package::Client),
        (client::cli::window::Cli::command(), Section::User, Package::Window),
        (operator::cli::Cli::command(), Section::Administrator, Package::Host),
        (gate::cli::Cli::command(), Section::Administrator, Package::Host),
        (server::cli::Cli::command(), Section::Administrator, Package::Host),
        (commander(), Section::Administrator, Package::Host),
    ]
    .map(|(command, section, package)| Program {
        // The page of `help` would repeat another page.
        command: command.disable_help_subcommand(true),
        section,
        package,
    })
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
        for program in all() {
            program.command.debug_assert();
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
