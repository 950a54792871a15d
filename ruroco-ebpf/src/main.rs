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

mod closed;
mod doors;
mod frame;
mod leases;
mod sockets;
mod tables;
mod words;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use ruroco_common::{
    address::Address,
    datagram,
    guarded::Guarded,
    headers::{self, Fault, Frame},
    keys::Check,
    verdict::{Outcome, Verdict},
};

use crate::frame::FrameCursor;

/// Entry point: judges one frame, counts the verdict and acts on it.
#[expect(clippy::needless_pass_by_value, reason = "the xdp macro calls it with a value")]
#[xdp]
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
    let udp = match headers::parse(FrameCursor::new(context), doors::scope()) {
        Frame::Other => return Verdict::NotOurs,
        Frame::Hidden => return doors::judge_hidden(),
        Frame::Udp(udp)
            if guarded.is_port(udp.destination_port) && guarded.is_address(&udp.destination) =>
        {
            udp
        }
        Frame::Udp(udp) => return doors::judge_udp(guarded, &udp),
        Frame::Tcp(tcp) => {
            let verdict = doors::judge_tcp(context, guarded, &tcp);
            if closed::look_closed()
                && matches!(verdict, Verdict::DoorClosed | Verdict::DoorLimited)
            {
                *is_answered = closed::may_be_answered(tcp.header);
            }
            return verdict;
        }
        Frame::Incomplete { destination } => {
            return incomplete(guarded, &destination, Verdict::Fragment);
        }
        Frame::Endless { destination } => {
            return incomplete(guarded, &destination, Verdict::Malformed);
        }
        Frame::Portless { destination, protocol } => {
            return doors::judge_portless(guarded, &destination, protocol);
        }
    };

    // 2. Fragments, and headers that lie.
    let mut payload = match udp.payload {
        Ok(payload) => payload,
        Err(fault) => return refused(fault),
    };

    // 3. Anything but a datagram's length.
    if usize::from(udp.length) != usize::from(headers::UDP_HEADER_SIZE) + datagram::SIZE {
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
        Check::Tag(..) => tables::submit_once(context, &udp, datagram),
        Check::Throttle(_) => tables::submit_unchecked(context, &udp, datagram),
    }
}

/// The verdict on what may turn out to be for us.
#[inline(always)]
fn incomplete(guarded: &Guarded, destination: &Address, verdict: Verdict) -> Verdict {
    if closed::look_closed() && doors::may_be_for_one(guarded, destination) {
        // The stack must not see it.
        Verdict::DoorFragment
    } else if guarded.is_address(destination) || doors::may_be_for_one(guarded, destination) {
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
