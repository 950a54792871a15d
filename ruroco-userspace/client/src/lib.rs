//! The knocking side: seals one datagram, sends it and expects nothing back.
//!
//! Nothing in here is particular to Linux. What a person has is in a [`folder`]: hosts
//! ([`profiles`]), keys ([`key_store`]) and the [`counter`]. From a host comes a [`knock`], from the
//! host's name its [`destination`](ruroco_invite::destination) and the [`route`] there, from a knock and the
//! look at its [`effect`] an [`attempt`], and from one that failed, [`advice`]; a [`rehearsal`] is an
//! attempt that sends nothing. Hosts and keys come by an invitation that one [accepts](accept), or from
//! [`upstream`] ruroco, and go to another device by [`export`]; keys may lie in the system's
//! [`keyring`]. [`cli`] and the window show all this and do nothing of it themselves.

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

/// The whole of a program of this side: `main`, or the other program that it starts itself as, to read
/// a picture with a QR code without any rights.
pub fn main(main: impl FnOnce() -> ExitCode) -> ExitCode {
    qr_reader::serve().unwrap_or_else(main)
}

/// File name of the lock that is held while hosts or keys change.
const CHANGES_LOCK: &str = "changes.lock";

/// Name of the variable that names another [folder] than the platform's.
pub const FOLDER_VARIABLE: &str = "RUROCO_CONF_DIR";
