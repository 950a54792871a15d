//! The programs, and where their pages belong.

use clap::{Command, CommandFactory};
use ruroco::{client, gate, server};

/// A section of the manual (man(1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Programs for everybody.
    User = 1,
    /// Programs for whoever runs the host.
    Administrator = 8,
}

impl Section {
    /// As in a file's name.
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::User => "1",
            Self::Administrator => "8",
        }
    }
}

/// Those whose command line clap parses. The commander's is parsed by hand, to keep what it links
/// small.
pub(crate) fn of_clap() -> [(Command, Section); 3] {
    [
        (client::cli::Cli::command(), Section::User),
        (gate::cli::Cli::command(), Section::Administrator),
        (server::cli::Cli::command(), Section::Administrator),
    ]
}

/// The commander's name.
pub(crate) const COMMANDER: &str = "ruroco-commander";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_hold_together() {
        for (command, _) in of_clap() {
            command.debug_assert();
        }
    }
}
