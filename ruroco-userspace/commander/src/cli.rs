//! The program: command line in, exit code out.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use ruroco_commands::approved::Approved;
use ruroco_config::key_directory::Occasion;
use ruroco_daemon::{event_loop::EventLoop, logging};
use ruroco_files::instance;
use ruroco_ipc::private_socket;
use ruroco_messages::redaction::redacted;
use ruroco_trust::private_directory;

use super::{
    arguments::{Arguments, HELP, Invocation},
    audit, inherited,
    service::Service,
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

/// Reads and checks all files, then serves until a signal ends it.
fn start(arguments: &Arguments) -> anyhow::Result<()> {
    inherited::give_up()?;
    let approved = Approved::read(&arguments.config, &arguments.commands, Occasion::Start);
    let approved = logging::or_refuse(approved)?;

    let event_loop = EventLoop::begin()?;
    private_directory::prepare(&approved.config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Kept until the end: no second commander begins before the commands of this one have ended.
    let _lock = instance::Lock::try_take(&approved.config.socket_dir.join(LOCK))?;
    let (audit, writer) = audit::start(&approved.config.audit_dir)?;
    let mut service = Service::listen(approved, &arguments.commands, audit)?;
    let result = event_loop.run(&mut service);
    service.end();
    writer.finish();
    result
}
