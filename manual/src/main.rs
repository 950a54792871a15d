//! Writes man pages and completions for all programs into a folder, out of the command lines that
//! the programs themselves parse, and man pages for the configuration files and an overview, out of the
//! book; `cargo xtask dist` calls it. With `--docs` it writes the book's reference pages instead.
#![allow(clippy::print_stderr, reason = "a program for a developer's terminal")]

mod completions;
mod extras;
mod fields;
mod formats;
mod man;
mod programs;
mod reference;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

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
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next();
    if first.as_deref().is_some_and(|first| first == "--docs") {
        let folder = arguments.next().context("behind --docs, say the folder to write into")?;
        return reference::write(Path::new(&folder));
    }
    let folder =
        first.map(PathBuf::from).context("the first argument is the folder to write into")?;
    man::write(&folder.join("man"))?;
    completions::write(&folder.join("completions"))
}
