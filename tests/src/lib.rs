//! A lab for the real programs: three hosts made of network namespaces, joined by veth pairs, with
//! gate, server and commander on the one in the middle.
//!
//! ```text
//!  client ns            server ns                          third ns
//!  client0 ──────────── server0  (forwards)  third1 ────── third0
//!  192.0.2.2            192.0.2.1      198.51.100.1        198.51.100.2
//!  2001:db8:1::2        2001:db8:1::1  2001:db8:2::1       2001:db8:2::2
//! ```
//!
//! It is what the end-to-end tests, the demonstration and the benchmarks stand on, so that all
//! three see the same thing. Nothing in it stands in for a part of ruroco: packets are sent by the
//! real client or laid out byte by byte ([`packet`], [`knock`]), cross a real interface, and what
//! they cause is observed from outside: the verdicts the gate counts ([`verdicts`]), the lines the
//! programs log ([`daemon`]), the commands that ran ([`files`]) and what came back on the client's
//! wire ([`capture`], [`probe`]). [`lab`] puts it all together. For packages and units there is a whole [`guest`] in the
//! place of the server.
//!
//! Every resource has an owner that removes it when dropped, also when a test panics. Namespaces
//! have no name and processes are killed with the thread that started them, so that even a lab
//! that is itself killed leaves only a temporary directory, which the next one removes
//! ([`directory`]). For the same reason a [`lab::Lab`]
//! stays on the thread that made it.
//!
//! It needs root, and fails where it has not what it needs: a test that skipped itself would look
//! like one that passed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stderr,
    reason = "test code: whatever is not as expected has to end the test, and say where"
)]

pub mod attacker;
pub mod capture;
pub mod daemon;
pub mod directory;
pub mod files;
pub mod guest;
pub mod interrupt;
pub mod knock;
pub mod lab;
pub mod many;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod packet;
pub mod packet_socket;
pub mod probe;
pub mod process;
pub mod programs;
pub mod random;
pub mod raw;
pub mod send_times;
pub mod shell;
pub mod tcp;
pub mod verdicts;
pub mod wait;
