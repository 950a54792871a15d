//! An [invitation] contains a host's [destination] and a key, as a line of text or as a [QR code](qr).
//! The operator creates it on the host, and the client accepts it.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod destination;
pub mod door;
pub mod invitation;
pub mod qr;
