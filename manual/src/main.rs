//! Writes man pages and completions for all programs into a folder, out of the command lines that
//! the programs themselves parse. `cargo xtask dist` calls it; nobody else needs to.
#![allow(clippy::print_stderr, reason = "a program for a developer's terminal")]

mod completions;
mod man;
mod programs;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.context("the first argument is the folder to write into")?;
    man::write(&folder.join("man"))?;
    completions::write(&folder.join("completions"))
}
