//! The window as a person finds it: everything is looked for by the name that a screen reader reads,
//! and pressed or typed as they would. Behind it are the real client, a real folder, and real sockets
//! on loopback. That every control has a name at all, the harness sees to with every frame.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as expected has to end the test, and say where"
)]

mod appearance;
mod doors;
mod failures;
mod files;
mod history;
mod hosts;
mod invitations;
mod keys;
mod knocks;
mod names;
mod person;
mod program;
mod server;
