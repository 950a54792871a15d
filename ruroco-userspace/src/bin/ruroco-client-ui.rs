//! `ruroco-client-ui`: see [`ruroco::window`].

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use ruroco::{
    client::cli::window::Cli, command_line, plain_error::plain, qr::reader, redaction::redacted,
    window::run,
};

fn main() -> ExitCode {
    reader::serve().unwrap_or_else(open)
}

fn open() -> ExitCode {
    match command_line::parse(env::args_os()) {
        Ok(Cli {}) => {}
        Err(shown) => return shown,
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {}", redacted(&plain(&error)));
            ExitCode::FAILURE
        }
    }
}
