//! `ruroco-gate`: see [`ruroco::gate`].

use std::{env, process::ExitCode};

use ruroco::{command_line, gate::cli, logging};

fn main() -> ExitCode {
    match command_line::parse(env::args_os()) {
        Ok(cli) => {
            logging::start();
            logging::exit_code(cli::run(cli))
        }
        Err(shown) => shown,
    }
}
