//! What must hold of every part of ruroco that reads what somebody else has written, whatever that
//! is.
//!
//! One function for each reader. It takes any bytes and panics if a property is violated, so that a
//! fuzzer can look for bytes that do it: the programs in `fuzz_targets/` hand them to libFuzzer, and
//! `cargo xtask fuzz` builds and runs those. The tests of this crate call each function with the
//! bytes in `corpus/`, where the fuzzer starts from. What a function returns says whether the bytes
//! got as far as ruroco's own rules: those that do not are not worth going on from.
//!
//! A reader that merely does not crash may still be wrong, so each function has something to hold
//! it against: an independent implementation, or what the documentation promises.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "to fail loudly is what this is for"
)]

mod client_toml;
mod commands;
mod config;
mod dictionary;
mod door_event;
mod floor_file;
mod handover;
mod headers;
mod invitation;
pub mod lines;
mod order;
mod packet_crypto;
mod plaintext;
mod text;
mod upstream_blocklist;

// For the parts of `ruroco-common` that are included as source.
use ruroco_common::datagram;

pub use client_toml::{LINES as CLIENT_LINES, client_toml};
pub use commands::{LINES as COMMANDS_LINES, commands};
pub use config::{LINES as CONFIG_LINES, config};
pub use dictionary::DICTIONARIES;
pub use door_event::door_event;
pub use floor_file::floor_file;
pub use handover::handover;
pub use headers::headers;
pub use invitation::invitation;
pub use order::order;
pub use packet_crypto::packet_crypto;
pub use plaintext::plaintext;
pub use upstream_blocklist::upstream_blocklist;

/// A fuzz target: its name, which is also that of its program and of its folder of seeds, and the
/// function.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("client_toml", client_toml),
    ("commands", commands),
    ("config", config),
    ("door_event", door_event),
    ("floor_file", floor_file),
    ("handover", handover),
    ("headers", headers),
    ("invitation", invitation),
    ("order", order),
    ("packet_crypto", packet_crypto),
    ("plaintext", plaintext),
    ("upstream_blocklist", upstream_blocklist),
];
