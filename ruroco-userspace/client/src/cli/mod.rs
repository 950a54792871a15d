//! `ruroco-client`'s command line: raw flags, then what the rest of the client sees.
//!
//! Each action has a module of its own; `target` is what they have in common: where to knock. How
//! all of it ends is an [`Exit`].

mod address;
mod arguments;
mod completion;
mod exit;
mod host;
mod invite;
mod key;
mod manner;
mod open;
mod proxy;
mod remedy;
mod report;
mod secret;
mod send;
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

/// Knock at a host that shows no open port.
///
/// Sends one encrypted datagram that asks for one command, chosen in advance by the host's
/// operator. There is no answer: that this program succeeds means the datagram is on its way and, if
/// it was to wait for a port, that the port is open.
#[derive(Parser)]
#[command(name = "ruroco-client", version, after_help = exit::HELP)]
pub struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Import an invitation: add the host and its key
    ///
    /// Reads the line that `ruroco init` or `ruroco invite` has shown, and prompts for it
    /// if no FILE is given. If the host is already known, shows what would change, and asks before
    /// updating it. Sends nothing.
    Invite(invite::Arguments),
    /// Send a knock
    Send(send::Arguments),
    /// Knock, wait until a port is open, and become another program, such as ssh
    Open(open::Arguments),
    /// Knock, wait until a port is open, and connect standard input and output to it: for ssh's
    /// ProxyCommand
    Proxy(proxy::Arguments),
    /// The hosts to knock at, in `client.toml`
    #[command(subcommand, arg_required_else_help = true)]
    Host(host::Action),
    /// The keys to knock with
    #[command(subcommand, arg_required_else_help = true)]
    Key(key::Action),
    /// Have the counter follow the clock again, after the clock was wrong or the counter's file was
    /// damaged
    Reseed,
    /// Make a key, as upstream ruroco's client does it; see `key gen`
    #[command(hide = true)]
    Gen {
        /// Write it to this new file, readable by you alone, rather than to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Does what the command line says. What went wrong, and what to do about it, is told on standard
/// error.
pub fn run(cli: Cli) -> Exit {
    act(cli.action).unwrap_or_else(|error| {
        note(&format!("Error: {error:#}"));
        Exit::Failed
    })
}

fn act(action: Action) -> anyhow::Result<Exit> {
    let done = |()| Exit::Done;
    match action {
        Action::Gen { out } => key::generate_unnamed(out.as_deref()).map(done),
        Action::Invite(arguments) => invite::run(arguments, &Folder::of_user()?).map(done),
        Action::Send(arguments) => send::run(arguments, &Folder::of_user()?),
        Action::Open(arguments) => open::run(arguments, &Folder::of_user()?),
        Action::Proxy(arguments) => proxy::run(arguments, &Folder::of_user()?),
        Action::Host(action) => host::run(action, &Folder::of_user()?).map(done),
        Action::Key(action) => key::run(action).map(done),
        Action::Reseed => {
            let counter = Folder::of_user()?.counter()?.reseed(SystemTime::now())?;
            say(&format!("the next counter will be greater than {counter}")).map(done)
        }
    }
}

/// Asks a person whether to do something. Standard output is for results, which may go to a file.
///
/// # Errors
/// If the answer is not yes; without a terminal, with this message.
fn confirm(question: &str, without_terminal: &str) -> anyhow::Result<()> {
    let mut terminal = io::stderr();
    if !io::stdin().is_terminal() || !terminal.is_terminal() {
        bail!("{without_terminal}");
    }
    write!(terminal, "{question} [y/N] ").context("could not ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("could not read the answer")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { bail!("cancelled") }
}

/// The hosts in `client.toml`. A mistake in one of them is a warning: the others can be used.
///
/// # Errors
/// If nothing in the file can be used.
fn hosts(folder: &Folder) -> anyhow::Result<Profiles> {
    let mut problems = Problems::default();
    let hosts = problems.good_of(folder.profiles().read());
    let problems = problems.sorted();
    let Some(hosts) = hosts else {
        bail!(
            "{problems}\nUntil this is fixed, knock with: ruroco-client send --address ADDRESS --key KEY \
             --command COMMAND"
        )
    };
    problems.iter().for_each(|problem| note(&format!("Warning: {problem}")));
    Ok(hosts)
}

/// Prints a line for the person, without secrets and without numbers of errors.
fn say(line: &str) -> anyhow::Result<()> {
    reveal(&redacted(&Plain(line).to_string()))
}

/// Prints a line that may be the secret that the person has asked for. A closed pipe is not an error.
fn reveal(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("could not write to standard output")
        }
        _ => Ok(()),
    }
}

/// Prints a message on standard error, without secrets and without numbers of errors. A closed pipe is
/// not an error.
fn note(line: &str) {
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
            let line = ["ruroco-client", "send", "--address", "host", "--key", "k", "--ip", ip];
            assert!(Cli::try_parse_from(line).is_err(), "{ip}");
        }
    }
}
