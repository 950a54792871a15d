//! `ruroco-server`'s command line.

use std::{
    env,
    io::{self, Write},
    iter,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use ruroco_config::{self as config, Config, key_directory::Occasion, settings::Settings};
use ruroco_daemon::logging;

use super::{
    clock::Now,
    daemon,
    floor_file::FloorFile,
    sandbox::{self, Policy},
};

/// Decide which knocks are carried out.
///
/// Runs as an unprivileged user, takes candidates from ruroco-gate and passes orders on to
/// ruroco-commander.
#[derive(Parser)]
#[command(name = "ruroco-server", version)]
pub struct Cli {
    /// Configuration file
    #[arg(short, long, global = true, value_name = "PATH", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// What to do where not all of the sandbox can be had
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    sandbox: Policy,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Before the first start: make the file that remembers which packets have run
    Init {
        /// Leave one that is there as it is, and call that a success
        #[arg(long)]
        if_missing: bool,
    },
}

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    match ruroco_command_line::parse(env::args_os()) {
        Ok(cli) => {
            logging::start();
            logging::exit_code(run(&cli))
        }
        Err(shown) => shown,
    }
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
fn run(cli: &Cli) -> anyhow::Result<()> {
    // Before anything is read: what root may read says nothing. Root's floors, too, could not be
    // replaced by the server.
    sandbox::refuse_root()?;
    match cli.action {
        None => {
            let (config, keys) =
                logging::or_refuse(Settings::read_as_server(&cli.config, Occasion::Start))?;
            daemon::run(config, keys.usable, cli.sandbox)
        }
        Some(Action::Init { if_missing }) => {
            init(&logging::or_refuse(Config::read_as_server(&cli.config))?, if_missing)
        }
    }
}

fn init(config: &Config, if_missing: bool) -> anyhow::Result<()> {
    // Asked first, because a running server has them locked.
    if if_missing && FloorFile::is_there(&config.blocklist_dir) {
        return Ok(());
    }
    if let Some(problem) = config.check_floors_left_behind() {
        return Err(problem.into());
    }
    // The keys need not be there yet; each gets its floor when it comes.
    let made = FloorFile::create(&config.blocklist_dir, iter::empty(), Now::read().epoch)?;
    let path = made.path.display();
    let _ = match made.taken_over {
        None => writeln!(io::stdout(), "made {path}: packets from before this moment are refused"),
        Some(count) => writeln!(
            io::stdout(),
            "made {path} with the floors of upstream ruroco for {count} keys: what has run there does \
             not run again, and with other keys packets from before this moment are refused"
        ),
    };
    Ok(())
}
