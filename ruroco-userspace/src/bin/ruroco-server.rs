//! `ruroco-server`: see [`ruroco::server`].

use std::process::ExitCode;

use clap::Parser;
use ruroco::{logging, server::cli};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    logging::start();
    logging::exit_code(cli::run(&cli))
}
