//! `ruroco-gate`'s command line.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use serde_json::Value;

use super::{check, doctor, init, invite, run, show};
use crate::{
    commander::commands,
    config::{self, Config},
    key_directory::Occasion,
    settings::Settings,
};

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
    ///
    /// Leaves alone what is there already, so it can be run again. Ends with what `doctor` says, at a
    /// terminal also with an invitation for the new key, and with 0 if everything was set up, whatever
    /// the doctor has found.
    Init(init::Options),
    /// Say all that is wrong with configuration, commands and keys, and change nothing
    ///
    /// Ends with 1 if a daemon would not start, with --strict also if there is a warning. Run it as
    /// root: it then looks at the files as each of the daemons does that its unit starts.
    Check {
        /// The commands that may be run
        #[arg(long, value_name = "PATH", default_value = commands::DEFAULT_PATH)]
        commands: PathBuf,
        /// Only what this daemon reads, as whoever runs this sees it
        #[arg(long, value_name = "NAME")]
        daemon: Option<check::Daemon>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Take warnings for errors
        #[arg(long)]
        strict: bool,
    },
    /// Examine this host for what keeps knocks from working, or the gate from being silent
    ///
    /// Includes the results of `check` and the state of each part that `status` shows, with a remedy for
    /// each problem. Changes nothing. Run it as root: otherwise it lists what it could not examine.
    ///
    /// Exit code: 1 if there is a problem, otherwise 0.
    Doctor {
        /// The commands that may be run
        #[arg(long, value_name = "PATH", default_value = commands::DEFAULT_PATH)]
        commands: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a key as an invitation, which `ruroco-client invite` takes: a QR code, and a line of text
    ///
    /// It holds the key. Run it as root, whose file that is.
    Invite(invite::Options),
    /// Show whether a knock would work now, and the state of each part: gate, server, commander, files
    ///
    /// Also shows packets by verdict, the last knocks, the last refused knocks of known keys, and the
    /// keys. Run it as root.
    ///
    /// Exit code: 0 if a knock would work; 3 if packets reach the host past the gate, because it is
    /// not attached to a configured interface or another interface is unguarded; 4 if another part has a
    /// problem; 1 if the gate does not answer, or on any other error.
    Status(show::Arguments),
}

/// Does what the command line says. The exit code is that of what was asked for.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match cli.action {
        None => run::run(Settings::read(&cli.config, Occasion::Start).or_refuse()?).map(done),
        Some(Action::Init(options)) => init::run(&cli.config, options).map(done),
        Some(Action::Check { commands, daemon, json, strict }) => {
            let report = match daemon {
                None => check::check(&cli.config, &commands),
                Some(daemon) => check::check_for(daemon, &cli.config, &commands),
            };
            let text = if json { line(&report.to_json()) } else { report.to_string() };
            tell(&text, report.is_good(strict))
        }
        Some(Action::Doctor { commands, json }) => {
            let report = doctor::examine(&cli.config, &commands);
            let text = if json { line(&report.to_json()) } else { report.to_string() };
            tell(&text, report.is_good())
        }
        Some(Action::Invite(options)) => {
            invite::run(&cli.config, options, &mut io::stdout().lock()).map(done)
        }
        Some(Action::Status(arguments)) => {
            show::run(&Config::read(&cli.config).or_problems()?, &arguments)
        }
    }
}

fn line(json: &Value) -> String {
    format!("{json}\n")
}

/// Prints a report, and says by the exit code whether it is a good one.
fn tell(report: &str, is_good: bool) -> anyhow::Result<ExitCode> {
    show::print(report)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
