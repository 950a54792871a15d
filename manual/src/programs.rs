//! The programs, and where their pages belong.

use clap::{
    Arg, ArgAction, Command, CommandFactory, ValueHint,
    builder::{PossibleValue, PossibleValuesParser},
};
use ruroco_client as client;
use ruroco_commander as commander;
use ruroco_daemon::command_line::{Action, CommandLine, CommandOption};
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
        (daemon(&gate::cli::COMMAND_LINE), Section::Administrator, Package::Host),
        (daemon(&server::cli::COMMAND_LINE), Section::Administrator, Package::Host),
        (daemon(&commander::cli::COMMAND_LINE), Section::Administrator, Package::Host),
    ]
    .map(|(command, section, package)| Program {
        // The page of `help` would repeat another page.
        command: command.disable_help_subcommand(true),
        section,
        package,
    })
}

/// A daemon's command line as clap has it, which the daemons do not link.
fn daemon(line: &CommandLine) -> Command {
    let action = |action: &Action| {
        Command::new(action.name).about(action.about).args(action.options.iter().map(argument))
    };
    Command::new(line.program)
        .version(env!("CARGO_PKG_VERSION"))
        .about(line.about)
        .long_about(format!("{}.\n\n{}", line.about, in_one_line(line.details)))
        .args(line.options.iter().map(argument))
        .subcommands(line.actions.iter().map(action))
}

fn argument(option: &CommandOption) -> Arg {
    let arg = Arg::new(option.long).long(option.long).help(in_one_line(option.help));
    let arg = option.short.into_iter().fold(arg, Arg::short);
    let Some(value) = option.value else { return arg.action(ArgAction::SetTrue) };
    let arg = arg.value_name(value.name).default_value(value.default);
    if value.choices.is_empty() {
        return arg.value_hint(ValueHint::AnyPath);
    }
    let choice =
        |(name, meaning): &(&'static str, &'static str)| PossibleValue::new(*name).help(*meaning);
    arg.value_parser(PossibleValuesParser::new(value.choices.iter().map(choice)))
}

fn in_one_line(text: &str) -> String {
    text.replace('\n', " ")
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
    fn what_the_manual_says_of_a_daemon_is_what_it_parses() {
        let server = daemon(&server::cli::COMMAND_LINE);
        let config = server.get_arguments().find(|arg| arg.get_long() == Some("config")).unwrap();
        assert_eq!((config.get_short(), config.get_action().takes_values()), (Some('c'), true));
        let sandbox = server.get_arguments().find(|arg| arg.get_long() == Some("sandbox")).unwrap();
        assert_eq!(sandbox.get_default_values(), ["best-effort"]);
        let init = server.find_subcommand("init").unwrap();
        let flag = init.get_arguments().find(|arg| arg.get_long() == Some("if-missing")).unwrap();
        assert!(!flag.get_action().takes_values());
    }
}
