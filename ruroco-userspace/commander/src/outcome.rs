//! How a run of a command can end.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// By us, after its timeout.
    TimedOut,
    /// By us, because the commander ended.
    Stopped,
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
            Self::Exit(code) => write!(f, "exit:{code}"),
            Self::Signal(signal) => write!(f, "signal:{signal}"),
            Self::TimedOut => f.write_str("timed_out"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
