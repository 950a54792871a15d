//! Where to knock: a host of `client.toml`, or one that flags describe. Flags go before what the
//! file says.

use std::net::IpAddr;

use anyhow::{Context, bail};
use clap::Args;

use crate::{
    client::{folder::Folder, key_store::KeyReference, profiles::Host},
    destination::{Destination, Family},
};

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
}

impl Target {
    /// The host that is meant.
    ///
    /// # Errors
    /// If there is no such host, or `client.toml` is wrong.
    pub(super) fn host(self, folder: &Folder) -> anyhow::Result<Host> {
        let host = match (self.address, self.host) {
            (Some(address), _) => Host::new(address, self.key.clone().context("--key is missing")?),
            (None, Some(name)) => known(&name, folder)?,
            (None, None) => bail!("name a HOST, or --address and --key"),
        };
        Ok(Host {
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
        })
    }
}

/// The host of this name in `client.toml`.
fn known(name: &str, folder: &Folder) -> anyhow::Result<Host> {
    Ok(folder.profiles().read().or_problems()?.known(name)?.clone())
}
