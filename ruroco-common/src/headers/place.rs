//! Where a packet's UDP or TCP header lies, and what else the headers before it say.
//!
//! Many paths lead through those headers. Where they meet, the BPF verifier must find one state, or it follows each of
//! them to the end of the program; and the compiler must find little to carry on. So this is a few numbers, and
//! what else is needed of the headers is read when it is needed.

use super::Content;

/// What the headers before that of UDP or TCP say. Offsets and lengths are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) marks: Marks,
    /// Where the IP header begins in the frame.
    pub(super) network: usize,
    /// Where it, with its options and extensions, ends.
    pub(super) transport: usize,
    /// From there to the end of the packet.
    pub(super) length: usize,
}

/// What has no length: one number, for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks(usize);

const TCP: usize = 0;
const UDP: usize = 1;
const ENDLESS: usize = 2;
const INCOMPLETE: usize = 3;
const PORTLESS_TCP: usize = 4;
const PORTLESS_UDP: usize = 5;
const CONTENT: usize = 7;

const IPV6: usize = 8;
const FRAGMENT: usize = 16;
const MORE_FRAGMENTS: usize = 32;
const EXTENDED: usize = 64;

impl Place {
    /// With what the packet contains.
    #[inline(always)]
    pub(super) const fn with(self, content: Content) -> Self {
        Self { marks: self.marks.with(content), ..self }
    }

    /// The same, where all paths have met.
    #[inline(always)]
    pub(super) fn met(self, met: impl Fn(usize) -> usize) -> Self {
        let Self { marks: Marks(marks), network, transport, length } = self;
        Self {
            marks: Marks(met(marks)),
            network: met(network),
            transport: met(transport),
            length: met(length),
        }
    }
}

impl Marks {
    pub(super) const IPV4: Self = Self(0);
    pub(super) const IPV6: Self = Self(IPV6);

    /// With what the packet contains.
    #[inline(always)]
    pub(super) const fn with(self, content: Content) -> Self {
        let content = match content {
            Content::Tcp => TCP,
            Content::Udp => UDP,
            Content::Endless => ENDLESS,
            Content::Incomplete => INCOMPLETE,
            Content::PortlessTcp => PORTLESS_TCP,
            Content::PortlessUdp => PORTLESS_UDP,
        };
        Self(self.0 & !CONTENT | content)
    }

    /// With a fragment header, or others that follow.
    #[inline(always)]
    pub(super) const fn fragment(self, more: bool) -> Self {
        Self(self.0 | FRAGMENT | if more { MORE_FRAGMENTS } else { 0 })
    }

    /// With options or extension headers.
    #[inline(always)]
    pub(super) const fn extended(self) -> Self {
        Self(self.0 | EXTENDED)
    }

    #[inline(always)]
    pub(super) const fn content(self) -> Content {
        match self.0 & CONTENT {
            TCP => Content::Tcp,
            UDP => Content::Udp,
            ENDLESS => Content::Endless,
            INCOMPLETE => Content::Incomplete,
            PORTLESS_TCP => Content::PortlessTcp,
            _ => Content::PortlessUdp,
        }
    }

    #[inline(always)]
    pub(super) const fn is_ipv6(self) -> bool {
        self.0 & IPV6 != 0
    }

    /// Whether there is a fragment header, or others follow.
    #[inline(always)]
    pub(super) const fn is_fragment(self) -> bool {
        self.0 & FRAGMENT != 0
    }

    #[inline(always)]
    pub(super) const fn more_fragments(self) -> bool {
        self.0 & MORE_FRAGMENTS != 0
    }

    /// Whether there are neither options nor extension headers.
    #[inline(always)]
    pub(super) const fn is_plain(self) -> bool {
        self.0 & EXTENDED == 0
    }
}
