//! One packet runs one command: the real programs on real interfaces, in network namespaces that
//! each test makes for itself.
//!
//! Every test of a filtered port, which is the default, ends by making sure that the client has seen
//! nothing come back. "Nothing has run" is never concluded from waiting: a good knock is sent
//! afterwards, and must be the only one that ran.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "whatever is not as expected has to end the test, and say where"
)]

mod addresses;
mod appearance;
mod at_most_once;
mod capacity;
mod client;
mod detours;
mod doctor;
mod doctor_doors;
mod door_sessions;
mod doors;
mod first_knock;
mod floors;
mod handover;
mod indistinguishable;
mod init;
mod interfaces;
mod key_rules;
mod knock;
mod lab;
mod live_stack;
mod logs;
mod networks;
mod odd_packets;
mod own_session;
mod privileges;
mod probes;
mod readiness;
mod real_time;
mod recovery;
mod refusals;
mod reload;
mod sandbox;
mod secrets;
mod server_reload;
mod service_manager;
mod shares;
mod ssh;
mod sshd;
mod start;
mod status;
mod udp_source;
mod unchecked_keys;
mod untouched;
mod upstream_host;
mod verdicts;
