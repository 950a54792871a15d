//! The gate: puts the XDP program in the way of packets, keeps it there and feeds it.
//!
//! It holds the three capabilities that this needs and never sees a packet. Its parts:
//!
//! - [`program`] loads the program, whose maps `tables` fills;
//! - [`attachment`] ties it to one interface, so that it stays there when this process dies;
//! - [`interfaces`] keeps all configured interfaces tied while they come and go;
//! - [`addresses`] watches for addresses in the configuration that this host loses;
//! - [`ring_socket`] hands the ring to the server;
//! - [`status`] tells the operator, with the [`history`] that it remembers;
//! - [`privileges`] drops what is no longer needed;
//! - `reload` puts another configuration into force.
//!
//! [`cli`] is the way in, [`run`] the loop. `ruroco-gate status` is another process: [`show`] asks the
//! gate, reads of the last [`knocks`], with the server's [`confinement`], and makes a [`report`] of it, or
//! one for [`prometheus`]. Without a running gate, [`check`] says what would keep it, and server and
//! commander, from starting, and [`doctor`] what is in their way on this host. [`init`] is for before the
//! first start, and [`invite`] for whoever is to knock.

pub mod addresses;
pub mod attachment;
pub mod check;
pub mod cli;
mod completion;
pub mod confinement;
pub mod doctor;
pub mod health;
pub mod history;
mod identity;
pub mod init;
pub mod interfaces;
pub mod invite;
pub mod knocks;
mod listener;
mod netlink;
pub mod privileges;
pub mod program;
pub mod prometheus;
mod refused;
mod reload;
pub mod report;
mod ring_fill;
pub mod ring_socket;
mod routes;
pub mod run;
pub mod show;
pub mod status;
mod tables;
