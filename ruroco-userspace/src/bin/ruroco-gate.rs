//! `ruroco-gate`: see [`ruroco::gate`].

use std::process::ExitCode;

use clap::Parser;
use ruroco::{gate::cli, logging};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    logging::start();
    logging::exit_code(cli::run(cli))
}
