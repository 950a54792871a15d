//! The operator's tool: sets a host up, and reports its state.
//!
//! [`init`] is for a new host, [`import`] for hosts of upstream ruroco or an earlier release, and [`invite`]
//! for new clients. [`check`] reports errors that would prevent the start of gate, server and commander, and
//! [`doctor`] problems of this host. [`show`] requests the status of the running gate, reads the last
//! [`knocks`] and the server's [`confinement`], and turns them into a [`report`], or into one for
//! [`prometheus`]. `doors` shows and closes doors, and [`arming`] says whether they are closed at all. [`cli`] is the entry point.
//!
//! It never runs as a daemon, and may do whatever its caller may.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod arming;
pub mod check;
pub mod cli;
mod completion;
pub mod confinement;
pub mod doctor;
mod doors;
pub mod floors;
pub mod health;
mod identity;
pub mod import;
pub mod init;
pub mod invite;
mod key;
pub mod knocks;
pub mod prometheus;
mod refused;
pub mod report;
mod routes;
mod running_config;
pub mod show;
mod sshd;
