//! The command lines of the daemons. Each option is defined once: parsing, `--help` and the pages of the manual
//! come from the definition.
//!
//! A daemon takes few options, and each crate that it links is one more to trust, so this is written over
//! `lexopt`, which links nothing else. The programs that people type have more to offer, and use clap.

mod help;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use lexopt::Arg;
use ruroco_files::toml_file::nearest;
use ruroco_messages::redaction::redacted;

/// Exit code of a program whose command line is invalid.
pub const WRONG: u8 = 2;

/// The command line of a daemon.
#[derive(Clone, Copy, Debug)]
pub struct CommandLine {
    /// The program.
    pub program: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// More about it, in lines of at most 80 characters.
    pub details: &'static str,
    /// The options of the program, which may stand before an action, too.
    pub options: &'static [CommandOption],
    /// What it can do instead of running as a daemon.
    pub actions: &'static [Action],
}

/// Something that a program can do instead of running as a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// The word for it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The options that may follow the word.
    pub options: &'static [CommandOption],
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub struct CommandOption {
    /// Its name, without the two dashes.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// Its meaning.
    pub help: &'static str,
    /// The value that follows it.
    pub value: Option<OptionValue>,
}

impl CommandOption {
    /// `--config`, which every daemon has.
    pub const fn config(default: &'static str) -> Self {
        Self {
            long: "config",
            short: Some('c'),
            help: "Configuration file",
            value: Some(OptionValue { name: "PATH", default, choices: &[] }),
        }
    }
}

/// The value of an option.
#[derive(Clone, Copy, Debug)]
pub struct OptionValue {
    /// What the help calls it.
    pub name: &'static str,
    /// The default.
    pub default: &'static str,
    /// The only valid values, and their meaning. If the list is empty, every value is valid.
    pub choices: &'static [(&'static str, &'static str)],
}

/// A command line that was parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    action: Option<&'static str>,
    given: BTreeMap<&'static str, OsString>,
}

impl Arguments {
    /// The action to perform; without one, the program runs as a daemon.
    pub fn action(&self) -> Option<&'static str> {
        self.action
    }

    /// Whether an option was given.
    pub fn has(&self, option: &CommandOption) -> bool {
        self.given.contains_key(option.long)
    }

    /// The value of an option from the command line, or its default.
    pub fn value(&self, option: &CommandOption) -> &OsStr {
        let default = option.value.map_or("", |value| value.default);
        self.given.get(option.long).map_or(OsStr::new(default), OsString::as_os_str)
    }

    /// The same for a path.
    pub fn path(&self, option: &CommandOption) -> PathBuf {
        self.value(option).into()
    }
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Invocation {
    Run(Arguments),
    /// To print the help, perhaps for an action.
    Help(Option<&'static str>),
    Version,
}

impl CommandLine {
    /// Parses arguments, without the name of the program.
    ///
    /// # Errors
    /// The exit code, after printing the help, the version or the error.
    pub fn parse<I>(&self, arguments: I) -> Result<Arguments, ExitCode>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        // A closed pipe is not an error.
        match self.read(arguments) {
            Ok(Invocation::Run(arguments)) => return Ok(arguments),
            Ok(Invocation::Help(action)) => {
                let _ = io::stdout().write_all(self.help(action).as_bytes());
            }
            Ok(Invocation::Version) => {
                let _ = writeln!(io::stdout(), "{} {}", self.program, env!("CARGO_PKG_VERSION"));
            }
            Err(message) => return Err(self.wrong(&message)),
        }
        Err(ExitCode::SUCCESS)
    }

    /// Reports an invalid command line. A key that was pasted into it is not repeated.
    pub fn wrong(&self, message: &str) -> ExitCode {
        let message = redacted(message);
        let program = self.program;
        let _ =
            writeln!(io::stderr(), "Error: {message}\nTo list all options, run `{program} --help`");
        ExitCode::from(WRONG)
    }

    fn read<I>(&self, arguments: I) -> Result<Invocation, String>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut parsed = Arguments::default();
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            let option = match argument {
                Arg::Short('h') | Arg::Long("help") => {
                    return Ok(Invocation::Help(parsed.action));
                }
                Arg::Short('V') | Arg::Long("version") => return Ok(Invocation::Version),
                Arg::Value(word) => {
                    parsed.action = Some(self.action(&word, parsed.action)?.name);
                    continue;
                }
                Arg::Short(letter) => self.option(
                    parsed.action,
                    |option| option.short == Some(letter),
                    &letter.to_string(),
                ),
                Arg::Long(name) => self.option(parsed.action, |option| option.long == name, name),
            }?;
            let value = match option.value {
                Some(value) => value.check(option, parser.value().ok())?,
                None => OsString::new(),
            };
            if parsed.given.insert(option.long, value).is_some() {
                return Err(format!("--{} is given twice", option.long));
            }
        }
        Ok(Invocation::Run(parsed))
    }

    /// The options that may stand here.
    fn options(&self, action: Option<&str>) -> &'static [CommandOption] {
        let action = self.actions.iter().find(|known| Some(known.name) == action);
        action.map_or(self.options, |action| action.options)
    }

    fn option(
        &self,
        action: Option<&str>,
        is_meant: impl Fn(&CommandOption) -> bool,
        written: &str,
    ) -> Result<&'static CommandOption, String> {
        let options = self.options(action);
        options.iter().find(|option| is_meant(option)).ok_or_else(|| {
            let dashes = if written.chars().count() == 1 { "-" } else { "--" };
            let what = format!("unknown option {dashes}{}", written.escape_debug());
            match nearest(written, options.iter().map(|option| option.long)) {
                Some(meant) => format!("{what}; did you mean --{meant}?"),
                None => what,
            }
        })
    }

    fn action(&self, word: &OsStr, before: Option<&str>) -> Result<&'static Action, String> {
        let found = self.actions.iter().find(|action| before.is_none() && action.name == word);
        found.ok_or_else(|| format!("unexpected argument {word:?}"))
    }
}

impl OptionValue {
    fn check(&self, option: &CommandOption, given: Option<OsString>) -> Result<OsString, String> {
        let (long, name) = (option.long, self.name);
        let given = given.ok_or_else(|| format!("--{long} requires a value: --{long} <{name}>"))?;
        let is_possible = self.choices.is_empty()
            || self.choices.iter().any(|(choice, _)| given == OsStr::new(choice));
        if is_possible {
            return Ok(given);
        }
        let choices: Vec<&str> = self.choices.iter().map(|(choice, _)| *choice).collect();
        Err(format!("--{long} cannot be {given:?}. Use {}", choices.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: CommandOption = CommandOption::config("/etc/x.toml");
    const POLICY: CommandOption = CommandOption {
        long: "policy",
        short: None,
        help: "How strict it is",
        value: Some(OptionValue {
            name: "POLICY",
            default: "lax",
            choices: &[("strict", "Very"), ("lax", "Not very")],
        }),
    };
    const FORCE: CommandOption =
        CommandOption { long: "force", short: None, help: "Do it anyway", value: None };
    const LINE: CommandLine = CommandLine {
        program: "daemon",
        about: "Does it",
        details: "Again and\nagain.",
        options: &[CONFIG, POLICY],
        actions: &[Action { name: "init", about: "Make it", options: &[CONFIG, FORCE] }],
    };

    fn arguments(words: &[&str]) -> Result<Arguments, String> {
        match LINE.read(words) {
            Ok(Invocation::Run(arguments)) => Ok(arguments),
            Ok(other) => panic!("{other:?}"),
            Err(message) => Err(message),
        }
    }

    #[test]
    fn options_have_the_values_that_are_given_or_their_defaults() {
        let parsed = arguments(&[]).unwrap();
        assert_eq!(parsed.path(&CONFIG), PathBuf::from("/etc/x.toml"));
        assert_eq!((parsed.value(&POLICY), parsed.action()), (OsStr::new("lax"), None));
        for words in [["-c", "a", "--policy=strict"], ["--config=a", "--policy", "strict"]] {
            let parsed = arguments(&words).unwrap();
            assert_eq!(parsed.path(&CONFIG), PathBuf::from("a"));
            assert_eq!(parsed.value(&POLICY), "strict");
        }
    }

    #[test]
    fn an_action_has_options_of_its_own_and_follows_those_of_the_program() {
        for words in [["init", "--force", "-c", "a"], ["-c", "a", "init", "--force"]] {
            let parsed = arguments(&words).unwrap();
            assert_eq!((parsed.action(), parsed.has(&FORCE)), (Some("init"), true));
            assert_eq!(parsed.path(&CONFIG), PathBuf::from("a"));
        }
        assert!(!arguments(&["init"]).unwrap().has(&FORCE));
    }

    #[test]
    fn a_wrong_argument_is_named() {
        let wrong: [(&[&str], &str); 11] = [
            (&["--confg", "a"], "unknown option --confg; did you mean --config?"),
            (&["-x"], "unknown option -x"),
            (&["--x\u{1b}[2J"], "unknown option --x\\u{1b}[2J"),
            (&["start"], "unexpected argument \"start\""),
            (&["init", "init"], "unexpected argument \"init\""),
            (&["-c"], "--config requires a value: --config <PATH>"),
            (&["--policy", "stric"], "--policy cannot be \"stric\". Use strict or lax"),
            (&["-c", "a", "--config", "b"], "--config is given twice"),
            (&["--force"], "unknown option --force"),
            (&["init", "--policy", "lax"], "unknown option --policy"),
            (&["init", "--force=yes"], "unexpected argument for option '--force': \"yes\""),
        ];
        for (words, told) in wrong {
            assert_eq!(arguments(words).unwrap_err(), told, "{words:?}");
        }
    }

    #[test]
    fn help_and_version_can_be_asked_for_anywhere() {
        for words in [&["-h"][..], &["--help"], &["-c", "a", "--help", "--confg"]] {
            assert_eq!(LINE.read(words), Ok(Invocation::Help(None)));
        }
        assert_eq!(LINE.read(["init", "-h"]), Ok(Invocation::Help(Some("init"))));
        assert_eq!(LINE.read(["-V"]), Ok(Invocation::Version));
    }
}
