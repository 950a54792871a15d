//! The packet's memory as a [`Cursor`]: two addresses from the XDP context, one of which moves, and
//! how many bytes are left of the packet, which may end before the frame does.
//!
//! Every read is preceded by a comparison with `data_end`, in the form that the BPF verifier
//! recognises: the program reads from the address that it compared.

use aya_ebpf::programs::XdpContext;
use ruroco_common::{
    datagram::Datagram,
    headers::{Cursor, MAX_EXTENSION_BYTES, MAX_SKIP, MAX_VLAN_TAGS},
};

/// Masks an offset without changing it: Ethernet with VLAN tags, an IPv6 header and the longest
/// chain of extension headers end before 32 KiB. The verifier follows packet pointers up to 64 KiB
/// (`MAX_PACKET_OFF`).
const OFFSET_MASK: usize = 0x7fff;

/// Masks a frame's length without changing it: generic XDP may see aggregated frames of 64 KiB.
const FRAME_MASK: usize = 0x1_ffff;

/// Around and between the two parts of the longest chain: hop-by-hop options, a fragment header, and
/// in each part one header that goes beyond the limit.
const BETWEEN: usize = 8 + 3 * (8 + MAX_SKIP);

const _: () =
    assert!(14 + 4 * MAX_VLAN_TAGS + 40 + 2 * MAX_EXTENSION_BYTES + BETWEEN < OFFSET_MASK);

/// The last bits of a number, which has no others, by an instruction that shows this to the BPF verifier: it rejects the
/// addition of a number without bounds to a pointer. Before Linux 5.11, the verifier forgets the bounds of a number that
/// waits in the stack, or whose bytes are swapped. The compiler, which may know the bounds, would remove a mask.
#[inline(always)]
fn bounded<const MASK: usize>(number: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: the instruction changes only the register.
        unsafe {
            core::arch::asm!(
                "{} &= {mask}",
                inout(reg) number,
                mask = const MASK,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    number
}

/// A place in the frame under judgement.
#[derive(Clone, Copy)]
pub(crate) struct FrameCursor<'a> {
    start: *const u8,
    at: *const u8,
    /// Where the packet ends, and where the frame does.
    limit: *const u8,
    end: *const u8,
    /// Bytes between `at` and `limit`.
    left: usize,
    frame: core::marker::PhantomData<&'a XdpContext>,
}

impl<'a> FrameCursor<'a> {
    /// The frame's first byte.
    #[inline(always)]
    #[expect(clippy::as_conversions, reason = "the context gives addresses as integers")]
    pub(crate) fn new(context: &'a XdpContext) -> Self {
        Self {
            start: context.data() as *const u8,
            at: context.data() as *const u8,
            limit: context.data_end() as *const u8,
            end: context.data_end() as *const u8,
            left: context.data_end().wrapping_sub(context.data()) & FRAME_MASK,
            frame: core::marker::PhantomData,
        }
    }

    /// The next 94 bytes in place, without a copy.
    #[inline(always)]
    pub(crate) fn datagram(&mut self) -> Option<&'a Datagram> {
        let at = self.advance(size_of::<Datagram>())?;
        // SAFETY: `advance` has checked that these bytes are inside the frame, which lives as long
        // as the context; any bytes are a valid `Datagram`, whose alignment is 1.
        Some(unsafe { &*at.cast::<Datagram>() })
    }

    /// Changes the next `N` bytes, if the packet has them and there is a change.
    #[inline(always)]
    pub(crate) fn change<const N: usize>(
        &mut self,
        change: impl FnOnce([u8; N]) -> Option<[u8; N]>,
    ) -> Option<()> {
        let at = self.advance(N)?.cast_mut().cast::<[u8; N]>();
        // SAFETY: `advance` has checked that these bytes are inside the frame, which belongs to this program as long as
        // it runs; an array of bytes has no alignment and no invalid values.
        let bytes = unsafe { &mut *at };
        *bytes = change(*bytes)?;
        Some(())
    }

    /// Moves past `size` bytes if the packet has them; where they begin.
    #[inline(always)]
    fn advance(&mut self, size: usize) -> Option<*const u8> {
        let left = self.left.checked_sub(size)?;
        let next = self.at.wrapping_add(size);
        // The packet never ends behind the frame, but the verifier does not know that.
        if next > self.end {
            return None;
        }
        self.left = left;
        Some(core::mem::replace(&mut self.at, next))
    }
}

impl Cursor for FrameCursor<'_> {
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let at = self.advance(N)?;
        // SAFETY: `advance` has checked that these bytes are inside the frame; an array of bytes
        // has no alignment and no invalid values.
        Some(unsafe { *at.cast::<[u8; N]>() })
    }

    #[inline(always)]
    fn skip(&mut self, count: usize) -> Option<()> {
        if count > MAX_SKIP {
            return None;
        }
        self.advance(count).map(|_| ())
    }

    #[inline(always)]
    fn remaining(&self) -> usize {
        self.left
    }

    #[inline(always)]
    fn limit(&mut self, count: usize) -> Option<()> {
        if count > self.left {
            return None;
        }
        self.left = count;
        self.limit = self.at.wrapping_add(bounded::<FRAME_MASK>(count));
        Some(())
    }

    #[inline(always)]
    fn part(self, offset: usize, length: usize) -> Option<Self> {
        let at = self.start.wrapping_add(bounded::<OFFSET_MASK>(offset));
        let limit = at.wrapping_add(bounded::<FRAME_MASK>(length));
        Some(Self { at, limit, left: length, ..self })
    }

    #[inline(always)]
    #[cfg(target_arch = "bpf")]
    fn met(number: usize) -> usize {
        let met;
        // SAFETY: it copies one register to another.
        unsafe { core::arch::asm!("{} = {}", lateout(reg) met, in(reg) number) };
        met
    }

    /// The BPF verifier prunes a path when it meets a state it has seen, and the history of a pointer
    /// and the bounds of a number are part of that state. A pointer that is made from a masked offset
    /// has no history, and the difference of two pointers has no bounds but those of its mask.
    #[inline(always)]
    #[expect(clippy::as_conversions, reason = "addresses within one frame")]
    fn settle(&mut self) {
        self.left = (self.limit as usize).wrapping_sub(self.at as usize) & FRAME_MASK;
        let offset = (self.at as usize).wrapping_sub(self.start as usize);
        self.at = self.start.wrapping_add(offset & OFFSET_MASK);
    }
}
