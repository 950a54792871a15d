//! What the independent crate etherparse says about a frame.
//!
//! It is read strictly, but differs from the parser under test in what it knows and in what it
//! lets pass. Each difference is one field of [`Packet`] or one step of [`unknown_headers_as_known`],
//! so that [`Packet::within_limits`] is the complete list of them.

use std::net::IpAddr;

use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};

/// RFC 8200, section 4.6.
const DESTINATION_OPTIONS: u8 = 60;

/// What is documented; written out, so that the constant cannot change unnoticed.
const MAX_EXTENSION_HEADERS: usize = 8;

/// An unfragmented UDP packet that etherparse accepts.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) payload: Vec<u8>,
    /// The IP payload is as long as the UDP header says. Strict etherparse lets it be longer, and
    /// takes a UDP length of 0 to mean "all there is" (RFC 2675).
    lengths_agree: bool,
    /// An IPv6 payload length of 0, which etherparse takes for a jumbogram's (RFC 2675).
    jumbogram: bool,
    /// A fragment header that says that there is only one fragment (RFC 6946).
    atomic_fragment: bool,
    /// Extension headers in the chain; etherparse has no limit.
    extension_headers: usize,
    /// Below a MACsec tag (IEEE 802.1AE), which etherparse looks through.
    macsec: bool,
    /// An IPv6 header with IPv4-mapped addresses, which must not be on the wire.
    mapped_address: bool,
}

impl Packet {
    /// Whether this is within what `headers` documents to read.
    pub(crate) fn within_limits(&self) -> bool {
        self.lengths_agree
            && !self.jumbogram
            && !self.atomic_fragment
            && self.extension_headers <= MAX_EXTENSION_HEADERS
            && !self.macsec
            && !self.mapped_address
    }
}

/// The packet in the frame if etherparse accepts all of it, and it is UDP and no fragment.
pub(crate) fn read(frame: &[u8]) -> Option<Packet> {
    let frame = unknown_headers_as_known(frame);
    let sliced = SlicedPacket::from_ethernet(&frame).ok()?;
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { return None };
    let net = sliced.net.as_ref()?;
    let ip_payload = net.ip_payload_ref()?;
    let mut packet = Packet {
        source: IpAddr::from([0; 4]),
        destination: IpAddr::from([0; 4]),
        source_port: udp.source_port(),
        destination_port: udp.destination_port(),
        payload: udp.payload().to_vec(),
        lengths_agree: usize::from(udp.length()) == ip_payload.payload.len(),
        jumbogram: false,
        atomic_fragment: false,
        extension_headers: 0,
        macsec: sliced.link_exts.iter().any(|tag| matches!(tag, LinkExtSlice::Macsec(_))),
        mapped_address: false,
    };
    match net {
        NetSlice::Ipv4(ip) => {
            packet.source = ip.header().source_addr().into();
            packet.destination = ip.header().destination_addr().into();
        }
        NetSlice::Ipv6(ip) => {
            let addresses = [ip.header().source_addr(), ip.header().destination_addr()];
            packet.source = addresses[0].into();
            packet.destination = addresses[1].into();
            packet.mapped_address = addresses.iter().any(|a| a.to_ipv4_mapped().is_some());
            packet.jumbogram = ip.header().payload_length() == 0;
            for extension in ip.extensions().clone() {
                packet.extension_headers += 1;
                packet.atomic_fragment |=
                    matches!(extension, etherparse::Ipv6ExtensionSlice::Fragment(_));
            }
        }
        NetSlice::Arp(_) => return None,
    }
    Some(packet)
}

/// etherparse stops at mobility, host identity and shim6 headers. Their outer form is that of
/// destination options, so they are renamed to these, one after the other, for it to go on.
pub(crate) fn unknown_headers_as_known(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    while let Some(at) = unknown_header_number(&frame) {
        frame[at] = DESTINATION_OPTIONS;
    }
    frame
}

/// Where the number stands that announces a header unknown to etherparse.
fn unknown_header_number(frame: &[u8]) -> Option<usize> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let NetSlice::Ipv6(ip) = sliced.net? else { return None };
    if !matches!(ip.payload().ip_number.0, 135 | 139 | 140) {
        return None;
    }
    use etherparse::Ipv6ExtensionSlice as Slice;
    let announced_by = match ip.extensions().clone().into_iter().last() {
        None => return Some(position(frame, ip.header().slice()) + 6),
        Some(
            Slice::HopByHop(header) | Slice::Routing(header) | Slice::DestinationOptions(header),
        ) => header.slice(),
        Some(Slice::Fragment(header)) => header.slice(),
        Some(Slice::Authentication(header)) => header.slice(),
    };
    Some(position(frame, announced_by))
}

/// Where a part of the frame begins.
fn position(frame: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - frame.as_ptr().addr()
}
