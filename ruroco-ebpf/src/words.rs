//! Words in maps, which other CPUs and the gate may read and write at the same time.
//!
//! All addresses that these functions get are of values in maps: they are aligned, and stay valid as long as the
//! program runs. Words are not torn. The compiler offers no atomic additions for BPF; kernels before 5.12 know only
//! the two instructions used here, which do not return the sum.

/// A field of a value.
#[inline(always)]
pub(crate) const fn field<S, T>(value: *mut S, offset: usize) -> *mut T {
    value.wrapping_byte_add(offset).cast()
}

/// What a word is now.
#[inline(always)]
pub(crate) fn read<T: Copy>(word: *mut T) -> T {
    // SAFETY: see the module.
    unsafe { word.read_volatile() }
}

/// Changes a word.
#[inline(always)]
pub(crate) fn write<T>(word: *mut T, value: T) {
    // SAFETY: see the module.
    unsafe { word.write_volatile(value) }
}

/// Adds one, without losing what other CPUs add.
#[inline(always)]
pub(crate) fn increment_u32(word: *mut u32) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: see the module.
    unsafe {
        core::arch::asm!("lock *(u32 *)({} + 0) += {}", in(reg) word, in(wreg) 1_u32);
    }
    #[cfg(not(target_arch = "bpf"))]
    write(word, read(word).wrapping_add(1));
}

/// The same for a longer word.
#[inline(always)]
pub(crate) fn increment_u64(word: *mut u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: see the module.
    unsafe {
        core::arch::asm!("lock *(u64 *)({} + 0) += {}", in(reg) word, in(reg) 1_u64);
    }
    #[cfg(not(target_arch = "bpf"))]
    write(word, read(word).wrapping_add(1));
}
