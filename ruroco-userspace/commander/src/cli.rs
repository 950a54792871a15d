//! The program: command line in, exit code out.

use std::{env, path::Path, process::ExitCode};

use ruroco_commands::{approved::Approved, commands};
use ruroco_config::{self as config, key_directory::Occasion};
use ruroco_daemon::{
    command_line::{CommandLine, CommandOption, OptionValue},
    event_loop::EventLoop,
    logging,
};
use ruroco_files::instance;
use ruroco_ipc::private_socket;
use ruroco_trust::private_directory;

use super::{audit, inherited, notify, service::Service};

/// File name of the lock in `socket_dir`.
const LOCK: &str = "commander.lock";

const CONFIG: CommandOption = CommandOption::config(config::DEFAULT_PATH);

const COMMANDS: CommandOption = CommandOption {
    long: "commands",
    short: None,
    help: "File with the commands that may be run",
    value: Some(OptionValue { name: "PATH", default: commands::DEFAULT_PATH, choices: &[] }),
};

/// The command line.
pub const COMMAND_LINE: CommandLine = CommandLine {
    program: "ruroco-commander",
    about: "Run the commands that accepted knocks request",
    details: "On SIGHUP, it reads its files again.",
    options: &[CONFIG, COMMANDS],
    actions: &[],
};

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    match COMMAND_LINE.parse(env::args_os().skip(1)) {
        Ok(arguments) => {
            logging::start();
            logging::exit_code(start(&arguments.path(&CONFIG), &arguments.path(&COMMANDS)))
        }
        Err(shown) => shown,
    }
}

/// Reads and checks all files, then serves until a signal ends it.
fn start(config: &Path, commands: &Path) -> anyhow::Result<()> {
    inherited::give_up()?;
    let approved = Approved::read(config, commands, Occasion::Start);
    let approved = logging::or_refuse(approved)?;

    let event_loop = EventLoop::begin()?;
    private_directory::prepare(&approved.config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Kept until the end: no second commander begins before the commands of this one have ended.
    let _lock = instance::Lock::try_take(&approved.config.socket_dir.join(LOCK))?;
    let (notifier, worker) = notify::begin()?;
    let (audit, writer) = audit::start(&approved.config.audit_dir, notifier.clone())?;
    let mut service = Service::listen(approved, commands, audit, notifier)?;
    let result = event_loop.run(&mut service);
    service.end();
    writer.finish();
    worker.finish();
    result
}
