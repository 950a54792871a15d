//! `commands.toml` and, with it, [all that an operator has approved](approved): the commander goes by
//! this, and whoever checks a host before a start sees what the commander will see.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod approved;
pub mod command_file;
pub mod commands;
pub mod fields;
pub mod keys;
mod program_file;
