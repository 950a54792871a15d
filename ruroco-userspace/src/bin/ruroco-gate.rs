//! `ruroco-gate`: see [`ruroco::gate`].

use std::{env, ffi::OsString, process::ExitCode};

use ruroco::{command_line, completion, gate::cli, logging};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Some(code) = completion::answer::<cli::Cli>(&arguments) {
        return code;
    }
    match command_line::parse(arguments) {
        Ok(cli) => {
            logging::start();
            logging::exit_code(cli::run(cli))
        }
        Err(shown) => shown,
    }
}
