//! [Keys](key), and the names of keys and hosts ([`name`]) and of commands ([`command_name`]).
//!
//! Both sides have keys, and nothing here can use one: that takes a cipher, which the commander must not link.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod command_name;
pub mod key;
pub mod name;
pub mod named_key;
