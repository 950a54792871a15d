//! `ruroco-client`'s command line: raw flags, then what the rest of the client sees.

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use directories::ProjectDirs;

use crate::{
    client::{
        counter::CounterFile,
        destination::{Destination, Family},
        knock::{self, Request},
    },
    durable,
    key::Key,
};

/// Between knocks to several addresses of one host, so that they arrive in the order of their
/// counters; an older one that arrives later would be refused.
const DELAY_BETWEEN_ADDRESSES: Duration = Duration::from_millis(50);

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
    Send(SendArgs),
    /// Set the counter to the clock, after the clock was wrong or the counter's file was damaged
    Reseed,
}

#[derive(Args)]
struct SendArgs {
    /// Where to: HOST, HOST:PORT, IP, IP:PORT or `[IPV6]:PORT`; port 80 where none is given
    #[arg(short, long, value_name = "ADDRESS")]
    address: Destination,
    /// File with the key
    #[arg(short, long, value_name = "FILE", alias = "key-file")]
    key: PathBuf,
    /// Name of the command to ask for
    #[arg(short, long, default_value = "default")]
    command: String,
    /// Address the command shall act for, instead of the one this packet comes from
    #[arg(short, long)]
    ip: Option<IpAddr>,
    /// Let --ip be another address than the one the server sees
    #[arg(short = 'e', long)]
    permissive: bool,
    /// Use the host's IPv4 address
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use the host's IPv6 address
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Knock at every address of the host; the command runs once for each that is reached
    #[arg(long)]
    all_addresses: bool,
}

/// What `send` does, checked.
struct Knock {
    destination: Destination,
    family: Family,
    all_addresses: bool,
    key: Key,
    request: Request,
}

impl SendArgs {
    fn check(self) -> anyhow::Result<Knock> {
        Ok(Knock {
            family: match (self.ipv4, self.ipv6) {
                (true, _) => Family::V4,
                (false, true) => Family::V6,
                (false, false) => Family::Any,
            },
            destination: self.address,
            all_addresses: self.all_addresses,
            key: Key::read(&self.key, None)?,
            request: Request {
                command: self.command,
                strict: !self.permissive,
                claimed_source: self.ip,
            },
        })
    }
}

/// Does what the command line says.
///
/// # Errors
/// What went wrong and what to do about it, for a person.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.action {
        Action::Gen { out } => generate(out.as_deref()),
        Action::Send(arguments) => send(&arguments.check()?, &counter_file()?),
        Action::Reseed => {
            let counter = counter_file()?.reseed(SystemTime::now())?;
            say(&format!("the next counter will be greater than {counter}"))
        }
    }
}

fn generate(out: Option<&Path>) -> anyhow::Result<()> {
    let key = Key::generate().context("could not get random numbers for a key")?;
    let text = key.to_text();
    match out {
        Some(path) => {
            let mut line =
                zeroize::Zeroizing::new(Vec::with_capacity(text.len().saturating_add(1)));
            line.extend_from_slice(text.as_bytes());
            line.push(b'\n');
            durable::create(path, &line)
                .with_context(|| format!("could not write a new key to {}", path.display()))
        }
        None => say(&text),
    }
}

fn send(knock: &Knock, counter: &CounterFile) -> anyhow::Result<()> {
    let mut addresses = knock.destination.resolve(knock.family)?;
    if !knock.all_addresses {
        // One packet, one run: a name with an IPv4 and an IPv6 address is one host.
        addresses.truncate(1);
    }
    let mut failures = Vec::new();
    let mut sent = false;
    for (place, address) in addresses.iter().enumerate() {
        if place > 0 {
            thread::sleep(DELAY_BETWEEN_ADDRESSES);
        }
        match send_one(knock, counter, *address)? {
            Ok(()) => {
                sent = true;
                say(&format!("sent {} to {address}", knock.request.command))?;
            }
            Err(error) => failures.push(format!("{address}: {error}")),
        }
    }
    let failed = format!("could not send to {}", failures.join(" and to "));
    match (sent, failures.is_empty()) {
        (_, true) => Ok(()),
        (true, false) => say(&failed),
        (false, false) => bail!("{failed}; check the network and the address"),
    }
}

/// The inner result is the network's, which does not keep the other addresses from being tried.
fn send_one(
    knock: &Knock,
    counter: &CounterFile,
    to: SocketAddr,
) -> anyhow::Result<io::Result<()>> {
    let counter = counter.next(SystemTime::now())?;
    let datagram = knock::seal(&knock.key, &knock.request, counter, to.ip())?;
    Ok(knock::send(&datagram, to))
}

/// `$RUROCO_CONF_DIR`, or the platform's place for configuration.
fn counter_file() -> anyhow::Result<CounterFile> {
    let dir = match std::env::var_os("RUROCO_CONF_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => ProjectDirs::from("", "", "ruroco")
            .context("this user has no home directory for the counter; set RUROCO_CONF_DIR")?
            .config_dir()
            .to_owned(),
    };
    Ok(CounterFile::in_directory(&dir)?)
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
