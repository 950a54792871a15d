//! `ruroco-client`: see [`ruroco::client`].

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use ruroco::client::cli;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
