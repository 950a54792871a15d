//! The record that the XDP program puts into the ring for every packet it lets through.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{address::Address, datagram::Datagram};

/// A packet that passed the kernel's checks and must still be opened and judged. Its size is
/// fixed: nothing the sender chooses makes a record longer.
///
/// Integers are in the byte order of this machine: the record never leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Candidate {
    /// When the packet was judged: nanoseconds of `CLOCK_BOOTTIME`
    /// (`bpf_ktime_get_boot_ns`, Linux 5.8).
    pub received_at: u64,
    /// Source address of the IP header.
    pub source: Address,
    /// Destination address of the IP header.
    pub destination: Address,
    /// Index of the interface the packet came in on.
    pub interface: u32,
    /// Source port of the UDP header.
    pub source_port: u16,
    /// Destination port of the UDP header.
    pub destination_port: u16,
    /// The UDP payload.
    pub datagram: Datagram,
    /// Always zero; fills the record to a multiple of 8 bytes, the ring's alignment.
    pub padding: [u8; 2],
}

/// Size in bytes of a record in the ring, without the ring's own 8-byte header.
pub const SIZE: usize = size_of::<Candidate>();

const _: () = assert!(SIZE == 144);
