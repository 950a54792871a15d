//! Closed doors that look like ports without a listener.
//!
//! What a closed door rejects goes to the network stack, without what requests a connection: the XDP program alone keeps
//! the door closed. The stack would still find the listener behind the door, which answers differently from a closed port.
//! So a second program, which the stack asks when it looks for a listener, hides the listener from everyone without a
//! lease. If that program is missing, the door looks filtered.

use core::mem::offset_of;

use aya_ebpf::{
    EbpfContext, Global,
    bindings::{
        bpf_sk_lookup,
        sk_action::{SK_DROP, SK_PASS},
    },
    macros::sk_lookup,
    programs::SkLookupContext,
};
use ruroco_common::{
    address::Address,
    answered,
    doors::HANDSHAKE_GRACE,
    headers::{Flags, Packet},
};

use crate::{clock, doors, frame::FrameCursor, leases, tables};

/// Whether closed doors look like ports without a listener. The gate sets it before the program is loaded.
#[unsafe(no_mangle)]
static DOORS_LOOK_CLOSED: Global<u8> = Global::new(0);

/// `IPPROTO_TCP` (linux/in.h), `AF_INET` (linux/socket.h).
const TCP: u32 = 6;
const IPV4: u32 = 2;

/// Whether closed doors look like ports without a listener.
#[inline(always)]
pub(crate) fn look_closed() -> bool {
    DOORS_LOOK_CLOSED.load() != 0
}

/// Whether no answer to a segment would be that of a port without a listener. Of a segment in fragments, and behind options,
/// the stack may send an error that quotes it. If the request has been taken out, that shows. A door that is to look like
/// other ports must not drop these alone.
#[inline(always)]
pub(crate) fn is_unanswerable(packet: &Packet<FrameCursor<'_>>) -> bool {
    match packet.flags() {
        Flags::Read(flags) => {
            doors::is_request(flags) && (packet.more_fragments() || !packet.is_plain())
        }
        Flags::Elsewhere => true,
        Flags::Discarded => false,
    }
}

/// Takes the request for a connection out of a TCP segment to a closed door. Whether the segment may go to the stack.
#[inline(always)]
pub(crate) fn may_be_answered(mut header: FrameCursor<'_>) -> bool {
    header.change(answered::without_request).is_some() && tables::may_pass_refused()
}

/// Entry point: whether a packet finds the listeners of this host.
#[expect(clippy::needless_pass_by_value, reason = "the sk_lookup macro calls it with a value")]
#[sk_lookup]
pub fn ruroco_lookup(context: SkLookupContext) -> u32 {
    if Lookup::of(&context).is_hidden() { SK_DROP } else { SK_PASS }
}

/// What the stack looks for.
struct Lookup {
    protocol: u32,
    source: Address,
    port: u32,
    interface: u32,
}

impl Lookup {
    /// The kernel's verifier takes only reads of whole fields, at fixed places.
    #[inline(always)]
    fn of(context: &SkLookupContext) -> Self {
        let lookup: *const u8 = context.as_ptr().cast_const().cast();
        let field = |offset| {
            let field: *const u32 = lookup.wrapping_add(offset).cast();
            // SAFETY: the kernel gave the address of a `bpf_sk_lookup`, and `offset` is that of one of its words, which
            // exist for each lookup.
            unsafe { field.read_volatile() }
        };
        let [protocol, port, interface] = [
            field(offset_of!(bpf_sk_lookup, protocol)),
            field(offset_of!(bpf_sk_lookup, local_port)),
            field(offset_of!(bpf_sk_lookup, ingress_ifindex)),
        ];
        let ipv4 = field(offset_of!(bpf_sk_lookup, remote_ip4));
        let ipv6 = offset_of!(bpf_sk_lookup, remote_ip6);
        let ipv6 = [
            field(ipv6),
            field(ipv6.wrapping_add(4)),
            field(ipv6.wrapping_add(8)),
            field(ipv6.wrapping_add(12)),
        ];
        let source = if field(offset_of!(bpf_sk_lookup, family)) == IPV4 {
            Address::from_ipv4(ipv4.to_ne_bytes())
        } else {
            Address::from_words(ipv6)
        };
        Self { protocol, source, port, interface }
    }

    /// Whether the listener, if there is one, is behind a door that is closed to this source. The last packet of a
    /// handshake may come after the end of the lease.
    #[inline(always)]
    fn is_hidden(&self) -> bool {
        if self.protocol != TCP {
            return false;
        }
        let Ok(port) = u16::try_from(self.port) else { return false };
        let Some(door) = doors::of_tcp_port(port) else { return false };
        if !tables::is_door_interface(self.interface) || doors::are_disarmed() {
            return false;
        }
        let Some(lease) = leases::of(door, self.source) else { return true };
        let now = clock::now();
        lease.until() <= now && lease.admitted_at().saturating_add(HANDSHAKE_GRACE) <= now
    }
}
