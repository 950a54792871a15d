//! Where to knock: a host of `client.toml`, or one that flags describe. Flags go before what the
//! file says.

use anyhow::{Context, bail};
use clap::Args;

use super::{address::TypedAddress, completion, hosts, manner::Manner};
use crate::{folder::Folder, key_store::KeyReference, knock::Knock, profiles::Host};

/// A host, what it is called, and what it is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// None if flags describe the host.
    pub(super) name: Option<String>,
    pub(super) host: Host,
    pub(super) command: String,
}

#[derive(Args)]
pub(super) struct Target {
    /// Name of a host of yours; see `ruroco-client host list`
    #[arg(value_name = "HOST", required_unless_present = "address", conflicts_with = "address")]
    #[arg(add = completion::hosts())]
    host: Option<String>,
    /// Address to knock at, instead of a HOST: NAME, NAME:PORT, IP, IP:PORT or `[IPV6]:PORT`; the
    /// default port is 80
    #[arg(short, long, value_name = "ADDRESS", requires = "key")]
    address: Option<TypedAddress>,
    /// Key to knock with: the name of one of yours, or a file
    #[arg(short, long, value_name = "KEY", alias = "key-file", add = completion::keys_and_files())]
    key: Option<KeyReference>,
    #[command(flatten)]
    manner: Manner,
    /// Command to request [default: the host's first command]
    #[arg(value_name = "COMMAND", conflicts_with = "address", add = completion::commands())]
    named: Option<String>,
    /// Command to request (same as COMMAND; use with --address, or for a command that is not in the
    /// host's list)
    #[arg(short, long, conflicts_with = "named", add = completion::commands())]
    command: Option<String>,
    /// Send a command of the host's `confirm` list without asking
    #[arg(long)]
    yes: bool,
}

impl Target {
    /// Whether a command that asks for confirmation has it.
    pub(super) const fn is_confirmed(&self) -> bool {
        self.yes
    }

    /// What is meant.
    ///
    /// # Errors
    /// If there is no such host, its entry in `client.toml` has a mistake, or the name of the command is
    /// probably misspelt.
    pub(super) fn asked(self, folder: &Folder) -> anyhow::Result<Asked> {
        let host = match (self.address, &self.host) {
            (Some(address), _) => {
                Host::new(address.destination(), self.key.clone().context("--key is missing")?)
            }
            (None, Some(name)) => known(name, folder)?,
            (None, None) => bail!("name a HOST, or --address and --key"),
        };
        let host = Host { key: self.key.unwrap_or(host.key), ..host };
        let host = self.manner.applied_to(host);
        let is_to_be_listed = self.command.is_none();
        let command = self.named.or(self.command).unwrap_or_else(|| host.command.clone());
        let asked = Asked { name: self.host, host, command };
        if is_to_be_listed {
            let Asked { command, .. } = &asked;
            asked.check_spelling(&format!(
                "to request {command} anyway, pass --command {command}"
            ))?;
        }
        Ok(asked)
    }
}

impl Asked {
    /// The knock that asks for it.
    ///
    /// # Errors
    /// If the key is not to be had.
    pub(super) fn knock(&self, folder: &Folder) -> anyhow::Result<Knock> {
        Ok(Knock::at(&self.host, &self.command, &folder.keys())?)
    }

    /// Rejects a command that is not in the host's list, but close to one that is.
    ///
    /// # Errors
    /// Which command was probably meant, and `otherwise`: what to do if it was not.
    pub(super) fn check_spelling(&self, otherwise: &str) -> anyhow::Result<()> {
        let Self { host, command, .. } = self;
        let Some(meant) = host.probably_meant(command) else { return Ok(()) };
        bail!(
            "{} does not list a command {command}; did you mean {meant}? ({otherwise})",
            self.called()
        )
    }

    /// Asks a person before a command goes out that the host's `confirm` lists.
    ///
    /// # Errors
    /// If the answer is not yes, or there is no terminal to ask on.
    pub(super) fn confirm(&self) -> anyhow::Result<()> {
        let Self { host, command, .. } = self;
        if !host.asks_before(command) {
            return Ok(());
        }
        let without = format!(
            "Refusing to send {command} without confirmation (no terminal): `confirm` in client.toml \
             lists it. Pass --yes to send it"
        );
        super::confirm(&format!("Send {command} to {}?", self.called()), &without)
    }

    /// What the host is called in messages.
    pub(super) fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.host.address.to_string())
    }
}

/// The host of this name in `client.toml`.
fn known(name: &str, folder: &Folder) -> anyhow::Result<Host> {
    Ok(hosts(folder)?.known(name)?.clone())
}
