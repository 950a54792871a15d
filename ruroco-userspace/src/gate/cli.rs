//! `ruroco-gate`'s command line.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

use super::{check, doctor, run, status};
use crate::{
    commander::commands,
    config::{self, Config},
    settings::Settings,
};

/// Put the XDP program in the way of packets and keep it there.
///
/// Hands what survives on to ruroco-server. Ends, and opens the gate, on SIGTERM; killed in any
/// other way it leaves the gate closed until the next start.
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
    /// Say all that is wrong with configuration, commands and keys, and change nothing
    ///
    /// Ends with 1 if a daemon would not start, with --strict also if there is a warning. Run it as
    /// root: it then looks at the files as each of the daemons does.
    Check {
        /// The commands that may be run
        #[arg(long, value_name = "PATH", default_value = commands::DEFAULT_PATH)]
        commands: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Take warnings for errors
        #[arg(long)]
        strict: bool,
    },
    /// Look at this host: what keeps the gate from working, or from being silent, and what to do
    ///
    /// Begins with what `check` says, changes nothing, and needs nothing to run. Ends with 1 if there
    /// is a problem. Run it as root: without, it says what it could not look at.
    Doctor {
        /// The commands that may be run
        #[arg(long, value_name = "PATH", default_value = commands::DEFAULT_PATH)]
        commands: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the running gate: interfaces, keys, and packets by verdict
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does what the command line says. The exit code is that of what was asked for.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
pub fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.action {
        None => run::run(Settings::read(&cli.config).or_refuse()?)?,
        Some(Action::Status { json }) => {
            show_status(&Config::read(&cli.config).or_problems()?, *json)?;
        }
        Some(Action::Check { commands, json, strict }) => {
            let report = check::check(&cli.config, commands);
            print(&if *json { format!("{}\n", report.to_json()) } else { report.to_string() })?;
            return Ok(exit_code(report.is_good(*strict)));
        }
        Some(Action::Doctor { commands, json }) => {
            let report = doctor::examine(&cli.config, commands);
            print(&if *json { format!("{}\n", report.to_json()) } else { report.to_string() })?;
            return Ok(exit_code(report.is_good()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn exit_code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_status(config: &Config, json: bool) -> anyhow::Result<()> {
    let status = status::ask(&config.socket_dir)?;
    let text = match json {
        true => format!("{}\n", serde_json::to_string(&status)?),
        false => status.to_string(),
    };
    print(&text)
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("could not write to standard output")
        }
        _ => Ok(()),
    }
}
