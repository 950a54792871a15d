//! How `ruroco-client` ends: its exit codes, which scripts rely on.

use std::process::ExitCode;

use crate::attempt::Observation;

/// What becomes of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done what was asked; of a knock: it is on its way and, if that was looked at, the port is open.
    Done,
    /// Not done, and said why; of a knock: it is not on its way.
    Failed,
    /// Not done: nobody can say what was asked.
    WrongCommandLine,
    /// The knock is on its way, and the port did not open.
    NotOpened,
    /// The port is open, and what was to come after that failed.
    FailedAfterwards,
    /// That of a program that was run.
    Of(u8),
}

/// The same for people: a part of `--help`, the man page and the book. A paragraph in each of them, and
/// lines in the first.
pub(super) const HELP: &str = "\
Exit codes: 0, done: a knock is on its way and, if that was waited for, the port is open;
1, not done: a knock is not on its way;
2, the command line is wrong;
3, a knock is on its way, and the port did not open;
4, a knock is on its way and the port is open, and what was to come after that failed.";

impl From<&Observation> for Exit {
    fn from(observation: &Observation) -> Self {
        match observation {
            Observation::NotLooked | Observation::Opened { .. } => Self::Done,
            Observation::Shut { .. } | Observation::GivenUp => Self::NotOpened,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::WrongCommandLine => ruroco_command_line::WRONG,
            Exit::NotOpened => 3,
            Exit::FailedAfterwards => 4,
            Exit::Of(code) => code,
        })
    }
}
