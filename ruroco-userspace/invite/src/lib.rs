//! An [invitation] carries a host's [destination] and a key from the host to a
//! client: as a line of text, or as a [QR code](qr). The host writes it and the client reads it.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod destination;
pub mod invitation;
pub mod qr;
