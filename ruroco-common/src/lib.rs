//! What both sides of the kernel boundary must agree on, defined once.
//!
//! The XDP program and the user-space processes are compiled for different machines from this
//! same source, so a field, an offset or a verdict's name cannot drift apart. A packet meets the
//! modules in this order:
//!
//! 1. [`headers`] finds the UDP payload in a frame, or reports why it has no payload;
//! 2. [`guarded`] knows whether it is for us;
//! 3. [`datagram`] names the parts of the 94-byte payload;
//! 4. [`keys`] has the key it names, [`chacha20poly1305`] tells whether it is authentic;
//! 5. [`verdict`] names what became of it in the kernel;
//! 6. [`candidate`] is the ring record that carries the survivors to the verifier;
//! 7. [`plaintext`] is what the verifier finds inside once it has opened it.
//!
//! A packet to another port meets [`doors`]. If closed doors look like ports without a listener, [`answered`] changes
//! it for the network stack. [`address`], [`command`], [`maps`] and [`rate`] hold what several of them use.
//!
//! Everything is `no_std`, allocates nothing and is tested on the host.
#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod answered;
pub mod candidate;
pub mod chacha20poly1305;
pub mod command;
pub mod datagram;
pub mod doors;
pub mod guarded;
pub mod headers;
pub mod keys;
pub mod maps;
pub mod plaintext;
pub mod rate;
pub mod verdict;
