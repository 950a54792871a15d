//! Where to knock: a host of `client.toml`, or one that flags describe. Flags go before what the
//! file says.

use std::net::IpAddr;

use anyhow::{Context, bail};
use clap::Args;

use crate::{
    client::{folder::Folder, key_store::KeyReference, knock::Knock, profiles::Host},
    destination::{Destination, Family},
};

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
    host: Option<String>,
    /// Where to, instead of a HOST: NAME, NAME:PORT, IP, IP:PORT or `[IPV6]:PORT`; port 80 where none
    /// is given
    #[arg(short, long, value_name = "ADDRESS", requires = "key")]
    address: Option<Destination>,
    /// Key to knock with: the name of one of yours, or a file
    #[arg(short, long, value_name = "KEY", alias = "key-file")]
    key: Option<KeyReference>,
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
    /// Name of the command to ask for, if it is not the host's first
    #[arg(value_name = "COMMAND", conflicts_with = "address")]
    named: Option<String>,
    /// The same, for a host that flags describe
    #[arg(short, long, conflicts_with = "named")]
    command: Option<String>,
}

impl Target {
    /// What is meant.
    ///
    /// # Errors
    /// If there is no such host, or `client.toml` is wrong.
    pub(super) fn asked(self, folder: &Folder) -> anyhow::Result<Asked> {
        let host = match (self.address, &self.host) {
            (Some(address), _) => Host::new(address, self.key.clone().context("--key is missing")?),
            (None, Some(name)) => known(name, folder)?,
            (None, None) => bail!("name a HOST, or --address and --key"),
        };
        let host = Host {
            key: self.key.unwrap_or(host.key),
            ip: self.ip.or(host.ip),
            permissive: self.permissive || host.permissive,
            family: match (self.ipv4, self.ipv6) {
                (true, _) => Family::V4,
                (false, true) => Family::V6,
                (false, false) => host.family,
            },
            all_addresses: self.all_addresses || host.all_addresses,
            ..host
        };
        let command = self.named.or(self.command).unwrap_or_else(|| host.command.clone());
        Ok(Asked { name: self.host, host, command })
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

    /// What the host is called in messages.
    pub(super) fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.host.address.to_string())
    }
}

/// The host of this name in `client.toml`.
fn known(name: &str, folder: &Folder) -> anyhow::Result<Host> {
    Ok(folder.profiles().read().or_problems()?.known(name)?.clone())
}
