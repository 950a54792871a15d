//! The XDP program: decides about every packet before the kernel allocates anything for it.
//!
//! It answers nothing and allocates nothing; what it does not pass on untouched, it drops, unless [`closed`] doors are to
//! be answered. The
//! checks stand in [`judge`] in the order of their cost, and everything they need is next door:
//! parsing in `ruroco_common::headers`, the packet's memory in [`frame`], the maps in [`tables`]. What is not for
//! the gate's own port may be for a door: [`doors`].
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the xdp macro makes a public function of its own"
)]

mod clock;
mod closed;
mod doors;
mod frame;
mod leases;
mod sockets;
mod tables;
mod words;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use ruroco_common::{
    datagram,
    guarded::Guarded,
    headers::{self, Addresses, Content, Fault, Located, Packet, Ports, Protocol, UDP_HEADER_SIZE},
    keys::Check,
    verdict::{Outcome, Verdict},
};

use crate::frame::FrameCursor;

/// Entry point: judges one frame, counts the verdict and acts on it.
#[expect(clippy::needless_pass_by_value, reason = "the xdp macro calls it with a value")]
#[xdp]
#[inline(always)]
pub fn ruroco(context: XdpContext) -> u32 {
    let mut is_answered = false;
    let verdict = judge(&context, &mut is_answered);
    tables::count(verdict);
    #[cfg(feature = "debug-log")]
    aya_log_ebpf::debug!(&context, "{}", verdict.name());
    let passes = match verdict.outcome() {
        Outcome::Pass => true,
        Outcome::Refuse => tables::may_pass_refused(),
        Outcome::Close => is_answered,
        Outcome::Take => false,
    };
    if passes { xdp_action::XDP_PASS } else { xdp_action::XDP_DROP }
}

/// `is_answered` is set if the stack is to answer a packet to a closed door.
#[inline(always)]
fn judge(context: &XdpContext, is_answered: &mut bool) -> Verdict {
    // 1. Only UDP to one of our addresses and our port is our business, and what may turn out to
    //    be such a packet although its port cannot be read.
    let Some(guarded) = tables::guarded() else { return Verdict::NotOurs };
    let packet = match headers::locate(FrameCursor::new(context), doors::scope()) {
        Located::Other => return Verdict::NotOurs,
        Located::Hidden => return doors::judge_hidden(),
        Located::Packet(packet) => packet,
    };
    let protocol = match packet.content() {
        Content::Udp => Protocol::Udp,
        Content::Tcp => Protocol::Tcp,
        Content::Endless => return incomplete(guarded, &packet, Verdict::Malformed),
        Content::Incomplete => return incomplete(guarded, &packet, Verdict::Fragment),
        Content::PortlessTcp => return doors::judge_portless(guarded, &packet, Protocol::Tcp),
        Content::PortlessUdp => return doors::judge_portless(guarded, &packet, Protocol::Udp),
    };
    let Some(ports) = packet.ports() else {
        return if packet.may_have_ports_elsewhere() {
            doors::judge_portless(guarded, &packet, protocol)
        } else {
            Verdict::NotOurs
        };
    };
    if protocol == Protocol::Tcp {
        let verdict = doors::judge_tcp(context, guarded, &packet, ports);
        if closed::look_closed() && matches!(verdict, Verdict::DoorClosed | Verdict::DoorLimited) {
            *is_answered = packet.header().is_some_and(closed::may_be_answered);
        }
        return verdict;
    }
    if !guarded.is_port(ports.destination) {
        return doors::judge_udp(guarded, &packet, ports);
    }
    let Some(addresses) = packet.addresses() else { return Verdict::NotOurs };
    if !guarded.is_address(&addresses.destination) {
        return doors::judge_udp(guarded, &packet, ports);
    }
    judge_knock(context, guarded, &packet, &addresses, ports)
}

/// The judgement on what has been sent to us.
#[inline(always)]
fn judge_knock(
    context: &XdpContext,
    guarded: &Guarded,
    packet: &Packet<FrameCursor<'_>>,
    addresses: &Addresses,
    ports: Ports,
) -> Verdict {
    // 2. Fragments, and headers that lie.
    let Some(length) = packet.udp_length() else { return Verdict::Malformed };
    let mut payload = match packet.payload(length) {
        Ok(payload) => payload,
        Err(fault) => return refused(fault),
    };

    // 3. Anything but a datagram's length.
    if usize::from(length) != usize::from(UDP_HEADER_SIZE).wrapping_add(datagram::SIZE) {
        return Verdict::WrongLength;
    }
    let Some(datagram) = payload.datagram() else { return Verdict::Malformed };

    match tables::check(guarded, datagram.key_id) {
        // 4. Nobody's key.
        Check::NoKey => Verdict::UnknownKey,
        // 5. A tag seen before on an authentic packet.
        Check::Tag(..) if tables::was_seen(datagram) => Verdict::Replayed,
        // 6. A wrong tag; where the kernel cannot tell, too many packets.
        Check::Tag(key, _) if !key.verifies(datagram) => Verdict::Forged,
        Check::Throttle(slot) if !tables::may_pass_unchecked(slot) => Verdict::Throttled,
        // 7. So many authentic packets that other keys would find no room.
        Check::Tag(_, slot) if !tables::is_within_share(guarded, slot) => Verdict::OverShare,
        // 8. Everything else is for the verifier.
        Check::Tag(..) => tables::submit_once(context, addresses, ports, datagram),
        Check::Throttle(_) => tables::submit_unchecked(context, addresses, ports, datagram),
    }
}

/// The verdict on what may turn out to be for us.
#[inline(always)]
fn incomplete(guarded: &Guarded, packet: &Packet<FrameCursor<'_>>, verdict: Verdict) -> Verdict {
    let Some(Addresses { destination, .. }) = packet.addresses() else { return Verdict::NotOurs };
    if closed::look_closed() && doors::may_be_for_one(guarded, &destination) {
        // The stack must not see it.
        Verdict::DoorFragment
    } else if guarded.is_address(&destination) || doors::may_be_for_one(guarded, &destination) {
        verdict
    } else {
        Verdict::NotOurs
    }
}

#[inline(always)]
fn refused(fault: Fault) -> Verdict {
    match fault {
        Fault::Malformed => Verdict::Malformed,
        Fault::Fragment => Verdict::Fragment,
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here can panic: the verifier would have refused a loop without end.
    loop {}
}

/// Read by the kernel: only GPL-compatible programs may use some helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
