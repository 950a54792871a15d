//! Dynamic shell completions: the shell runs the program itself to complete the names of hosts, keys and
//! commands.
//!
//! On each TAB, the shell's script runs the program with [`VARIABLE`] set. The program then only prints
//! completions.

use std::{env, ffi::OsString, process::ExitCode};

use clap::CommandFactory;
use clap_complete::CompleteEnv;

/// The environment variable that names the shell. clap's default, `COMPLETE`, may be set for another purpose.
pub const VARIABLE: &str = "RUROCO_COMPLETE";

/// If a shell started this program to complete a command line, prints the completions.
pub fn answer<T: CommandFactory>(arguments: &[OsString]) -> Option<ExitCode> {
    let completion = CompleteEnv::with_factory(T::command).var(VARIABLE);
    let folder = env::current_dir().ok();
    match completion.try_complete(arguments, folder.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(error) => {
            // A closed pipe is not an error.
            let _ = error.print();
            Some(ExitCode::FAILURE)
        }
    }
}

/// The words on the command line so far, without the program and its subcommand.
pub fn typed() -> impl Iterator<Item = String> {
    const BEFORE: usize = 2;
    let words = env::args_os().skip_while(|word| word != "--").skip(1);
    words.skip(BEFORE).filter_map(|word| word.into_string().ok())
}
