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
use ruroco_config::DEFAULT_PATH;
use ruroco_daemon::logging;
use serde_json::Value;

use crate::{arming, check, doctor, doors, import, init, invite, key, show};

/// Set up, check and administer a host that runs ruroco.
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
    /// Close doors to everyone without a lease
    ///
    /// Sessions that exist continue. With --for, doors open again by themselves unless it is confirmed, even if the
    /// host restarts: a way back for an operator who closes the port of his own session. Run it as root.
    Arm(arming::Options),
    /// Keep doors closed that were armed for a time
    Confirm,
    /// Open doors to everyone, until `ruroco arm`
    ///
    /// Works even if the gate does not run. `status` and `doctor` report it.
    Disarm,
    /// Set up this host: write the configuration, create a key, start gate, server and commander
    ///
    /// Existing files are not changed, so you can run it again. When setup is done, it runs `doctor` and, on a
    /// terminal, prints an invitation for the new key.
    ///
    /// Exit code: 0 if setup succeeded, even if `doctor` reports problems; otherwise 1.
    Init(init::Options),
    /// List the errors in configuration, commands and keys
    ///
    /// Changes nothing. Run it as root: it then checks what each daemon can read when systemd starts it.
    ///
    /// Exit code: 1 if a daemon would not start or, with --strict, if there is a warning; otherwise 0.
    Check {
        /// File with the commands
        #[arg(long, value_name = "PATH", default_value = commands::DEFAULT_PATH)]
        commands: PathBuf,
        /// Check only what this daemon reads, with the permissions of the current user
        #[arg(long, value_name = "NAME")]
        daemon: Option<check::Daemon>,
        /// Print JSON: one object on one line
        #[arg(long)]
        json: bool,
        /// Treat warnings as errors
        #[arg(long)]
        strict: bool,
    },
    /// Find the reasons why knocks do not work on this host, or why the gate is not silent
    ///
    /// Includes the results of `check` and the state of each part that `status` shows, with a remedy for
    /// each problem. Changes nothing. Run it as root: otherwise it reports some checks as not done.
    ///
    /// Exit code: 1 if there is a problem, otherwise 0.
    Doctor {
        /// File with the commands
        #[arg(long, value_name = "PATH", default_value = commands::DEFAULT_PATH)]
        commands: PathBuf,
        /// Print JSON: one object on one line
        #[arg(long)]
        json: bool,
    },
    /// Show which doors are open for which addresses, or close a door
    ///
    /// A door is a port that is closed to everyone and opens for the address that knocked. Run it as root.
    Doors(doors::Options),
    /// Convert the files of upstream ruroco or of an earlier release
    ///
    /// Converts config.toml and commands.toml, moves upstream's keys to a directory that belongs to root, and
    /// imports upstream's blocklist, so that no packet that has run runs again. Originals are kept, with
    /// `.before-import` appended to their names. Run it as root.
    Import(import::Options),
    /// Show an invitation for `ruroco-client join`: a QR code and a line of text
    ///
    /// The invitation contains the key: anyone who sees it can knock. Run it as root, which owns the key's file.
    Invite(invite::Options),
    /// Manage the keys of this host
    Key(key::Options),
    /// Show whether a knock would work now, and the state of each part: gate, server, commander, files
    ///
    /// Also shows packets by verdict, the last knocks, the last rejected knocks of known keys, and the
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

/// Runs the action of the command line, and returns its exit code.
fn run(config: &Path, action: Action) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match action {
        Action::Arm(options) => arming::arm(config, &options, &mut io::stdout().lock()).map(done),
        Action::Confirm => arming::confirm(config, &mut io::stdout().lock()).map(done),
        Action::Disarm => arming::disarm(config, &mut io::stdout().lock()).map(done),
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
        Action::Doors(options) => doors::run(config, &options),
        Action::Import(options) => import::run(config, &options).map(done),
        Action::Invite(options) => invite::run(config, options, &mut io::stdout().lock()).map(done),
        Action::Key(options) => key::run(config, options).map(done),
        Action::Status(arguments) => show::run(config, &arguments),
    }
}

fn line(json: &Value) -> String {
    format!("{json}\n")
}

/// Prints a report. The exit code shows whether the report is good.
fn tell(report: &str, is_good: bool) -> anyhow::Result<ExitCode> {
    show::print(report)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
