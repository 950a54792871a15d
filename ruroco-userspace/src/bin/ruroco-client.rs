//! `ruroco-client`: see [`ruroco::client`].

use std::process::ExitCode;

use clap::Parser;
use ruroco::client::cli;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse()).into()
}
