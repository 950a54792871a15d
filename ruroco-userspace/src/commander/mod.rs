//! The commander: runs, as root, what an accepted knock asks for.
//!
//! It is the only part that executes anything, so it knows as little as possible: no network, no
//! packet, no cipher that could use a key. What it gets is an [`Order`](crate::order::Order) from a server
//! that may have been taken over, and what it runs was written down by the operator beforehand.
//!
//! An order's way through these modules:
//!
//! 1. a [private socket](crate::private_socket) lets only the server's user connect;
//! 2. [`serve`] reads one message after the other;
//! 3. [`permit`] judges it by the [`commands`], the [`keys`] and the rate limit, all of which come from
//!    the [`settings`];
//! 4. [`runs`] gives each permitted one a thread, in which [`run`] starts, watches and ends it, with
//!    a [head start](head_start) where floods are to be expected.
//!
//! What becomes of each goes into the [audit trail](audit).

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;

use crate::{
    config::Config,
    instance, logging, order, private_directory,
    private_socket::{self, PrivateListener},
    rate::TokenBucket,
    signals::Signals,
};

pub mod arguments;
pub mod audit;
pub mod audit_file;
pub mod command_file;
pub mod commands;
pub mod head_start;
pub mod json;
pub mod keys;
pub mod output;
pub mod permit;
pub mod run;
pub mod runs;
pub mod serve;
pub mod settings;

use arguments::{Arguments, HELP, Invocation};
use settings::Settings;

/// File name of the lock in `socket_dir`.
const LOCK: &str = "commander.lock";

/// Exit code of a command line that was not understood.
const USAGE_ERROR: u8 = 2;

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    // Failing to print is no error: perhaps nobody reads.
    match Invocation::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Help) => {
            let _ = io::stdout().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Version) => {
            let _ = writeln!(io::stdout(), "ruroco-commander {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Invocation::Start(arguments)) => {
            logging::start();
            logging::exit_code(start(&arguments))
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error}\nTry: ruroco-commander --help");
            ExitCode::from(USAGE_ERROR)
        }
    }
}

/// Reads and checks everything there is to check, then serves until a signal comes.
fn start(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = Settings::read(arguments)?;
    let names = settings.command_names();
    let Settings { config, server, keys, commands } = settings;
    let rate = TokenBucket::new(config.max_requests_per_second_global);

    let mut signals = Signals::handle().context("could not handle signals")?;
    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Kept until the end: no second commander begins before the commands of this one have ended.
    let _lock = instance::Lock::try_take(&config.socket_dir.join(LOCK))?;
    let path = config.socket_dir.join(order::SOCKET);
    let listener = PrivateListener::listen(&path, server)?;
    let judge = permit::Judge::new(commands, keys, rate);
    let (audit, writer) = audit::start(&config.audit_dir)?;
    let service = serve::Service::new(listener, judge, audit)?;
    tracing::info!(socket = %path.display(), user = %config.socket_user, commands = %names, "listening");
    let mut running = config;
    let result = service.run(&mut signals, |judge| {
        running = reload(judge, arguments, &running)?;
        Ok(())
    });
    writer.finish();
    result
}

/// Has the judge go by what is in the files now; the configuration that is then in force.
fn reload(
    judge: &mut permit::Judge,
    arguments: &Arguments,
    running: &Config,
) -> anyhow::Result<Config> {
    let settings = Settings::read_anew(arguments, running)?;
    let names = settings.command_names();
    let Settings { config, keys, commands, .. } = settings;
    judge.change(commands, keys, config.max_requests_per_second_global);
    tracing::info!(commands = %names, "reloaded");
    Ok(config)
}
