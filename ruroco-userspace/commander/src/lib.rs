//! The commander: runs, as root, what an accepted knock asks for.
//!
//! It is the only part that executes anything, so it knows as little as possible: no network, no
//! packet, no cipher that could use a key. What it gets is an [`Order`](ruroco_ipc::order::Order) from a server
//! that may have been taken over, and what it runs was written down by the operator beforehand.
//!
//! An order's way through these modules:
//!
//! 1. a [private socket](ruroco_ipc::private_socket) lets only the server's user connect;
//! 2. [`service`] reads one message after the other;
//! 3. the [`rules`] permit it, or there is a [`refusal`]: they judge it by the [commands](ruroco_commands::commands), the [keys](ruroco_commands::keys) and the
//!    key's share of the slots, all of which the operator has [approved](ruroco_commands::approved);
//! 4. the [`queue`] starts no more in a second than the rate limit allows;
//! 5. [`runs`] gives each one a thread, in which [`run`] starts, watches and ends it, with
//!    a [head start](head_start) where floods are to be expected. Nothing of what the commander
//!    [has inherited](inherited) gets into it.
//!
//! What becomes of each goes into the [audit trail](audit). How the commander itself is, its operator can
//! [ask](status).
//!
//! [`cli`] is the way in.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod audit;
pub mod audit_file;
mod audit_rotation;
pub mod cli;
mod connection;
pub mod head_start;
pub mod inherited;
pub mod json;
pub mod left_behind;
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
