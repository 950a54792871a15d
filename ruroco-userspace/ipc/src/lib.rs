//! What passes between ruroco's processes on a host: over [private sockets](private_socket) the gate's
//! [handover] to the server, the server's [orders](order) to the commander, the commander's report of its [slots],
//! its requests for [leases](lease) to the gate, which the operator's tool makes with the same
//! [client](door_client), and the gate's report of [what becomes of leases](door_event); in
//! files the [audit trail](audit) and the server's [record of refusals](refusal_record).
//!
//! Each record has a fixed layout and a version. None of them knows the configuration: a process trusts
//! no other for how it is configured. Each [wait] for another process has an end.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod audit;
pub mod boot_clock;
pub mod commander_status;
pub mod door_client;
pub mod door_event;
pub mod handover;
pub mod lease;
pub mod order;
pub mod private_socket;
pub mod record;
pub mod refusal_record;
pub mod slots;
pub mod wait;
