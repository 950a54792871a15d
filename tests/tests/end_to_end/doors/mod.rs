//! Doors: a port that is closed to everyone, and that a knock opens for the address that knocked.

mod attack;
mod closed;
mod leases;
mod nftables;
mod path_mtu;
mod saved_ruleset;
mod site;
mod ssh;
mod switch;
mod tcp;
mod together;
mod trail;
mod trial;
mod udp;
mod wireguard;

pub(crate) use site::{LONG, PORT, SHORT, Session, Site, behind, options, run_tool};
