//! Additions that no other CPU can interrupt.
//!
//! The compiler offers none for BPF, because kernels before 5.12 know only these two instructions, which do not return
//! the sum.

/// Adds one.
///
/// # Safety
/// The word may be written to, and is aligned.
#[inline(always)]
pub(crate) unsafe fn increment_u32(word: *mut u32) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as the caller guarantees.
    unsafe {
        core::arch::asm!("lock *(u32 *)({} + 0) += {}", in(reg) word, in(wreg) 1_u32);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: as the caller guarantees.
    unsafe {
        word.write(word.read().wrapping_add(1));
    }
}

/// Adds one.
///
/// # Safety
/// As for [`increment_u32`].
#[inline(always)]
pub(crate) unsafe fn increment_u64(word: *mut u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as the caller guarantees.
    unsafe {
        core::arch::asm!("lock *(u64 *)({} + 0) += {}", in(reg) word, in(reg) 1_u64);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: as the caller guarantees.
    unsafe {
        word.write(word.read().wrapping_add(1));
    }
}
