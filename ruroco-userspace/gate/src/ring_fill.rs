//! The fill level of the ring of candidates, from the two positions that the kernel keeps in it
//! (`kernel/bpf/ringbuf.c`). Without it, a server that hangs would look like an idle server.

use std::{
    ffi::c_void,
    io,
    os::fd::BorrowedFd,
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::{
    mm::{MapFlags, ProtFlags, mmap, munmap},
    param::page_size,
};

use super::status::RingFill;

/// Reads the fill level of a ring, from which the server may be reading at the same time.
///
/// # Errors
/// If the descriptor is not that of a ring.
pub(super) fn of(ring: BorrowedFd<'_>) -> io::Result<RingFill> {
    // The consumer's first: what is written meanwhile is counted as waiting, and never less than nothing.
    let read = Page::map(ring, 0)?.first_word();
    let written = Page::map(ring, page_size())?.first_word();
    let number = |word: usize| u64::try_from(word).unwrap_or(u64::MAX);
    let waiting_bytes = number(written.wrapping_sub(read));
    Ok(RingFill { waiting_bytes, read_up_to: number(read) })
}

/// One page of a ring, mapped for reading and unmapped when dropped.
struct Page(*mut c_void);

impl Page {
    fn map(ring: BorrowedFd<'_>, offset: usize) -> io::Result<Self> {
        let offset = u64::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe {
            mmap(ptr::null_mut(), page_size(), ProtFlags::READ, MapFlags::SHARED, ring, offset)
        }?;
        Ok(Self(start))
    }

    fn first_word(&self) -> usize {
        // SAFETY: the first word of a page that is mapped for as long as `self` and aligned to a page.
        // It is mapped read-only and only ever loaded; others change it atomically.
        unsafe { AtomicUsize::from_ptr(self.0.cast()) }.load(Ordering::Acquire)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: what `mmap` returned, with its length; nothing refers to it any more.
        let _ = unsafe { munmap(self.0, page_size()) };
    }
}
