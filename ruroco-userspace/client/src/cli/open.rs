//! `ruroco-client open`: sends a knock, and starts a program that needs the open port.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    num::NonZero,
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, anyhow};
use clap::Args;

use super::{
    exit::{self, Exit},
    knock::needed_port,
    leases, print_note,
    target::{Target, TargetArguments},
    waiting::{self, Waiting},
};
use crate::{
    attempt::{Attempt, Progress},
    folder::Folder,
    profiles::values::CommandLine,
};

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Wait for this TCP port to open [default: the host's `wait` port]
    #[arg(long, value_name = "PORT", value_parser = ruroco_command_line::port)]
    wait: Option<NonZero<u16>>,
    #[command(flatten)]
    waiting: Waiting,
    /// Program to start when the port is open, and its arguments [default: the host's `connect`]
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

pub(super) fn run(arguments: Arguments, folder: &Folder) -> anyhow::Result<Exit> {
    let Arguments { target, wait, waiting, program } = arguments;
    let is_confirmed = target.is_confirmed();
    let target = target.resolve(folder)?;
    if !is_confirmed {
        target.confirm()?;
    }
    let port = wait.map_or_else(|| needed_port(&target), Ok)?;
    let mut command = command(program, &target)?;
    if let Some((connection, lease)) = leases::connect(&target, port, folder) {
        // The program makes connections of its own.
        drop(connection);
        print_if_seen([lease.sentence(SystemTime::now())]);
        return Ok(waiting::exit_of(start(&mut command)));
    }
    let effect = waiting.effect(port);
    let attempt = Attempt { knock: target.knock(folder)?, effect: Some(effect) };
    let mut progress = |progress: Progress| waiting::print_progress(&progress, effect.limit);
    let (outcome, result) = waiting::knock(&attempt, &target, folder, &mut progress)?;
    let advice = waiting::advice(&outcome, &attempt.knock);
    let sentence = waiting::sentence(&outcome.effect);
    Ok(waiting::once_open(outcome, &attempt.knock, |connection| {
        drop(connection);
        waiting::print_warnings(&advice);
        print_if_seen(sentence.into_iter().chain(result.sentences()));
        start(&mut command)
    }))
}

/// The program and its arguments: those on the command line, or the host's.
fn command(program: Vec<OsString>, target: &Target) -> anyhow::Result<Command> {
    let words = match program.is_empty() {
        false => program,
        true => {
            let line = target.host.connecting().with_context(|| {
                let name = target.label();
                format!("no program to start. Add it after --, or set `connect` of {name} in client.toml")
            })?;
            CommandLine(line).words().into_iter().map(OsString::from).collect()
        }
    };
    let (program, arguments) = words.split_first().context("PROGRAM is missing")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Prints sentences on a terminal.
fn print_if_seen(sentences: impl IntoIterator<Item = String>) {
    if io::stderr().is_terminal() {
        sentences.into_iter().for_each(|sentence| print_note(&sentence));
    }
}

fn start(command: &mut Command) -> anyhow::Result<Exit> {
    become_program(command).map_err(|error| {
        let name = command.get_program().display();
        anyhow!(
            "the port is open, but {name} cannot be started: {error}. Check that it is installed"
        )
    })
}

/// Replaces this process by the program, so that signals and the terminal are the program's.
#[cfg(unix)]
fn become_program(command: &mut Command) -> io::Result<Exit> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

/// Runs the program and returns its exit code, on systems where a process cannot replace itself.
#[cfg(not(unix))]
fn become_program(command: &mut Command) -> io::Result<Exit> {
    let code = command.status()?.code();
    // A code that is too large, or the end by a signal, is a failure, too.
    Ok(code
        .and_then(|code| u8::try_from(code).ok())
        .map_or(Exit::FailedAfterwards, Exit::OfProgram))
}
