//! What the independent crate etherparse says about a frame.
//!
//! It is read strictly, but differs from the parser under test in what it knows and in what it
//! lets pass. Each difference is one field of [`Packet`], so that [`Packet::within_limits`] is the
//! complete list of them.
//!
//! The proof compiles this file for a machine without a standard library, so nothing here allocates.

use core::net::IpAddr;

use etherparse::{EtherType, Ipv6ExtensionSlice, NetSlice, SlicedPacket, TransportSlice};

/// Most extension headers that a packet may have; written out, so that the constant cannot change
/// unnoticed.
const MAX_EXTENSION_HEADERS: usize = 200;
/// Most bytes that they may have.
const MAX_EXTENSION_BYTES: usize = 12_000;
/// Most VLAN tags that a frame may have.
const MAX_VLAN_TAGS: usize = 400;
/// VLAN tags that are left for etherparse, which reads no more than three. Each has one of two types,
/// so that each doubles the number of paths that the proof must follow.
const VLAN_TAGS_LEFT: usize = if cfg!(target_os = "none") { 1 } else { 3 };

const VLAN_8021Q: u16 = 0x8100;
const VLAN_8021AD: u16 = 0x88a8;
/// An old type of VLAN tag, which Linux does not remove.
const VLAN_9100: u16 = 0x9100;
/// A tag of IEEE 802.1AE, which etherparse looks through.
const MACSEC: u16 = 0x88e5;

/// What follows the ports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Transport<'a> {
    /// The payload.
    Udp(&'a [u8]),
    /// The flags.
    Tcp(u8),
}

/// An unfragmented UDP or TCP packet that etherparse accepts.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) transport: Transport<'a>,
    /// The IP payload is as long as the UDP header says. Strict etherparse lets it be longer, and
    /// takes a UDP length of 0 to mean "all there is" (RFC 2675). TCP has no length.
    lengths_agree: bool,
    /// An IPv6 payload length of 0, which etherparse takes for a jumbogram's (RFC 2675), and Linux
    /// only before hop-by-hop options.
    empty: bool,
    /// UDP behind a fragment header that says that there is only one fragment (RFC 6946): a knock has none.
    atomic_fragment: bool,
    /// Extension headers in the chain, and their bytes; etherparse has no limit.
    extension_headers: usize,
    extension_bytes: usize,
    /// An authentication header (RFC 4302), which Linux reads only for an IPsec peer.
    authentication: bool,
    /// An IPv6 header with IPv4-mapped addresses, which must not be on the wire.
    mapped_address: bool,
}

impl Packet<'_> {
    /// Whether this is within what `headers` documents to read.
    pub(crate) fn within_limits(&self) -> bool {
        self.lengths_agree
            && !self.empty
            && !self.atomic_fragment
            && self.extension_headers <= MAX_EXTENSION_HEADERS
            && self.extension_bytes <= MAX_EXTENSION_BYTES
            && !self.authentication
            && !self.mapped_address
    }
}

/// The packet in the frame if etherparse accepts all of it, and it is UDP or TCP and no fragment.
pub(crate) fn read(frame: &[u8]) -> Option<Packet<'_>> {
    let (ether_type, rest) = with_few_vlan_tags(frame)?;
    let sliced = SlicedPacket::from_ether_type(ether_type, rest).ok()?;
    let net = sliced.net.as_ref()?;
    let ip_payload = net.ip_payload_ref()?;
    let (source_port, destination_port, transport, lengths_agree) = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            let agree = usize::from(udp.length()) == ip_payload.payload.len();
            (udp.source_port(), udp.destination_port(), Transport::Udp(udp.payload()), agree)
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let flags = Transport::Tcp(*tcp.slice().get(13)?);
            (tcp.source_port(), tcp.destination_port(), flags, true)
        }
        _ => return None,
    };
    let is_udp = matches!(transport, Transport::Udp(_));
    let mut packet = Packet {
        source: IpAddr::from([0; 4]),
        destination: IpAddr::from([0; 4]),
        source_port,
        destination_port,
        transport,
        lengths_agree,
        empty: false,
        atomic_fragment: false,
        extension_headers: 0,
        extension_bytes: 0,
        authentication: false,
        mapped_address: false,
    };
    match net {
        NetSlice::Ipv4(ip) => {
            packet.source = ip.header().source_addr().into();
            packet.destination = ip.header().destination_addr().into();
            packet.authentication = ip.extensions().auth.is_some();
        }
        NetSlice::Ipv6(ip) => {
            let addresses = [ip.header().source_addr(), ip.header().destination_addr()];
            packet.source = addresses[0].into();
            packet.destination = addresses[1].into();
            packet.mapped_address = addresses.iter().any(|a| a.to_ipv4_mapped().is_some());
            let header = ip.header();
            packet.empty = header.payload_length() == 0 && header.next_header().0 != 0;
            for extension in ip.extensions().clone() {
                packet.extension_headers += 1;
                packet.extension_bytes += size(&extension);
                packet.atomic_fragment |=
                    is_udp && matches!(extension, Ipv6ExtensionSlice::Fragment(_));
                packet.authentication |= matches!(extension, Ipv6ExtensionSlice::Authentication(_));
            }
        }
        NetSlice::Arp(_) => return None,
    }
    Some(packet)
}

fn size(extension: &Ipv6ExtensionSlice<'_>) -> usize {
    use Ipv6ExtensionSlice as Slice;
    match extension {
        Slice::HopByHop(header) | Slice::Routing(header) | Slice::DestinationOptions(header) => {
            header.slice().len()
        }
        Slice::Fragment(header) => header.slice().len(),
        Slice::Authentication(header) => header.slice().len(),
    }
}

/// The Ethernet type of the frame and what follows it, without the outer VLAN tags if there are more
/// than [`VLAN_TAGS_LEFT`]. `None` if there are too many for the parser, or if a
/// tag follows that etherparse reads and Linux does not.
pub(crate) fn with_few_vlan_tags(frame: &[u8]) -> Option<(EtherType, &[u8])> {
    let (types, _) = frame.get(12..)?.as_chunks::<4>();
    let is_tag = |[high, low, ..]: &&[u8; 4]| {
        let ether_type = u16::from_be_bytes([*high, *low]);
        // One condition, or the proof would have to follow two paths for each tag.
        u32::from(ether_type ^ VLAN_8021Q) * u32::from(ether_type ^ VLAN_8021AD) == 0
    };
    let count = types.iter().take_while(is_tag).count();
    let ether_type = |at: usize| {
        let (ether_type, rest) = frame.get(at..)?.split_first_chunk()?;
        Some((u16::from_be_bytes(*ether_type), rest))
    };
    let (innermost, _) = ether_type(12 + 4 * count)?;
    if count > MAX_VLAN_TAGS || innermost == VLAN_9100 || innermost == MACSEC {
        return None;
    }
    let (outermost, rest) = ether_type(12 + 4 * count.saturating_sub(VLAN_TAGS_LEFT))?;
    Some((EtherType(outermost), rest))
}
