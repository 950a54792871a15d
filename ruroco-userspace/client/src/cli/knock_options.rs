//! Options that change how a knock is sent. `knock` and `open` use them once; `host add` saves them.

use std::net::IpAddr;

use clap::Args;
use ruroco_invite::destination::Family;

use crate::profiles::Host;

#[derive(Args)]
pub(super) struct KnockOptions {
    /// Run the command for this address instead of the address that the knock comes from
    #[arg(short, long)]
    ip: Option<IpAddr>,
    /// Allow --ip to differ from the address that the knock comes from
    #[arg(short = 'e', long)]
    permissive: bool,
    /// Use only the host's IPv4 addresses
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use only the host's IPv6 addresses
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Send a knock to every address of the host. The command runs once for each knock that arrives
    #[arg(long)]
    all_addresses: bool,
}

impl KnockOptions {
    /// The host with these options. Options on the command line override those in `client.toml`.
    pub(super) fn applied_to(self, host: Host) -> Host {
        Host {
            ip: self.ip.or(host.ip),
            permissive: self.permissive || host.permissive,
            family: match (self.ipv4, self.ipv6) {
                (true, _) => Family::V4,
                (false, true) => Family::V6,
                (false, false) => host.family,
            },
            all_addresses: self.all_addresses || host.all_addresses,
            ..host
        }
    }
}
