//! The XDP program as the kernel runs it: loaded, verified and compiled by the real kernel, its
//! maps filled as the gate fills them, and fed frames through `BPF_PROG_TEST_RUN`.
//!
//! [`verdicts`] says in so many words what must become of which frame, [`records`] what the ring
//! must then hold, [`differential`] compares the kernel with a model for thousands of generated
//! frames. What happens on a wire is the end-to-end tests' matter.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as expected has to end the test, and say where"
)]

mod differential;
#[path = "../../../ruroco-common/tests/headers/frames.rs"]
mod frames;
mod kernel;
#[path = "../../../ruroco-common/tests/headers/oracle.rs"]
mod oracle;
mod records;
mod verdicts;

use std::net::IpAddr;

use ruroco_common::datagram::{self, KeyId};

/// The addresses in the map.
const OURS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
/// The port in the map.
const PORT: u16 = 34_020;
/// The key in the map.
const KEY: KeyId = KeyId([1, 2, 3, 4, 5, 6, 7, 8]);

/// The 94 bytes of a knock with a key id; the rest is a pattern that shows any byte out of place.
fn knock(KeyId(key_id): KeyId) -> Vec<u8> {
    key_id.into_iter().chain(0x10..).take(datagram::SIZE).collect()
}
