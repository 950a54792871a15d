//! `config.toml`, the [keys](key_directory) of the host, and both together as the [settings] of a daemon.
//! Problems are reported with file, line and remedy.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

mod config_file;
pub mod door;
pub mod expiry;
pub mod fields;
mod interface_name;
pub mod key_directory;
pub mod key_policy;
pub mod network;
pub mod routable;
pub mod server_keys;
pub mod settings;
pub mod values;

pub use config_file::{
    Appearance, Config, DEFAULT_PATH, FLOORS, Gate, KeyRules, Place, UPSTREAM_BLOCKLIST,
};
pub use fields::{AUDIT_DIR, DEFAULT_PORT, FORMER_AUDIT_DIR, Mode, OnStop, Source};
pub use ruroco_files::toml_file::field::Daemon;
