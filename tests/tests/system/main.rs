//! The Debian package on a booted Debian: what it installs, how its units start, what they may do,
//! and what they leave behind.
//!
//! The guest is on the network of the lab's server, so knocks come from the lab's client through
//! native XDP as everywhere else. `cargo xtask test --system` makes the base system and the package.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as expected has to end the test, and say where"
)]

mod both_backends;
mod door_host;
mod doors;
mod firewalls;
mod flood;
mod from_upstream;
mod host;
mod keys;
mod package;
mod page;
mod reload;
mod security;
mod udp;
