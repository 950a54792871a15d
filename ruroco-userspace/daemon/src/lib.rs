//! The common parts of gate, server and commander: their [command_line]; their [loop](event_loop), which
//! [waits](wait) for events and [signals] and reports to the [service manager](service_manager); their [clock];
//! their [log](logging) and its [notices]; a [listener]; and the [shares] of a [rate], so that no key uses up
//! what others need.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod clock;
pub mod command_line;
pub mod event_loop;
pub mod listener;
pub mod logging;
pub mod notices;
pub mod rate;
pub mod service_manager;
pub mod shares;
pub mod signals;
pub mod timestamp;
// Here for daemons; clients that `ruroco-ipc` has wait, too.
pub use ruroco_ipc::wait;
