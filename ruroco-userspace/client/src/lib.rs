//! The client: seals one datagram, sends it and expects no reply.
//!
//! The user's files are in a [`folder`]: hosts ([`profiles`]), keys ([`key_store`]) and the [`counter`].
//! A [`knock`] goes to the [`destination`](ruroco_invite::destination) of a host by a [`route`]. An
//! [`attempt`] sends a knock and checks its [`effect`]; if the port does not open, [`advice`] lists what
//! to check. A knock may open doors for a while, which is a [`lease`]. A [`rehearsal`] does all of this except sending. Hosts and keys are added by [accepting an
//! invitation](accept) or imported from [`upstream`] ruroco. [`export`] writes keys for other devices,
//! and the system's [`keyring`] can store them. [`cli`] and the window only present all this. Nothing in
//! this crate is specific to Linux.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod accept;
pub mod advice;
pub mod attempt;
pub mod cli;
pub mod counter;
pub mod effect;
pub mod export;
pub mod folder;
pub mod key_store;
pub mod keyring;
pub mod knock;
pub mod lease;
mod lookup;
mod private_folder;
pub mod profiles;
pub mod qr_picture;
pub mod qr_reader;
pub mod rehearsal;
pub mod resolve;
pub mod route;
pub mod upstream;

use std::process::ExitCode;

/// Runs a client program: `main`, or the picture reader if this process was started as one.
pub fn main(main: impl FnOnce() -> ExitCode) -> ExitCode {
    qr_reader::serve().unwrap_or_else(main)
}

/// File name of the lock that a process holds while it changes hosts or keys.
const CHANGES_LOCK: &str = "changes.lock";

/// The environment variable that sets the client's [folder] instead of the platform's default.
pub const FOLDER_VARIABLE: &str = "RUROCO_CONF_DIR";
