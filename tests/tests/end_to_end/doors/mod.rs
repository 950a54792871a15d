//! Doors: a port that is closed to everyone, and that a knock opens for the address that knocked.

mod at_most_once;
mod attack;
mod closed;
mod failures;
mod kind;
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
mod wall_clock;
mod wireguard;

pub(crate) use site::{LONG, PORT, SHORT, Session, Site, behind, options, run_tool};
