//! Parsing of command lines, and messages about invalid ones.
//!
//! clap's messages repeat the arguments that it rejects, which may contain a key that was pasted in the
//! wrong place. So its messages are printed like all others: [redacted](ruroco_messages::redaction), and
//! with the same `Error:`.

pub mod completion;

use std::{
    ffi::OsString,
    io::{self, Write},
    num::NonZero,
    process::ExitCode,
};

use clap::Parser;
use ruroco_messages::redaction::redacted;

/// Exit code of a program whose command line is invalid.
pub const WRONG: u8 = 2;

/// Parses a command line.
///
/// # Errors
/// The exit code, after printing the help or the error.
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(arguments).map_err(|error| show(&error))
}

/// Parses a port for clap.
///
/// # Errors
/// What to use instead.
pub fn port(text: &str) -> Result<NonZero<u16>, &'static str> {
    text.parse().map_err(|_| "use a port number from 1 to 65535")
}

/// Parses a count for clap.
///
/// # Errors
/// What to use instead.
pub fn count(text: &str) -> Result<NonZero<u32>, &'static str> {
    text.parse().map_err(|_| "use a whole number of at least 1")
}

fn show(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe is not an error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let _ = io::stderr().write_all(message(error).as_bytes());
    ExitCode::from(WRONG)
}

fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let shown = redacted(&text);
    match shown.strip_prefix("error: ") {
        Some(rest) => format!("Error: {rest}"),
        None => shown.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[arg(long, value_parser = port)]
        wait: Option<NonZero<u16>>,
        #[arg(long, value_parser = count)]
        tries: Option<NonZero<u32>>,
    }

    #[test]
    fn a_wrong_command_line_is_an_error_like_any_other() {
        for (argument, remedy) in [
            ("--wait=70000", "use a port number from 1 to 65535"),
            ("--wait=0", "use a port number from 1 to 65535"),
            ("--wait=ssh", "use a port number from 1 to 65535"),
            ("--tries=0", "use a whole number of at least 1"),
            ("--tries=-1", "use a whole number of at least 1"),
            ("--trys=1", "similar argument exists: '--tries'"),
        ] {
            let error = Cli::try_parse_from(["program", argument]).unwrap_err();
            let message = message(&error);
            assert!(message.starts_with("Error: ") && message.contains(remedy), "{message}");
            for leak in ["u16", "u32", "integer", "digit", "too large", "non-zero"] {
                assert!(!message.contains(leak), "{message}");
            }
        }
    }
}
