//! The knocking side: seals one datagram, sends it and expects nothing back.
//!
//! Nothing in here is particular to Linux. [`cli`] is the way in; a knock is made in the order
//! [`destination`] (where to), [`counter`] (never the same twice, on disk before it is used),
//! [`knock`] (seal and send).

pub mod cli;
pub mod counter;
pub mod destination;
pub mod knock;
