//! The header parser and etherparse, compiled for a machine that is simple enough to be executed
//! with symbols in place of numbers: RISC-V without an operating system.
//!
//! `cargo xtask prove` builds this program, and `proofs/prover` follows every path through [`ours`]
//! and [`theirs`] for every frame of a length. The rules of the comparison are those of the parser's
//! own tests. Nothing ever runs this program as a whole: it has no entry point.
//!
//! Rationale: decision 0035.
#![no_std]
#![no_main]

#[path = "../../ruroco-common/tests/headers/content.rs"]
mod content;
#[expect(clippy::arithmetic_side_effects, reason = "the proof would find an overflow")]
#[path = "../../ruroco-common/tests/headers/oracle.rs"]
mod oracle;

use core::{hint, net::IpAddr, panic::PanicInfo, slice};

use crate::{content::Content, oracle::Transport};

/// What the prover compares, byte by byte. All zero: no packet, or a faulty one. The payload is that of UDP.
#[derive(Default)]
#[repr(C)]
pub struct Findings {
    source: [u8; 16],
    destination: [u8; 16],
    /// Where the payload begins, from the start of the frame.
    payload_at: u64,
    payload_length: u64,
    source_port: u16,
    destination_port: u16,
    /// 4 or 6, the IP version of the addresses.
    source_version: u8,
    destination_version: u8,
    /// Number of the protocol, or 0.
    found: u8,
    /// Of TCP.
    flags: u8,
}

/// What the parser under proof finds.
///
/// # Safety
/// `frame` has `length` bytes, and `findings` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ours(frame: *const u8, length: usize, findings: *mut Findings) {
    // SAFETY: as the caller guarantees.
    let frame = unsafe { slice::from_raw_parts(frame, length) };
    // SAFETY: as the caller guarantees.
    unsafe { findings.write(Findings::new(frame, content::ours(frame))) };
}

/// What etherparse finds.
///
/// # Safety
/// As for [`ours`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn theirs(frame: *const u8, length: usize, findings: *mut Findings) {
    // SAFETY: as the caller guarantees.
    let frame = unsafe { slice::from_raw_parts(frame, length) };
    // SAFETY: as the caller guarantees.
    unsafe { findings.write(Findings::new(frame, content::theirs(frame))) };
}

impl Findings {
    fn new(frame: &[u8], content: Option<Content<'_>>) -> Self {
        let Some(content) = content else { return Self::default() };
        let (source_version, source) = bytes(content.source);
        let (destination_version, destination) = bytes(content.destination);
        let (found, payload, flags) = match content.transport {
            Transport::Udp(payload) => (17, payload, 0),
            Transport::Tcp(flags) => (6, frame, flags),
        };
        let payload_at = payload.as_ptr().addr().wrapping_sub(frame.as_ptr().addr());
        Self {
            source,
            destination,
            payload_at: wide(payload_at),
            payload_length: wide(payload.len()),
            source_port: content.source_port,
            destination_port: content.destination_port,
            source_version,
            destination_version,
            found,
            flags,
        }
    }
}

#[expect(clippy::as_conversions, reason = "no address has more than 64 bits")]
const fn wide(number: usize) -> u64 {
    number as u64
}

fn bytes(address: IpAddr) -> (u8, [u8; 16]) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(address) => (6, address.octets()),
    }
}

/// Every panic comes here.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |place| (place.file(), place.line()));
    panicked(file.as_ptr(), file.len(), line)
}

/// Where a path ends that has panicked; the prover reports the arguments.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn panicked(file: *const u8, length: usize, line: u32) -> ! {
    // Otherwise the compiler passes none of them.
    hint::black_box((file, length, line));
    loop {
        hint::spin_loop();
    }
}
