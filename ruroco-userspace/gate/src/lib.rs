//! The gate: attaches the XDP program to interfaces, keeps it there and feeds it.
//!
//! It holds the three capabilities that this needs and never sees a packet. Its parts:
//!
//! - [`program`] loads the program, whose maps `tables` fills;
//! - [`attachment`] ties it to one interface, so that it stays there when this process dies;
//! - [`interfaces`] keeps all configured interfaces tied while they come and go;
//! - [`addresses`] watches for addresses in the configuration that this host loses;
//! - [`ring_socket`] hands the ring to the server;
//! - `doors` opens ports for addresses, through the maps of `door_maps` and the table of `nft`, while they are
//!   [armed](arming);
//! - `front` is what packets meet; with `source = "udp"`, the gate has none;
//! - `lookup` has closed doors look like ports without a listener;
//! - [`status`] reports to the operator's tool, with the [`history`] that the gate remembers;
//! - [`privileges`] drops what is no longer needed;
//! - `reload` puts another configuration into force.
//!
//! [`cli`] is the way in, [`gate`] the whole. The operator's tool, crate `ruroco-operator`, asks a running
//! gate for its status, and examines a host with the same [`netlink`] and the same [`program`].

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod addresses;
pub mod arming;
pub mod attachment;
pub mod cli;
pub mod door_maps;
mod doors;
mod front;
pub mod gate;
mod held_keys;
pub mod history;
pub mod interfaces;
mod lookup;
pub mod netlink;
pub mod nft;
pub mod privileges;
pub mod program;
mod reload;
mod ring_fill;
pub mod ring_socket;
pub mod status;
mod tables;
