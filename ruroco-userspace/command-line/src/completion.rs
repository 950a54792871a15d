//! Completions that a shell asks the program itself for, which knows more than a fixed script: names of
//! hosts, keys and commands.
//!
//! The shell's script runs the program with [`VARIABLE`] set for each TAB, and the program answers in
//! place of doing anything else.

use std::{env, ffi::OsString, process::ExitCode};

use clap::CommandFactory;
use clap_complete::CompleteEnv;

/// The environment variable that names the shell. It is not clap's `COMPLETE`, which may be set for
/// another purpose.
pub const VARIABLE: &str = "RUROCO_COMPLETE";

/// Answers a shell, if one has started this program for that.
pub fn answer<T: CommandFactory>(arguments: &[OsString]) -> Option<ExitCode> {
    let completion = CompleteEnv::with_factory(T::command).var(VARIABLE);
    let folder = env::current_dir().ok();
    match completion.try_complete(arguments, folder.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(error) => {
            // A closed pipe is not another error.
            let _ = error.print();
            Some(ExitCode::FAILURE)
        }
    }
}

/// What has been typed so far, without the program and its subcommand.
pub fn typed() -> impl Iterator<Item = String> {
    const BEFORE: usize = 2;
    let words = env::args_os().skip_while(|word| word != "--").skip(1);
    words.skip(BEFORE).filter_map(|word| word.into_string().ok())
}
