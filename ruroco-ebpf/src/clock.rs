//! The boot clock, and a faster way to read it.
//!
//! Reading the clock costs more than finding a flow. A live flow needs no more than to know that minutes have not
//! passed. So each CPU keeps its last reading for as long as the kernel's timer has not ticked since: 1 to 10
//! milliseconds, in which the machine may have slept.

use core::mem::offset_of;

use aya_ebpf::{
    helpers::{bpf_jiffies64, bpf_ktime_get_boot_ns},
    macros::map,
    maps::PerCpuArray,
};

use crate::words;

/// When this CPU has last read the clock.
#[derive(Clone, Copy)]
#[repr(C)]
struct Reading {
    /// Ticks of the kernel's timer; 0 for never.
    ticks: u64,
    /// Nanoseconds on the boot clock.
    boot: u64,
}

#[map]
static LAST_READING: PerCpuArray<Reading> = PerCpuArray::with_max_entries(1, 0);

/// Nanoseconds on the boot clock (`CLOCK_BOOTTIME`).
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: a helper without arguments; available to XDP programs.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The same at the last tick of the kernel's timer, or later.
#[inline(always)]
pub(crate) fn roughly_now() -> u64 {
    let Some(last) = LAST_READING.get_ptr_mut(0) else { return now() };
    // SAFETY: a helper without arguments; available to XDP programs.
    let ticks = unsafe { bpf_jiffies64() };
    let last_ticks = words::field(last, offset_of!(Reading, ticks));
    let last_boot = words::field(last, offset_of!(Reading, boot));
    if words::read(last_ticks) == ticks {
        return words::read(last_boot);
    }
    let now = now();
    // In this order: a program that interrupts this one finds no new ticks with an old time.
    words::write(last_boot, now);
    words::write(last_ticks, ticks);
    now
}
