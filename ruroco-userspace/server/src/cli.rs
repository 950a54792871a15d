//! `ruroco-server`'s command line.

use ruroco_daemon::clock::Now;
use std::{
    env,
    io::{self, BufRead, Write},
    iter,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use ruroco_common::datagram::KeyId;
use ruroco_config::{self as config, Config, key_directory::Occasion, settings::Settings};
use ruroco_daemon::logging;

use super::{
    daemon,
    floor_file::FloorFile,
    floors::Floors,
    sandbox::{self, Policy},
};

/// Accept or reject knocks.
///
/// Runs as an unprivileged user, receives candidates from ruroco-gate and sends orders to
/// ruroco-commander. On SIGHUP, it reads its files again.
#[derive(Parser)]
#[command(name = "ruroco-server", version)]
pub struct Cli {
    /// Configuration file
    #[arg(short, long, global = true, value_name = "PATH", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// What to do if the kernel does not support the whole sandbox
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    sandbox: Policy,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Create the file of floors, which records which packets have run (before the first start)
    Init {
        /// If the file exists, do not change it, and exit with 0
        #[arg(long)]
        if_missing: bool,
        /// Read floors from standard input, each a line with key id and counter. If the file exists, raise
        /// its floors to these
        #[arg(long, conflicts_with = "if_missing")]
        floors: bool,
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

/// Runs the action of the command line.
///
/// # Errors
/// The problem and its remedy, for a person.
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
        Some(Action::Init { if_missing, floors }) => {
            init(&logging::or_refuse(Config::read_as_server(&cli.config))?, if_missing, floors)
        }
    }
}

fn init(config: &Config, if_missing: bool, with_floors: bool) -> anyhow::Result<()> {
    let dir = &config.state_dir;
    if with_floors {
        return import(dir, &read_floors(io::stdin().lock())?);
    }
    // Checked first, because a running server has them locked.
    if if_missing && FloorFile::is_there(dir) {
        return Ok(());
    }
    if let Some(problem) = config.check_floors_left_behind() {
        return Err(problem.into());
    }
    // The keys need not exist yet; each gets its floor when it comes.
    let path = FloorFile::create(dir, &Floors::default())?;
    let path = path.display();
    let _ = writeln!(io::stdout(), "created {path}: packets from before this moment are rejected");
    Ok(())
}

fn import(dir: &Path, floors: &Floors) -> anyhow::Result<()> {
    if FloorFile::is_there(dir) {
        let now = Now::read().epoch;
        FloorFile::open(dir, iter::empty(), now)?.raise(floors)?;
    } else {
        FloorFile::create(dir, floors)?;
    }
    Ok(())
}

/// Lines with key id and counter, such as `0001020304050607 1725821510000000000`.
fn read_floors(lines: impl BufRead) -> anyhow::Result<Floors> {
    let mut floors = Floors::default();
    for line in lines.lines() {
        let line = line.context("cannot read floors from standard input")?;
        let floor = line.split_once(' ').and_then(|(key, counter)| {
            let key = u64::from_str_radix(key, 16).ok()?;
            Some((KeyId(key.to_be_bytes()), counter.parse().ok()?))
        });
        let (key, counter) =
            floor.with_context(|| format!("not a key id and a counter: {line}"))?;
        floors.raise(key, counter);
    }
    Ok(floors)
}
