//! How a run of a command can end.

use std::{fmt, io, os::unix::process::ExitStatusExt, process::ExitStatus};

use super::doors::DoorsFailed;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The doors were opened or closed, and the command has no program.
    Done,
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// By us, after its timeout.
    TimedOut,
    /// By us, because the commander ended.
    Stopped,
}

/// Why a command did not run.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// A door could not be opened or closed.
    #[error(transparent)]
    Doors(#[from] DoorsFailed),
    /// The program could not be started or watched.
    #[error(transparent)]
    Program(#[from] io::Error),
}

impl NotRun {
    /// Its one name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Doors(_) => "door_failed",
            Self::Program(_) => "could_not_run",
        }
    }
}

impl From<ExitStatus> for Outcome {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Exit(code) => write!(f, "exit:{code}"),
            Self::Signal(signal) => write!(f, "signal:{signal}"),
            Self::TimedOut => f.write_str("timed_out"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
