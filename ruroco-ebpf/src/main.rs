//! The XDP program: decides about every packet before the kernel allocates anything for it.
//!
//! It answers nothing and allocates nothing; what it does not pass on untouched, it drops. The
//! checks stand in [`judge`] in the order of their cost, and everything they need is next door:
//! parsing in `ruroco_common::headers`, the packet's memory in [`frame`], the maps in [`tables`].
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the xdp macro makes a public function of its own"
)]

mod frame;
mod tables;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use ruroco_common::{
    datagram,
    headers::{self, Fault, Frame, Udp},
    verdict::Verdict,
};

use crate::frame::FrameCursor;

/// Entry point: judges one frame, counts the verdict and acts on it.
#[expect(clippy::needless_pass_by_value, reason = "the xdp macro calls it with a value")]
#[xdp]
pub fn ruroco(context: XdpContext) -> u32 {
    let verdict = judge(&context);
    tables::count(verdict);
    #[cfg(feature = "debug-log")]
    aya_log_ebpf::debug!(&context, "{}", verdict.name());
    if verdict == Verdict::NotOurs { xdp_action::XDP_PASS } else { xdp_action::XDP_DROP }
}

#[inline(always)]
fn judge(context: &XdpContext) -> Verdict {
    // 1. Only UDP to one of our addresses and our port is our business, and what claims to be UDP
    //    to one of our addresses but hides its port. What hides even that it could be is dropped.
    let udp = match headers::parse(FrameCursor::new(context)) {
        Frame::Udp(udp) if is_ours(&udp) => udp,
        Frame::Portless { destination, fault } if tables::is_our_address(&destination) => {
            return refused(fault);
        }
        Frame::Hidden => return Verdict::Malformed,
        Frame::Udp(_) | Frame::Portless { .. } | Frame::Other => return Verdict::NotOurs,
    };

    // 2. Fragments, and headers that lie.
    let mut payload = match udp.payload {
        Ok(payload) => payload,
        Err(fault) => return refused(fault),
    };

    // 3. Anything but a datagram's length.
    if usize::from(payload.length) != datagram::SIZE {
        return Verdict::WrongLength;
    }
    let Some(datagram) = payload.start.datagram() else { return Verdict::Malformed };

    // 4. Nobody's key.
    if !tables::is_key(&datagram.key_id) {
        return Verdict::UnknownKey;
    }

    // 5. A tag seen before on an authentic packet (replayed): not yet, the verifier's floors do it.
    // 6. A wrong tag (forged): not yet, the verifier finds it.

    // 7. Everything else is for the verifier.
    if tables::submit(context, &udp, datagram) { Verdict::Candidate } else { Verdict::RingFull }
}

#[inline(always)]
fn is_ours<C>(udp: &Udp<C>) -> bool {
    // The port first: comparing it costs less than looking an address up.
    tables::is_our_port(udp.destination_port) && tables::is_our_address(&udp.destination)
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
