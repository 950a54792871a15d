//! The command line, parsed by hand-written code with `lexopt`, so that the commander has the fewest
//! dependencies of all programs.

use std::{ffi::OsString, path::PathBuf};

use ruroco_commands::commands;
use ruroco_config as config;

/// What `--help` prints.
pub const HELP: &str = "\
Runs the commands that accepted knocks request. On SIGHUP, it reads its files again.

Usage: ruroco-commander [OPTIONS]

Options:
  -c, --config <PATH>    configuration file [default: /etc/ruroco/config.toml]
      --commands <PATH>  commands file [default: /etc/ruroco/commands.toml]
  -h, --help             print this help
  -V, --version          print the version
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run as a daemon.
    Start(Arguments),
    /// Print [`HELP`].
    Help,
    /// Print name and version.
    Version,
}

/// The checked arguments of a start.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Where `config.toml` is.
    pub config: PathBuf,
    /// Where `commands.toml` is.
    pub commands: PathBuf,
}

impl Invocation {
    /// Parses arguments, the program's name not among them.
    ///
    /// # Errors
    /// If one is unknown or lacks its value.
    pub fn parse<I>(arguments: I) -> Result<Self, lexopt::Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        use lexopt::Arg::{Long, Short};

        let mut parser = lexopt::Parser::from_args(arguments);
        let mut config = PathBuf::from(config::DEFAULT_PATH);
        let mut commands = PathBuf::from(commands::DEFAULT_PATH);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('c') | Long("config") => config = parser.value()?.into(),
                Long("commands") => commands = parser.value()?.into(),
                Short('h') | Long("help") => return Ok(Self::Help),
                Short('V') | Long("version") => return Ok(Self::Version),
                Short(_) | Long(_) | lexopt::Arg::Value(_) => return Err(argument.unexpected()),
            }
        }
        Ok(Self::Start(Arguments { config, commands }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(config: &str, commands: &str) -> Invocation {
        Invocation::Start(Arguments { config: config.into(), commands: commands.into() })
    }

    #[test]
    fn without_arguments_the_defaults_hold_and_the_help_names_them() {
        let defaults = start(config::DEFAULT_PATH, commands::DEFAULT_PATH);
        assert_eq!(Invocation::parse([""; 0]).unwrap(), defaults);
        assert!(HELP.contains(config::DEFAULT_PATH) && HELP.contains(commands::DEFAULT_PATH));
    }

    #[test]
    fn both_files_can_be_elsewhere() {
        for arguments in [["-c", "a", "--commands", "b"], ["--commands", "b", "--config", "a"]] {
            assert_eq!(Invocation::parse(arguments).unwrap(), start("a", "b"));
        }
        assert_eq!(Invocation::parse(["--config=a", "--commands=b"]).unwrap(), start("a", "b"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let wrong: [&[&str]; 4] = [&["--confg", "a"], &["a"], &["-c"], &["-x"]];
        for arguments in wrong {
            assert!(Invocation::parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
