//! `ruroco-gate`'s command line.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

use super::{run, status};
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
    /// Show the running gate: interfaces, keys, and packets by verdict
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let config = Config::read(&cli.config)?;
    match cli.action {
        None => run::run(config, &cli.config),
        Some(Action::Status { json }) => show_status(&config, json),
    }
}

fn show_status(config: &Config, json: bool) -> anyhow::Result<()> {
    let status = status::ask(&config.socket_dir)?;
    let text = match json {
        true => format!("{}\n", serde_json::to_string(&status)?),
        false => status.to_string(),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("could not write to standard output")
        }
        _ => Ok(()),
    }
}
