//! The user-space parts of ruroco.
//!
//! A knock's way through this library, from the laptop to the command:
//!
//! 1. [`client`] seals and sends it;
//! 2. [`gate`] has put the XDP program in its way and hands the ring of candidates on;
//! 3. [`server`] opens, judges and persists it, and sends an order;
//! 4. [`commander`] runs what the order names.
//!
//! Each of the four is behind a feature of its own and knows none of the others, but that the gate
//! can check what the commander will read. What two or more
//! of them share is beside them: the [`key`]s, the [`config`], the [`order`] record and the [report](slots) on its
//! way back, the [`handover`] of ring and keys, the [`audit`] trail, and the careful handling of files.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

#[cfg(feature = "aead")]
pub mod aead;
#[cfg(feature = "daemon")]
pub mod audit;
#[cfg(feature = "daemon")]
pub mod boot_clock;
#[cfg(feature = "cli")]
pub mod command_line;
#[cfg(any(feature = "invitation", feature = "command-file"))]
pub mod command_name;
#[cfg(any(feature = "with-client", feature = "with-gate"))]
pub mod completion;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "invitation")]
pub mod destination;
pub mod durable;
#[cfg(feature = "daemon")]
pub mod handover;
pub mod instance;
#[cfg(feature = "invitation")]
pub mod invitation;
pub mod key;
#[cfg(feature = "daemon")]
pub mod key_directory;
#[cfg(feature = "daemon")]
pub mod logging;
#[cfg(feature = "with-client")]
mod lookup;
pub mod name;
#[cfg(feature = "daemon")]
pub mod notices;
#[cfg(feature = "daemon")]
pub mod order;
pub mod plain_error;
#[cfg(feature = "daemon")]
pub mod private_directory;
#[cfg(feature = "daemon")]
pub mod private_socket;
pub mod problems;
#[cfg(feature = "invitation")]
pub mod qr;
#[cfg(feature = "daemon")]
pub mod rate;
pub mod redaction;
#[cfg(feature = "daemon")]
pub mod refusal_record;
#[cfg(feature = "daemon")]
pub mod routable;
pub mod secure_file;
#[cfg(feature = "daemon")]
pub mod server_keys;
#[cfg(feature = "daemon")]
pub mod service_manager;
#[cfg(feature = "daemon")]
pub mod settings;
#[cfg(feature = "daemon")]
pub mod shares;
#[cfg(feature = "daemon")]
pub mod signals;
#[cfg(feature = "daemon")]
pub mod slots;
#[cfg(feature = "daemon")]
pub mod timestamp;
#[cfg(feature = "toml-file")]
pub mod toml_file;
#[cfg(feature = "toml-file")]
mod toml_message;
#[cfg(feature = "daemon")]
pub mod trusted_path;
#[cfg(feature = "daemon")]
pub mod users;
pub mod visible;
#[cfg(feature = "daemon")]
pub mod wait;

#[cfg(feature = "with-client")]
pub mod client;
#[cfg(feature = "command-file")]
pub mod commander;
#[cfg(feature = "with-gate")]
pub mod gate;
#[cfg(feature = "with-server")]
pub mod server;
#[cfg(feature = "with-gui")]
pub mod window;
