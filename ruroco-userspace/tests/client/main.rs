//! The real `ruroco-client`, where no server is needed.
#![cfg(all(feature = "with-client", unix))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod completion;
mod counter;
mod effect;
mod harness;
mod hosts;
mod invitations;
mod keyring;
mod keys;
mod leases;
mod names_of_commands;
mod person;
mod proxy;
mod rfc8452;
mod secrets;
mod terminal;
mod upstream_packets;
mod upstream_state;

use std::{
    io,
    process::{Command, Stdio},
};

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut client = Command::new(env!("CARGO_BIN_EXE_ruroco-client"));
    let made = client.arg("gen").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((made.status.code(), &*String::from_utf8_lossy(&made.stderr)), (Some(0), ""));
}
