//! What must hold of the parser for any frame, whatever is in it. Each function fails loudly.
//!
//! The property tests ask it of generated frames, and the fuzz target `headers`, which includes this
//! file, of frames that the fuzzer finds.

use std::{cell::Cell, net::IpAddr};

use etherparse::{Ipv6ExtensionSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use ruroco_common::{
    address::Address,
    headers::{
        self, Cursor, Frame, MAX_EXTENSION_HEADERS, MAX_SKIP, MAX_VLAN_TAGS, Protocol, Scope, Tcp,
        UDP_HEADER_SIZE, Udp,
    },
};

use super::{content, oracle};

/// Accepted is what etherparse accepts within the documented limits, and the same is found in it.
pub(crate) fn agrees_with_etherparse(frame: &[u8]) {
    assert_eq!(content::ours(frame), content::theirs(frame), "ours and etherparse's");
}

/// All that the parser can find in a frame.
pub(crate) fn parse(frame: &[u8]) -> Frame<&[u8]> {
    headers::parse(frame, Scope::UdpAndTcp)
}

/// Where TCP is not needed, it is [`Frame::Other`]; all else stays the same.
pub(crate) fn tcp_is_other_where_it_is_not_needed(frame: &[u8]) {
    let found = parse(frame);
    let is_of_tcp = matches!(found, Frame::Tcp(_) | Frame::Portless { .. });
    let expected = if is_of_tcp { Frame::Other } else { found };
    assert_eq!(headers::parse(frame, Scope::Udp), expected);
}

/// Wherever etherparse, at its most lenient, sees a UDP or TCP packet that Linux might deliver, the parser at
/// least sees one to the same destination: otherwise the gate would let it pass.
pub(crate) fn is_no_way_round(frame: &[u8]) {
    let Some(expected) = ports_at_first_sight(frame) else { return };
    let found = match parse(frame) {
        found @ (Frame::Other | Frame::Hidden) => panic!("{expected:?} is {found:?}"),
        Frame::Endless { destination }
        | Frame::Incomplete { destination }
        | Frame::Portless { destination, .. } => {
            assert_eq!(destination, expected.1);
            return;
        }
        Frame::Udp(udp) => (Protocol::Udp, udp.addresses.destination, udp.ports.destination),
        Frame::Tcp(tcp) => (Protocol::Tcp, tcp.addresses.destination, tcp.ports.destination),
    };
    assert_eq!(found, expected);
}

/// Destination and port of what lenient etherparse takes for UDP or TCP. Left out is what it reads and Linux
/// does not:
/// - It goes by the version in the IP header, Linux by the Ethernet type.
/// - It takes an IPv6 payload length of 0 for a jumbogram's, Linux only before hop-by-hop options.
/// - It follows a second fragment header, and one in a packet with a payload length of 0.
/// - It reads authentication headers, Linux only those of an IPsec peer; and hop-by-hop options
///   anywhere.
/// - It reads on where the frame is shorter than the IP header says, in a first fragment that no
///   other can follow, and in packets from or to an IPv4-mapped address.
fn ports_at_first_sight(frame: &[u8]) -> Option<(Protocol, Address, u16)> {
    let (ether_type, rest) = oracle::with_few_vlan_tags(frame)?;
    let sliced = LaxSlicedPacket::from_ether_type(ether_type, rest);
    let (protocol, least, port) = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => (Protocol::Udp, 8, udp.destination_port()),
        Some(TransportSlice::Tcp(tcp)) => (Protocol::Tcp, 20, tcp.destination_port()),
        _ => return None,
    };
    let (header, ethertype, destination) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let total_length = usize::from(ip.header().total_len());
            let packet = &frame[position(frame, ip.header().slice())..];
            let is_too_short = total_length < ip.header().slice().len() + least;
            if is_too_short || total_length > packet.len() || ip.extensions().auth.is_some() {
                return None;
            }
            (ip.header().slice(), 0x0800_u16, IpAddr::from(ip.header().destination()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let (header, length) = (ip.header(), ip.header().payload_length());
            let mut fragments = Vec::new();
            for (place, extension) in ip.extensions().clone().into_iter().enumerate() {
                match extension {
                    Ipv6ExtensionSlice::Fragment(fragment) => fragments.push(fragment),
                    Ipv6ExtensionSlice::Authentication(_) => return None,
                    Ipv6ExtensionSlice::HopByHop(_) if place != 0 => return None,
                    Ipv6ExtensionSlice::HopByHop(_)
                    | Ipv6ExtensionSlice::Routing(_)
                    | Ipv6ExtensionSlice::DestinationOptions(_) => {}
                }
            }
            let addresses = [header.source_addr(), header.destination_addr()];
            let packet = &frame[position(frame, header.slice())..];
            if 40 + usize::from(length) > packet.len() {
                return None;
            }
            let is_read_by_linux = match fragments[..] {
                [] => length != 0 || header.next_header().0 == 0,
                [ref fragment] => {
                    length != 0 && (!fragment.more_fragments() || length.is_multiple_of(8))
                }
                _ => false,
            };
            if !is_read_by_linux || addresses.iter().any(|a| a.to_ipv4_mapped().is_some()) {
                return None;
            }
            (header.slice(), 0x86dd, IpAddr::from(header.destination()))
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let at = position(frame, header);
    let is_as_announced = frame[..at].ends_with(&ethertype.to_be_bytes());
    is_as_announced.then(|| (protocol, destination.into(), port))
}

/// Where a part of the frame begins.
fn position(frame: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - frame.as_ptr().addr()
}

/// What lies behind the frame in memory is never read, and the parse comes to an end in time.
pub(crate) fn stays_within(frame: &[u8], behind: &[u8]) {
    let memory = [frame, behind].concat();
    let (watched, _) = parse_watched(&memory, frame.len());
    assert_eq!(watched, parse(frame), "with {} bytes behind", behind.len());
}

/// Bytes that were not read have no say in the result.
pub(crate) fn depends_on_what_it_read(frame: &[u8], flip: u8) {
    let (before, read) = parse_watched(frame, frame.len());
    let mut changed = frame.to_vec();
    changed[read..].iter_mut().for_each(|byte| *byte ^= flip);
    let (after, read_again) = parse_watched(&changed, changed.len());
    assert_eq!((shape(before), read), (shape(after), read_again), "bytes from {read} on changed");
}

/// A frame that was cut short is not accepted, or has the payload that the whole one has.
pub(crate) fn is_no_better_cut_short(frame: &[u8]) {
    let whole = parse(frame);
    for length in 0..frame.len() {
        let cut = parse(&frame[..length]);
        if let Some(content) = payload(&cut) {
            assert_eq!(Some(content), payload(&whole), "cut to {length} bytes");
        }
    }
}

/// The payload's bytes, if there is one.
pub(crate) fn payload<'a>(frame: &Frame<&'a [u8]>) -> Option<&'a [u8]> {
    let Frame::Udp(udp) = frame else { return None };
    udp.payload.ok().map(|payload| &payload[..usize::from(udp.length - UDP_HEADER_SIZE)])
}

/// The result without the bytes behind the headers.
pub(crate) fn shape(frame: Frame<&[u8]>) -> Frame<()> {
    with_place(frame, |_, _| ())
}

/// Ethernet, VLAN tags, an IPv6 header, two moves for each extension header, of which there are as many before a fragment
/// header as behind it; then two addresses, the ports, and what else is asked of UDP or TCP.
const MOST_MOVES: usize = 1 + MAX_VLAN_TAGS + 1 + 2 + 4 * (MAX_EXTENSION_HEADERS + 1) + 1 + 2 + 2;

/// What a parse did to its cursor.
#[derive(Default)]
struct Watch {
    moves: Cell<usize>,
    furthest: Cell<usize>,
}

/// A cursor over a frame that lies within other memory, as in the kernel: it knows where the frame
/// ends and that more lies behind.
#[derive(Clone, Copy)]
struct Watched<'a> {
    memory: &'a [u8],
    at: usize,
    end: usize,
    came_up_short: bool,
    watch: &'a Watch,
}

impl Watched<'_> {
    fn advance(&mut self, count: usize) -> Option<usize> {
        assert!(!self.came_up_short, "read on after the frame had ended");
        self.watch.moves.set(self.watch.moves.get() + 1);
        if count > self.remaining() {
            self.came_up_short = true;
            return None;
        }
        let from = self.at;
        self.at += count;
        self.watch.furthest.set(self.watch.furthest.get().max(self.at));
        Some(from)
    }
}

impl Cursor for Watched<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let from = self.advance(N)?;
        self.memory[from..].first_chunk().copied()
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        assert!(count <= MAX_SKIP, "skips {count} bytes");
        self.advance(count).map(|_| ())
    }

    fn remaining(&self) -> usize {
        self.end - self.at
    }

    fn limit(&mut self, count: usize) -> Option<()> {
        (count <= self.remaining()).then(|| self.end = self.at + count)
    }

    fn part(self, offset: usize, length: usize) -> Option<Self> {
        let at = self.at + offset;
        (at + length <= self.end).then(|| Self { at, end: at + length, ..self })
    }
}

/// Parses the first `end` bytes of `memory`; the result as if from a slice, and how far it read.
pub(crate) fn parse_watched(memory: &[u8], end: usize) -> (Frame<&[u8]>, usize) {
    let watch = Watch::default();
    let parsed = headers::parse(
        Watched { memory, at: 0, end, came_up_short: false, watch: &watch },
        Scope::UdpAndTcp,
    );
    assert!(watch.moves.get() <= MOST_MOVES, "{} moves", watch.moves.get());
    assert!(watch.furthest.get() <= end);
    let result = with_place(parsed, |place, length| {
        assert!(place.at + length <= end, "a payload beyond the frame");
        &memory[place.at..place.end]
    });
    (result, watch.furthest.get())
}

/// The same result with something else for the place of its payload or TCP header, of which so many bytes must be there.
fn with_place<A, B>(frame: Frame<A>, place: impl FnOnce(A, usize) -> B) -> Frame<B> {
    match frame {
        Frame::Other => Frame::Other,
        Frame::Hidden => Frame::Hidden,
        Frame::Endless { destination } => Frame::Endless { destination },
        Frame::Incomplete { destination } => Frame::Incomplete { destination },
        Frame::Portless { destination, protocol } => Frame::Portless { destination, protocol },
        Frame::Tcp(Tcp { addresses, ports, flags, more_fragments, is_plain, header }) => {
            let header = place(header, if flags.is_some() { 14 } else { 4 });
            Frame::Tcp(Tcp { addresses, ports, flags, more_fragments, is_plain, header })
        }
        Frame::Udp(Udp { addresses, ports, length, payload }) => {
            let payload = payload.map(|start| place(start, (length - UDP_HEADER_SIZE).into()));
            Frame::Udp(Udp { addresses, ports, length, payload })
        }
    }
}
