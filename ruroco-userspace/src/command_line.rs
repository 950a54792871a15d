//! Reading a program's command line. clap repeats what it rejects, which may be a key that somebody has
//! pasted in the wrong place: so its messages are shown like all others, [redacted](crate::redaction).

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::redaction::redacted;

/// Code of a program whose command line is wrong.
pub const WRONG: u8 = 2;

/// What the command line asks for.
///
/// # Errors
/// How the program ends: it has shown its help, or what is wrong with the command line.
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(arguments).map_err(|error| show(&error))
}

fn show(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let shown = redacted(&text);
    // That nobody reads it is not an error.
    let _ = if shown == text { error.print() } else { io::stderr().write_all(shown.as_bytes()) };
    if error.use_stderr() { ExitCode::from(WRONG) } else { ExitCode::SUCCESS }
}
