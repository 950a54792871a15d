//! What gate, server and commander are made of as daemons: they [wait] for descriptors and
//! [signals], [log](logging), report to the [service manager](service_manager), answer on a [listener],
//! and let no key have more than its [share](shares) of a [rate].

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod listener;
pub mod logging;
pub mod notices;
pub mod rate;
pub mod service_manager;
pub mod shares;
pub mod signals;
pub mod timestamp;
pub mod wait;
