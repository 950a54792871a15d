//! The host and the command of a knock. The host is an entry in `client.toml`, or `--address` and `--key`
//! describe it. Options on the command line override those in the file.

use anyhow::{Context, bail};
use clap::Args;

use super::{address::TypedAddress, completion, hosts, knock_options::KnockOptions};
use crate::{folder::Folder, key_store::KeyReference, knock::Knock, profiles::Host};

/// A host, and the command to request from it.
#[derive(Debug)]
pub(super) struct Target {
    /// The name in `client.toml`; none if options describe the host.
    pub(super) name: Option<String>,
    pub(super) host: Host,
    pub(super) command: String,
}

#[derive(Args)]
pub(super) struct TargetArguments {
    /// Name of a host. To list your hosts, run `ruroco-client host list`
    #[arg(value_name = "HOST", required_unless_present = "address", conflicts_with = "address")]
    #[arg(add = completion::hosts())]
    host: Option<String>,
    /// Address to send the knock to, instead of a HOST: NAME, NAME:PORT, IP, IP:PORT or `[IPV6]:PORT`. The
    /// default port is 80
    #[arg(short, long, value_name = "ADDRESS", requires = "key")]
    address: Option<TypedAddress>,
    /// Key to knock with: the name of a key, or a file [default: the host's key]
    #[arg(short, long, value_name = "KEY", alias = "key-file", add = completion::keys_and_files())]
    key: Option<KeyReference>,
    #[command(flatten)]
    options: KnockOptions,
    /// Command to request [default: the host's first command]
    #[arg(value_name = "COMMAND", conflicts_with = "address", add = completion::commands())]
    named: Option<String>,
    /// Command to request (same as COMMAND; use with --address, or for a command that is not in the
    /// host's list)
    #[arg(short, long, conflicts_with = "named", add = completion::commands())]
    command: Option<String>,
    /// Do not prompt before sending a command that requires a confirmation (`confirm` in client.toml)
    #[arg(long)]
    yes: bool,
}

impl TargetArguments {
    /// Whether `--yes` confirms the command.
    pub(super) const fn is_confirmed(&self) -> bool {
        self.yes
    }

    /// The host and the command that these arguments name.
    ///
    /// # Errors
    /// If there is no such host, its entry in `client.toml` is invalid, or the name of the command is
    /// probably misspelt.
    pub(super) fn resolve(self, folder: &Folder) -> anyhow::Result<Target> {
        let host = match (self.address, &self.host) {
            (Some(address), _) => {
                Host::new(address.destination(), self.key.clone().context("--key is missing")?)
            }
            (None, Some(name)) => known(name, folder)?,
            (None, None) => bail!("pass a HOST, or --address and --key"),
        };
        let host = Host { key: self.key.unwrap_or(host.key), ..host };
        let host = self.options.applied_to(host);
        let is_to_be_listed = self.command.is_none();
        let command = self.named.or(self.command).unwrap_or_else(|| host.command.clone());
        let target = Target { name: self.host, host, command };
        if is_to_be_listed {
            let Target { command, .. } = &target;
            target.check_spelling(&format!(
                "to request {command} anyway, pass --command {command}"
            ))?;
        }
        Ok(target)
    }
}

impl Target {
    /// The knock that asks for it.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub(super) fn knock(&self, folder: &Folder) -> anyhow::Result<Knock> {
        Ok(Knock::at(&self.host, &self.command, &folder.keys())?)
    }

    /// Rejects a command that is not in the host's list, but similar to another command in it.
    ///
    /// # Errors
    /// The similar command, and `otherwise`: how to request the command anyway.
    pub(super) fn check_spelling(&self, otherwise: &str) -> anyhow::Result<()> {
        let Self { host, command, .. } = self;
        let Some(meant) = host.probably_meant(command) else { return Ok(()) };
        bail!(
            "command {command} is not in the list of host {}. Did you mean {meant}? ({otherwise})",
            self.label()
        )
    }

    /// Prompts before sending a command that the host's `confirm` lists.
    ///
    /// # Errors
    /// If the answer is not yes, or there is no terminal to prompt on.
    pub(super) fn confirm(&self) -> anyhow::Result<()> {
        let Self { host, command, .. } = self;
        if !host.needs_confirmation(command) {
            return Ok(());
        }
        let without = format!(
            "Refusing to send {command} without confirmation (no terminal). `confirm` in client.toml lists it. \
             Pass --yes to send it."
        );
        super::confirm(&format!("Send {command} to {}?", self.label()), &without)
    }

    /// The host's name, or its address if it has no name.
    pub(super) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.host.address.to_string())
    }
}

/// The host of this name in `client.toml`.
fn known(name: &str, folder: &Folder) -> anyhow::Result<Host> {
    Ok(hosts(folder)?.known(name)?.clone())
}
