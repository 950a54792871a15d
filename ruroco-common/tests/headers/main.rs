//! Tests of the header parser through its public way in: what each fault does ([`faults`],
//! for TCP [`segments`]), that
//! it keeps to its input ([`bounds`]), and that an independent parser agrees with it
//! ([`agreement`]). What must hold for any frame is in [`properties`].
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that is wrong about its own numbers shall fail loudly"
)]

mod agreement;
mod bounds;
mod content;
mod faults;
mod frames;
mod oracle;
mod properties;
mod segments;

/// For tests that have no addresses or ports of their own.
fn anywhere() -> frames::Pool {
    frames::Pool {
        destinations: vec![[192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()],
        ports: vec![80, 12_345],
        payloads: vec![vec![0x5a; 94], Vec::new()],
    }
}
