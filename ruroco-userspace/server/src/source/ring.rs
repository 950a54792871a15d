//! The consumer's side of a BPF ring buffer (Linux 5.8, `kernel/bpf/ringbuf.c`), which a process
//! without any privilege may have once it was given the descriptor.
//!
//! The memory: one page with the consumer's position, which this process may write; one page with
//! the producer's position and then the data, mapped twice in a row so that no record ever wraps,
//! which it may only read. A record is an 8-byte header and the record's bytes.
//!
//! Rationale: decision 0005.

use std::{
    ffi::c_void,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use ruroco_common::candidate::{self, Candidate};
use rustix::{
    mm::{MapFlags, ProtFlags, mmap, munmap},
    param::page_size,
};
use zerocopy::transmute;

/// Set in a header while the kernel writes the record (`BPF_RINGBUF_BUSY_BIT`, linux/bpf.h).
const BUSY: u32 = 1 << 31;
/// Set in the header of a record that the reader must skip (`BPF_RINGBUF_DISCARD_BIT`, linux/bpf.h).
const DISCARD: u32 = 1 << 30;
/// Size in bytes of a record's header (`BPF_RINGBUF_HDR_SZ`, linux/bpf.h).
const HEADER_SIZE: usize = 8;

/// A ring, mapped.
#[derive(Debug)]
pub(super) struct Ring {
    descriptor: OwnedFd,
    consumer: Mapping,
    producer: Mapping,
    size: usize,
    /// The end of the record that was yielded last, whose place is not free yet.
    yielded_to: Option<usize>,
}

/// A record: the candidate in it, unless it is of another kind, and where it ends.
struct Record {
    candidate: Option<Candidate>,
    end: usize,
}

impl Ring {
    /// Maps the ring behind the descriptor; `size` is that of its data area in bytes.
    ///
    /// # Errors
    /// If it is not a ring of this size.
    pub(super) fn map(descriptor: OwnedFd, size: u32) -> io::Result<Self> {
        let wrong_size = || io::Error::new(io::ErrorKind::InvalidData, "invalid ring size");
        let page = page_size();
        let size = usize::try_from(size).map_err(|_| wrong_size())?;
        if !size.is_power_of_two() || size < page {
            return Err(wrong_size());
        }
        let data = size.checked_mul(2).and_then(|twice| twice.checked_add(page));
        let data = data.ok_or_else(wrong_size)?;
        let consumer =
            Mapping::new(descriptor.as_fd(), 0, page, ProtFlags::READ | ProtFlags::WRITE)?;
        let producer = Mapping::new(descriptor.as_fd(), page, data, ProtFlags::READ)?;
        Ok(Self { descriptor, consumer, producer, size, yielded_to: None })
    }

    /// The next candidate. Its place becomes free only when this is called again: should this process end
    /// before, the record is there again for its successor.
    pub(super) fn next(&mut self) -> Option<Candidate> {
        loop {
            self.free_yielded();
            let Record { candidate, end } = self.record()?;
            self.yielded_to = Some(end);
            if candidate.is_some() {
                return candidate;
            }
        }
    }

    fn free_yielded(&mut self) {
        if let Some(end) = self.yielded_to.take() {
            // Release: the kernel may write over the record only after it was read.
            self.consumed().store(end, Ordering::Release);
        }
    }

    fn record(&self) -> Option<Record> {
        let at = self.consumed().load(Ordering::Relaxed);
        // Acquire: what the kernel wrote before it moved the position is seen after this.
        let produced = self.produced().load(Ordering::Acquire);
        let available = produced.wrapping_sub(at);
        if available == 0 {
            return None;
        }
        let offset = at & self.size.wrapping_sub(1);
        if available > self.size || !offset.is_multiple_of(HEADER_SIZE) {
            return self.resynchronise(produced);
        }
        // Acquire: the record is read only after its header no longer says that it is written.
        let header = self.header(offset).load(Ordering::Acquire);
        if header & BUSY != 0 {
            return None;
        }
        let length = usize::try_from(header & !DISCARD).unwrap_or(usize::MAX);
        let Some(used) = length.checked_next_multiple_of(HEADER_SIZE) else {
            return self.resynchronise(produced);
        };
        let used = used.saturating_add(HEADER_SIZE);
        if used > available {
            return self.resynchronise(produced);
        }
        let is_candidate = header & DISCARD == 0 && length == candidate::SIZE;
        let candidate = is_candidate.then(|| self.candidate(offset));
        Some(Record { candidate, end: at.wrapping_add(used) })
    }

    /// Gives up what is in the ring: a predecessor has left a position that cannot be.
    fn resynchronise(&self, produced: usize) -> Option<Record> {
        self.consumed().store(produced, Ordering::Release);
        None
    }

    fn consumed(&self) -> &AtomicUsize {
        // SAFETY: the first word of the consumer's page, mapped for as long as `self` and aligned
        // to a page; whoever else has it mapped (the kernel, a predecessor that still lives) also
        // accesses it atomically, and no value in it is taken for granted.
        unsafe { AtomicUsize::from_ptr(self.consumer.start.cast()) }
    }

    fn produced(&self) -> &AtomicUsize {
        // SAFETY: the first word of the producer's page, mapped for as long as `self` and aligned
        // to a page. It is mapped read-only and only ever loaded.
        unsafe { AtomicUsize::from_ptr(self.producer.start.cast()) }
    }

    /// `offset` is less than the ring's size and a multiple of 8.
    fn header(&self, offset: usize) -> &AtomicU32 {
        let header = self.data(offset).cast::<u32>().cast_mut();
        // SAFETY: within the data area, which is longer than `offset` by at least the ring's size,
        // and aligned to 8 bytes. It is mapped read-only and only ever loaded.
        unsafe { AtomicU32::from_ptr(header) }
    }

    /// `offset` is that of a header that says a candidate follows.
    fn candidate(&self, offset: usize) -> Candidate {
        let record = self.data(offset.wrapping_add(HEADER_SIZE)).cast::<[u8; candidate::SIZE]>();
        // SAFETY: the data area is mapped twice in a row, so a record that begins in its first
        // half is whole; the kernel leaves it alone until the consumer's position has passed it.
        let bytes = unsafe { ptr::read(record) };
        transmute!(bytes)
    }

    fn data(&self, offset: usize) -> *const u8 {
        self.producer.start.cast::<u8>().wrapping_add(page_size()).wrapping_add(offset)
    }
}

impl Drop for Ring {
    /// What was yielded has been judged by now.
    fn drop(&mut self) {
        self.free_yielded();
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Memory shared with the kernel, unmapped when dropped.
#[derive(Debug)]
struct Mapping {
    start: *mut c_void,
    length: usize,
}

impl Mapping {
    fn new(
        descriptor: BorrowedFd<'_>,
        offset: usize,
        length: usize,
        protection: ProtFlags,
    ) -> io::Result<Self> {
        let offset = u64::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe {
            mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, descriptor, offset)?
        };
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing that borrows from it outlives the
        // ring it belongs to.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}
