//! `ruroco-gate`'s command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use super::{init, run, show};
use crate::config::{self, Config};

/// Put the XDP program in the way of packets and keep it there.
///
/// Hands what survives on to ruroco-server. On SIGHUP it reads its files anew. Ends, and opens the
/// gate, on SIGTERM; killed in any other way it leaves the gate closed until the next start.
#[derive(Parser)]
#[command(name = "ruroco-gate", version)]
pub struct Cli {
    /// Configuration file
    #[arg(short, long, global = true, value_name = "PATH", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Set up for the first time: write the configuration, make a key, start everything
    Init(init::Options),
    /// Show the running gate: interfaces, packets by verdict, the last knocks, keys
    ///
    /// Ends with 0 if the gate is closed, with 3 if it is open on some interface, and with 1 if it
    /// does not answer.
    Status(show::Arguments),
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = || Config::read(&cli.config);
    match cli.action {
        None => run::run(config()?, &cli.config).map(|()| ExitCode::SUCCESS),
        Some(Action::Init(options)) => init::run(&cli.config, options).map(|()| ExitCode::SUCCESS),
        Some(Action::Status(arguments)) => show::run(&config()?, &arguments),
    }
}
