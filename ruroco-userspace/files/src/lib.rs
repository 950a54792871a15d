//! Files on disk, for programs of either side: [read](secure_file) only when nobody else could have
//! written them, replaced as a whole and [durably](durable), used by [one process](instance) at a time, and
//! [TOML](toml_file) whose problems are reported with their line.
//!
//! Nothing here logs: what went wrong is a value, and the caller decides who is to read it.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod durable;
pub mod instance;
pub mod secure_file;
pub mod toml_file;
