//! The command line of `ruroco-client`.
//!
//! Each command has a module of its own. Those that send a knock share `target` (the host and the command to
//! request), `knock_options` and `waiting`. The result of every command is an [`Exit`].

mod address;
mod arguments;
mod completion;
mod exit;
mod host;
mod join;
mod key;
mod knock;
mod knock_options;
mod leases;
mod open;
mod proxy;
mod remedy;
mod report;
mod secret;
mod target;
mod waiting;
pub mod window;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::SystemTime,
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use ruroco_messages::{plain_error::Plain, problems::Problems, redaction::redacted};

pub use self::{arguments::main, exit::Exit};
use super::{folder::Folder, profiles::Profiles};

/// Send a knock to a host that shows no open port.
///
/// A knock is one encrypted UDP datagram that requests one command. The host's operator defines the
/// commands. The host never replies, so success means that the knock was sent and, if the program waited
/// for a port, that the port is open.
#[derive(Parser)]
#[command(name = "ruroco-client", version, after_help = exit::HELP)]
pub struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Accept an invitation: add the host and its key
    ///
    /// Reads the line that `ruroco init` or `ruroco invite` shows on the host. Without a FILE, prompts for
    /// it. If the host already exists, shows what would change and prompts before updating it. Sends nothing.
    #[command(alias = "invite")]
    Join(join::Arguments),
    /// Send a knock
    #[command(visible_alias = "send")]
    Knock(knock::Arguments),
    /// Send a knock, wait for the port to open, and start another program, such as ssh
    ///
    /// If an earlier knock still opens the port for 5 seconds or more, no further knock is sent.
    Open(open::Arguments),
    /// Send a knock, wait for the port to open, and connect it to standard input and output, for ssh's
    /// ProxyCommand
    ///
    /// If an earlier knock still opens the port for 5 seconds or more, no further knock is sent.
    Proxy(proxy::Arguments),
    /// Manage hosts, which are the entries in `client.toml`
    #[command(subcommand, arg_required_else_help = true)]
    Host(host::Action),
    /// Manage keys
    #[command(subcommand, arg_required_else_help = true)]
    Key(key::Action),
    /// Reset the knock counter to the current time, after a wrong clock or a damaged counter file
    Reseed,
    /// Create a key, as upstream ruroco's client does. See `key gen`
    #[command(hide = true)]
    Gen {
        /// Write the key to this new file, which only you can read, instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Runs the command. Prints an error on standard error if it fails.
pub fn run(cli: Cli) -> Exit {
    act(cli.action).unwrap_or_else(|error| {
        print_note(&format!("Error: {error:#}"));
        Exit::Failed
    })
}

fn act(action: Action) -> anyhow::Result<Exit> {
    let done = |()| Exit::Done;
    match action {
        Action::Gen { out } => key::generate_unnamed(out.as_deref()).map(done),
        Action::Join(arguments) => join::run(arguments, &Folder::of_user()?).map(done),
        Action::Knock(arguments) => knock::run(arguments, &Folder::of_user()?),
        Action::Open(arguments) => open::run(arguments, &Folder::of_user()?),
        Action::Proxy(arguments) => proxy::run(arguments, &Folder::of_user()?),
        Action::Host(action) => host::run(action, &Folder::of_user()?).map(done),
        Action::Key(action) => key::run(action).map(done),
        Action::Reseed => {
            let counter = Folder::of_user()?.counter()?.reseed(SystemTime::now())?;
            print_line(&format!("the knock counter is now {counter}")).map(done)
        }
    }
}

/// Prompts the user for a confirmation, on standard error: standard output may go to a file.
///
/// # Errors
/// If the answer is not yes. Without a terminal, the error is `without_terminal`.
fn confirm(question: &str, without_terminal: &str) -> anyhow::Result<()> {
    let mut terminal = io::stderr();
    if !io::stdin().is_terminal() || !terminal.is_terminal() {
        bail!("{without_terminal}");
    }
    write!(terminal, "{question} [y/N] ").context("cannot prompt on the terminal")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { bail!("cancelled") }
}

/// The hosts in `client.toml`. Prints a warning for each invalid entry; the other hosts can be used.
///
/// # Errors
/// If the whole file is invalid.
fn hosts(folder: &Folder) -> anyhow::Result<Profiles> {
    let mut problems = Problems::default();
    let hosts = problems.good_of(folder.profiles().read());
    let problems = problems.sorted();
    let Some(hosts) = hosts else {
        bail!(
            "{problems}\nUntil you fix this, send a knock with: ruroco-client knock --address ADDRESS --key KEY \
             --command COMMAND"
        )
    };
    problems.iter().for_each(|problem| print_note(&format!("Warning: {problem}")));
    Ok(hosts)
}

/// Prints a line on standard output, without secrets and without error numbers. A closed pipe is not an
/// error.
fn print_line(line: &str) -> anyhow::Result<()> {
    print_secret(&redacted(&Plain(line).to_string()))
}

/// Prints a line that may contain a secret, because the user asked for it. A closed pipe is not an error.
fn print_secret(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints a message on standard error, without secrets and without error numbers. A closed pipe is not an
/// error.
fn print_note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", redacted(&Plain(line).to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_source_address_is_an_error_and_not_ignored() {
        for ip in ["10.0.0.0/8", "10.0.0.01", "fe80::1%eth0", "", " 10.0.0.1"] {
            let line = ["ruroco-client", "knock", "--address", "host", "--key", "k", "--ip", ip];
            assert!(Cli::try_parse_from(line).is_err(), "{ip}");
        }
    }
}
