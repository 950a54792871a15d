//! `ruroco`'s command line.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use ruroco_command_line::completion;
use ruroco_commands::commands;
use ruroco_config::{Config, DEFAULT_PATH};
use ruroco_daemon::logging;
use serde_json::Value;

use crate::{check, doctor, import, init, invite, key, show};

/// Set up and look after a host that runs ruroco.
///
/// Run it as root.
#[derive(Parser)]
#[command(name = "ruroco", version, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file
    #[arg(short, long, global = true, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    action: Action,
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
    /// Convert the files of upstream ruroco or of an earlier release
    ///
    /// Converts config.toml and commands.toml, moves upstream's keys to a directory of root's, and takes over
    /// upstream's blocklist, so that no packet that has run runs again. Originals are kept, with
    /// `.before-import` appended to their names. Run it as root.
    Import(import::Options),
    /// Show a key as an invitation, which `ruroco-client join` takes: a QR code, and a line of text
    ///
    /// It holds the key. Run it as root, whose file that is.
    Invite(invite::Options),
    /// Manage the keys of this host
    Key(key::Options),
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

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Some(code) = completion::answer::<Cli>(&arguments) {
        return code;
    }
    match ruroco_command_line::parse(arguments) {
        Ok(Cli { config, action }) => {
            logging::start();
            logging::exit_code(run(&config, action))
        }
        Err(shown) => shown,
    }
}

/// Does what the command line says. The exit code is that of what was asked for.
fn run(config: &Path, action: Action) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match action {
        Action::Init(options) => init::run(config, options).map(done),
        Action::Check { commands, daemon, json, strict } => {
            let report = match daemon {
                None => check::check(config, &commands),
                Some(daemon) => check::check_for(daemon, config, &commands),
            };
            let text = if json { line(&report.to_json()) } else { report.to_string() };
            tell(&text, report.is_good(strict))
        }
        Action::Doctor { commands, json } => {
            let report = doctor::examine(config, &commands);
            let text = if json { line(&report.to_json()) } else { report.to_string() };
            tell(&text, report.is_good())
        }
        Action::Import(options) => import::run(config, &options).map(done),
        Action::Invite(options) => invite::run(config, options, &mut io::stdout().lock()).map(done),
        Action::Key(options) => key::run(config, options).map(done),
        Action::Status(arguments) => show::run(&Config::read(config).or_problems()?, &arguments),
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
