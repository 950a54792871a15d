//! Files on disk, for programs of either side: [read](secure_file) only if no other user could have written
//! them, replaced as a whole and [durably](durable), used by [one process](instance) at a time, and
//! [TOML](toml_file) with errors by line.
//!
//! This crate does not log: an error is a value, and the caller decides where to report it.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod durable;
pub mod instance;
pub mod secure_file;
pub mod toml_file;
