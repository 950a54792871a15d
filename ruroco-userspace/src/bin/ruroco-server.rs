//! `ruroco-server`: see [`ruroco::server`].

use std::{env, process::ExitCode};

use ruroco::{command_line, logging, server::cli};

fn main() -> ExitCode {
    match command_line::parse(env::args_os()) {
        Ok(cli) => {
            logging::start();
            logging::exit_code(cli::run(&cli))
        }
        Err(shown) => shown,
    }
}
