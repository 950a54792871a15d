//! `ruroco-gate`'s command line.

use std::{env, path::PathBuf, process::ExitCode};

use clap::Parser;
use ruroco_config::{DEFAULT_PATH, key_directory::Occasion, settings::Settings};
use ruroco_daemon::logging;

use crate::gate;

/// Attach the XDP filter to the configured interfaces and keep it attached.
///
/// Passes authentic knocks on to ruroco-server. On SIGHUP, it reads its files again. On SIGTERM, it
/// detaches the filter and exits. If it ends in any other way, the filter stays attached and the next
/// start takes it over. To set it up and to check it, use `ruroco`.
#[derive(Parser)]
#[command(name = "ruroco-gate", version)]
pub struct Cli {
    /// Configuration file
    #[arg(short, long, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,
}

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    match ruroco_command_line::parse(env::args_os()) {
        Ok(cli) => {
            logging::start();
            logging::exit_code(start(&cli))
        }
        Err(shown) => shown,
    }
}

fn start(cli: &Cli) -> anyhow::Result<()> {
    gate::run(logging::or_refuse(Settings::read(&cli.config, Occasion::Start))?)
}
