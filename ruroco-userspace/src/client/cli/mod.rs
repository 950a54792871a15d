//! `ruroco-client`'s command line: raw flags, then what the rest of the client sees.
//!
//! Each action has a module of its own; [`target`] is what they have in common: where to knock.

mod send;
mod target;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

use super::folder::Folder;
use crate::{durable, key::Key};

/// Knock at a host that shows no open port.
///
/// Sends one encrypted datagram that asks for one command, chosen in advance by the host's
/// operator. There is no answer: that this program succeeds means the datagram is on its way.
#[derive(Parser)]
#[command(name = "ruroco-client", version)]
pub struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key: the same file goes to the client and to the server
    Gen {
        /// Write it to this new file, readable by you alone, rather than to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Send a knock
    Send(send::Arguments),
    /// Set the counter to the clock, after the clock was wrong or the counter's file was damaged
    Reseed,
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.action {
        Action::Gen { out } => generate(out.as_deref()),
        Action::Send(arguments) => send::run(arguments, &Folder::of_user()?),
        Action::Reseed => {
            let counter = Folder::of_user()?.counter()?.reseed(SystemTime::now())?;
            say(&format!("the next counter will be greater than {counter}"))
        }
    }
}

fn generate(out: Option<&Path>) -> anyhow::Result<()> {
    let key = Key::generate().context("could not get random numbers for a key")?;
    match out {
        Some(path) => durable::create(path, key.to_line().as_bytes())
            .with_context(|| format!("could not write a new key to {}", path.display())),
        None => say(&key.to_text()),
    }
}

/// A line for the person; that nobody reads it is not an error.
fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("could not write to standard output")
        }
        _ => Ok(()),
    }
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
