//! The commander: runs, as root, the commands that accepted knocks request.
//!
//! It is the only part that executes anything, so it has as little as possible: no network, no packet, no
//! cipher that could use a key. It gets an [`Order`](ruroco_ipc::order::Order) from a server that an attacker
//! may control, and runs only commands that the operator has defined.
//!
//! An order passes through these modules:
//!
//! 1. a [private socket](ruroco_ipc::private_socket) lets only the server's user connect;
//! 2. [`service`] reads one message after the other;
//! 3. the [`rules`] permit it, or there is a [`refusal`]: they judge it by the
//!    [commands](ruroco_commands::commands), the [keys](ruroco_commands::keys) and the key's share of the
//!    slots, all of which the operator has [approved](ruroco_commands::approved);
//! 4. the [`queue`] starts no more in a second than the rate limit allows;
//! 5. [`runs`] gives each one a thread, in which the gate [opens and closes doors](doors), and [`run`] starts, watches and ends it, with a [head
//!    start](head_start) on hosts with floods. It inherits nothing of what the commander [has
//!    inherited](inherited).
//!
//! The [audit trail](audit) records the result of each, and what the [gate reports](gate_events) about doors. A program
//! of the operator's may be [notified](notify) of each line. The operator can read the commander's own state from
//! a [socket](status).
//!
//! [`cli`] is the entry point.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod audit;
pub mod audit_file;
mod audit_rotation;
pub mod cli;
mod connection;
pub mod doors;
pub mod event;
pub mod gate_events;
pub mod head_start;
pub mod inherited;
pub mod json;
pub mod key_names;
pub mod left_behind;
pub mod notify;
pub mod outcome;
pub mod output;
pub mod queue;
pub mod refusal;
pub mod rules;
pub mod run;
pub mod runs;
pub mod service;
mod spawn;
pub mod status;
