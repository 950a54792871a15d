//! The program: command line in, exit code out.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;

use super::{
    approved::Approved,
    arguments::{Arguments, HELP, Invocation},
    permit, serve,
};
use crate::{
    instance, logging, order, private_directory,
    private_socket::{self, PrivateListener},
    rate::TokenBucket,
    shutdown::Shutdown,
};

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
    let approved = Approved::read(&arguments.config, &arguments.commands).or_refuse()?;
    let Approved { config, server, keys, commands } = approved;
    let names = commands.names().collect::<Vec<_>>().join(" ");
    let rate = TokenBucket::new(config.max_requests_per_second_global);

    let shutdown = Shutdown::on_signals().context("could not handle signals")?;
    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Kept until the end: no second commander begins before the commands of this one have ended.
    let _lock = instance::Lock::try_take(&config.socket_dir.join(LOCK))?;
    let path = config.socket_dir.join(order::SOCKET);
    let listener = PrivateListener::listen(&path, server)?;
    let judge = permit::Judge::new(commands, keys, rate);
    let service = serve::Service::new(listener, judge)?;
    tracing::info!(socket = %path.display(), user = %config.socket_user, commands = %names, "listening");
    service.run(&shutdown)
}
