//! The real `ruroco-client` as a person uses it, where no server is needed: hosts, keys, invitations,
//! and what upstream ruroco has left behind.
#![cfg(all(feature = "with-client", unix))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod hosts;
mod invitations;
mod keyring;
mod keys;
mod person;
mod terminal;
mod upstream;

use std::{
    io,
    process::{Command, Stdio},
};

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut client = Command::new(person::CLIENT);
    let made = client.arg("gen").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((made.status.code(), &*String::from_utf8_lossy(&made.stderr)), (Some(0), ""));
}
