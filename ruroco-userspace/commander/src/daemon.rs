//! The program: command line in, exit code out.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use ruroco_commands::{approved::Approved, commands::Commands, keys::Keys};
use ruroco_config::{Config, key_directory::Occasion};
use ruroco_daemon::{logging, signals::Signals};
use ruroco_files::instance;
use ruroco_ipc::{
    order,
    private_socket::{self, PrivateListener},
};
use ruroco_messages::redaction::redacted;
use ruroco_trust::private_directory;

use super::{
    arguments::{Arguments, HELP, Invocation},
    audit, inherited, permit, serve,
    status::StatusSocket,
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
            let _ = writeln!(
                io::stderr(),
                "Error: {}\nTry: ruroco-commander --help",
                redacted(&error.to_string())
            );
            ExitCode::from(USAGE_ERROR)
        }
    }
}

/// Reads and checks everything there is to check, then serves until a signal comes.
fn start(arguments: &Arguments) -> anyhow::Result<()> {
    inherited::give_up()?;
    let approved = Approved::read(&arguments.config, &arguments.commands, Occasion::Start);
    let approved = logging::or_refuse(approved)?;
    let names = approved.command_names();
    let Approved { config, server, keys, commands } = approved;

    let mut signals = Signals::handle().context("could not handle signals")?;
    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Kept until the end: no second commander begins before the commands of this one have ended.
    let _lock = instance::Lock::try_take(&config.socket_dir.join(LOCK))?;
    let path = config.socket_dir.join(order::SOCKET);
    let listener = PrivateListener::listen(&path, server)?;
    let status = StatusSocket::listen(&config.socket_dir, &arguments.commands)?;
    let rules = rules(&config, commands, keys);
    let (audit, writer) = audit::start(&config.audit_dir)?;
    let service = serve::Service::new(listener, status, rules, audit)?;
    tracing::info!(socket = %path.display(), user = %config.socket_user, commands = %names, "listening");
    let mut running = config;
    let result = service.run(&mut signals, || {
        let (config, rules) = reload(&running, server, &arguments.commands)?;
        running = config;
        Ok(rules)
    });
    writer.finish();
    result
}

/// The configuration and the rules that are in the files now.
fn reload(
    running: &Config,
    server: u32,
    commands: &Path,
) -> anyhow::Result<(Config, permit::Rules)> {
    let approved = logging::or_refuse(Approved::read_anew(running, server, commands))?;
    let names = approved.command_names();
    let Approved { config, keys, commands, .. } = approved;
    let rules = rules(&config, commands, keys);
    tracing::info!(commands = %names, "reloaded");
    Ok((config, rules))
}

fn rules(config: &Config, commands: Commands, keys: Keys) -> permit::Rules {
    permit::Rules {
        commands,
        keys,
        allow_non_routable_ips: config.allow_non_routable_ips,
        max_per_second: config.max_requests_per_second_global,
    }
}
