//! The operator's tool: sets a host up, and says what state it is in.
//!
//! [`init`] is for before the first start, [`import`] for hosts of upstream ruroco or an earlier release, and [`invite`] for the people who are to knock. [`check`] says
//! what would keep gate, server and commander from starting, and [`doctor`] what on this host is in their
//! way. [`show`] asks the running gate, reads the last [`knocks`] and the server's [`confinement`], and
//! makes a [`report`] of it, or one for [`prometheus`]. [`cli`] is the way in.
//!
//! It never runs as a daemon, and may do whatever its caller may.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod check;
pub mod cli;
mod completion;
pub mod confinement;
pub mod doctor;
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
pub mod show;
