//! `ruroco-server`'s command line.

use ruroco_daemon::clock::Now;
use std::{
    env,
    io::{self, BufRead, Write},
    iter,
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use ruroco_common::datagram::KeyId;
use ruroco_config::{self as config, Config, key_directory::Occasion, settings::Settings};
use ruroco_daemon::{
    command_line::{Action, Arguments, CommandLine, CommandOption, OptionValue},
    logging,
};

use super::{
    daemon,
    floor_file::FloorFile,
    floors::Floors,
    sandbox::{self, Policy},
};

const CONFIG: CommandOption = CommandOption::config(config::DEFAULT_PATH);

const SANDBOX: CommandOption = CommandOption {
    long: "sandbox",
    short: None,
    help: "What to do if the kernel does not support the whole sandbox",
    value: Some(OptionValue {
        name: "POLICY",
        default: Policy::BestEffort.name(),
        choices: &[
            (Policy::Strict.name(), "Do not run"),
            (Policy::BestEffort.name(), "Run, and log what is missing"),
        ],
    }),
};

const IF_MISSING: CommandOption = CommandOption {
    long: "if-missing",
    short: None,
    help: "If the file exists, do not change it, and exit with 0",
    value: None,
};

const FLOORS: CommandOption = CommandOption {
    long: "floors",
    short: None,
    help: "Read floors from standard input, each a line with key id and counter. If the\n\
           file exists, raise its floors to these",
    value: None,
};

/// The command line.
pub const COMMAND_LINE: CommandLine = CommandLine {
    program: "ruroco-server",
    about: "Accept or reject knocks",
    details: "\
Runs as an unprivileged user, receives candidates from ruroco-gate and sends
orders to ruroco-commander. On SIGHUP, it reads its files again.",
    options: &[CONFIG, SANDBOX],
    actions: &[Action {
        name: "init",
        about: "Create the file of floors, which records which packets have run (before the first start)",
        options: &[CONFIG, IF_MISSING, FLOORS],
    }],
};

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    let arguments = match COMMAND_LINE.parse(env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(shown) => return shown,
    };
    if arguments.has(&IF_MISSING) && arguments.has(&FLOORS) {
        return COMMAND_LINE.wrong("--if-missing cannot be used with --floors");
    }
    logging::start();
    logging::exit_code(run(&arguments))
}

/// Runs the action of the command line.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Before anything is read: what root may read says nothing. Root's floors, too, could not be
    // replaced by the server.
    sandbox::refuse_root()?;
    let path = arguments.path(&CONFIG);
    if arguments.action().is_some() {
        let config = logging::or_refuse(Config::read_as_server(&path))?;
        return init(&config, arguments.has(&IF_MISSING), arguments.has(&FLOORS));
    }
    let (config, keys) = logging::or_refuse(Settings::read_as_server(&path, Occasion::Start))?;
    daemon::run(config, keys.usable, Policy::named(arguments.value(&SANDBOX)))
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
