//! The benchmark's flood: an XDP program that nothing is ever received by. The kernel runs it on
//! frames that it makes itself (`BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18) and sends on what the
//! program has made of them, several times faster than sockets could.
//!
//! A page that has been sent and dropped comes back with what was last written into it, so every
//! field that varies is written every time. Next to it are the two programs that do nothing: what
//! they cost is what any XDP program costs.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the xdp macro makes a public function of its own and calls it with a value"
)]

#[allow(dead_code, reason = "some of it is for the benchmark, which includes this file too")]
mod frame;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::bpf_get_prandom_u32,
    macros::{map, xdp},
    maps::Array,
    programs::XdpContext,
};

use crate::frame::{Frame, KeyId, MAX_KEYS, Plan, Random};

#[map]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);
#[map]
static KEY_IDS: Array<KeyId> = Array::with_max_entries(MAX_KEYS, 0);

/// Writes one frame and sends it out of the interface that it came in on.
#[xdp]
pub fn flood(context: XdpContext) -> u32 {
    let (Some(frame), Some(plan)) = (frame_of(&context), PLAN.get(0)) else {
        return xdp_action::XDP_ABORTED;
    };
    // SAFETY: a helper without arguments; available to XDP programs.
    let seed = unsafe { bpf_get_prandom_u32() };
    let Some(key_id) = KEY_IDS.get(seed.checked_rem(plan.keys).unwrap_or(0)) else {
        return xdp_action::XDP_ABORTED;
    };
    frame.write(plan, key_id, &mut Random::new(seed));
    xdp_action::XDP_TX
}

/// The floor of what dropping costs.
#[xdp]
pub fn drop_all(_context: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// The floor of what passing costs.
#[xdp]
pub fn pass_all(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[inline(always)]
#[expect(clippy::as_conversions, reason = "the context gives addresses as integers")]
#[expect(clippy::mut_from_ref, reason = "the frame is the program's, the context only tells where")]
fn frame_of(context: &XdpContext) -> Option<&mut Frame> {
    let start = context.data() as *mut Frame;
    if start.wrapping_add(1) > context.data_end() as *mut Frame {
        return None;
    }
    // SAFETY: the whole of it is inside the frame, as was just checked, which nobody else looks at
    // while the program runs; frames begin at an even address and any bytes are a valid `Frame`.
    Some(unsafe { &mut *start })
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
