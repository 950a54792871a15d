//! The exit codes of `ruroco-client`. Scripts depend on them.

use std::process::ExitCode;

use crate::attempt::Observation;

/// The result of a command, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded. If it sent a knock and waited for a port, the port is open.
    Done,
    /// The command failed and printed the reason. No knock was sent.
    Failed,
    /// The command line is invalid. Nothing was done.
    WrongCommandLine,
    /// The knock was sent, but the port did not open.
    NotOpened,
    /// The knock was sent and the port is open, but a later step failed.
    FailedAfterwards,
    /// The exit code of another program, which this one started.
    OfProgram(u8),
}

/// The exit codes as text for `--help`, the man page and the book. `--help` keeps the lines; the others join
/// them to a paragraph.
pub(super) const HELP: &str = "\
Exit codes: 0, success: the knock was sent and, if the program waited for a port, the port is open;
1, failure: no knock was sent;
2, the command line is invalid;
3, the knock was sent, but the port did not open;
4, the knock was sent and the port is open, but a later step failed.";

impl From<&Observation> for Exit {
    fn from(observation: &Observation) -> Self {
        match observation {
            Observation::NotChecked | Observation::Opened { .. } => Self::Done,
            Observation::NotOpened { .. } | Observation::GivenUp => Self::NotOpened,
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
            Exit::OfProgram(code) => code,
        })
    }
}
