//! How to knock at a host, as flags say it: for a knock, and for a host that is added.

use std::net::IpAddr;

use clap::Args;
use ruroco_invite::destination::Family;

use crate::profiles::Host;

#[derive(Args)]
pub(super) struct Manner {
    /// Address the command shall act for, instead of the one that packets come from
    #[arg(short, long)]
    ip: Option<IpAddr>,
    /// Let --ip be another address than the one that the host sees
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

impl Manner {
    /// The host as it is to be knocked at: flags go before what is known of it.
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
