//! `ruroco-gate`: see [`ruroco::gate`].

use std::process::ExitCode;

use clap::Parser;
use ruroco::{gate::cli, logging};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    logging::start();
    match cli::run(&cli) {
        Ok(code) => code,
        Err(error) => logging::exit_code(Err(error)),
    }
}
