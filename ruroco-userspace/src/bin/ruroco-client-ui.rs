//! `ruroco-client-ui`: see [`ruroco::window`].

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use ruroco::{client::cli::window::Cli, window::run};

fn main() -> ExitCode {
    let Cli {} = Cli::parse();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
