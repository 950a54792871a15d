//! `ruroco-gate`'s command line.

use std::{env, path::Path, process::ExitCode};

use ruroco_config::{self as config, key_directory::Occasion, settings::Settings};
use ruroco_daemon::{
    command_line::{CommandLine, CommandOption},
    logging,
};

use crate::gate;

const CONFIG: CommandOption = CommandOption::config(config::DEFAULT_PATH);

/// The command line.
pub const COMMAND_LINE: CommandLine = CommandLine {
    program: "ruroco-gate",
    about: "Attach the XDP filter to the configured interfaces and keep it attached",
    details: "\
Passes authentic knocks on to ruroco-server, and opens and closes doors. On
SIGHUP, it reads its files again. On SIGTERM, it detaches the filter and exits;
with doors, the filter stays attached unless on_stop = \"open\". If it ends in
any other way, the filter stays attached and the next start takes it over. To
set it up and to check it, use `ruroco`.",
    options: &[CONFIG],
    actions: &[],
};

/// The commands that this program had in earlier releases. Scripts, and units that a person has copied, still
/// call them.
const MOVED: [&str; 5] = ["check", "doctor", "init", "invite", "status"];

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    let word = env::args_os().nth(1).unwrap_or_default();
    if let Some(moved) = MOVED.iter().find(|moved| word == **moved) {
        return COMMAND_LINE
            .wrong(&format!("`{moved}` is a command of `ruroco`. Run `ruroco {moved}`"));
    }
    match COMMAND_LINE.parse(env::args_os().skip(1)) {
        Ok(arguments) => {
            logging::start();
            logging::exit_code(start(&arguments.path(&CONFIG)))
        }
        Err(shown) => shown,
    }
}

fn start(config: &Path) -> anyhow::Result<()> {
    gate::run(logging::or_refuse(Settings::read(config, Occasion::Start))?)
}
