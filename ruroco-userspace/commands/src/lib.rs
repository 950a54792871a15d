//! `commands.toml` and, with it, [everything that an operator has approved](approved): the commander uses it,
//! and a check of the host before a start sees what the commander will see.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod approved;
pub mod command_file;
pub mod commands;
pub mod fields;
pub mod keys;
pub mod notify;
mod program_file;
pub mod task;
