//! Ethernet frames laid out field by field, by an implementation that is not ours.

use std::ops::Range;

use etherparse::{
    EtherType, Ethernet2Header, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, UdpHeader,
};

use crate::network::{CLIENT, CLIENT_MAC, Family, PORT, SERVER, SERVER_MAC};

/// The source port of these packets.
pub const SOURCE_PORT: u16 = 40_000;

/// The Ethernet types of the VLAN tags that Linux reads: 802.1Q and 802.1ad.
pub const VLAN_TYPES: [u16; 2] = [0x8100, 0x88a8];

/// A UDP packet from the client to the gate. Made by [`Packet::to_gate`] it is a good one; change
/// what is to be wrong.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Ethernet header.
    pub ethernet: Ethernet2Header,
    /// IP header with options or extension headers.
    pub ip: IpHeaders,
    /// UDP header.
    pub udp: UdpHeader,
    /// What is behind it.
    pub payload: Vec<u8>,
}

impl Packet {
    /// A packet with nothing special in its headers.
    ///
    /// # Panics
    /// If the payload does not fit.
    pub fn to_gate(family: Family, payload: &[u8]) -> Self {
        let (ether_type, ip) = match family {
            Family::V4 => {
                let (source, destination) = (CLIENT.v4.octets(), SERVER.v4.octets());
                let header = Ipv4Header::new(0, 64, IpNumber::UDP, source, destination);
                let header = header.expect("an empty packet fits");
                (EtherType::IPV4, IpHeaders::Ipv4(header, Ipv4Extensions::default()))
            }
            Family::V6 => {
                let header = Ipv6Header {
                    hop_limit: 64,
                    source: CLIENT.v6.octets(),
                    destination: SERVER.v6.octets(),
                    ..Ipv6Header::default()
                };
                (EtherType::IPV6, IpHeaders::Ipv6(header, Ipv6Extensions::default()))
            }
        };
        let mut packet = Self {
            ethernet: Ethernet2Header { source: CLIENT_MAC, destination: SERVER_MAC, ether_type },
            ip,
            udp: UdpHeader {
                source_port: SOURCE_PORT,
                destination_port: PORT,
                length: 0,
                checksum: 0,
            },
            payload: payload.to_vec(),
        };
        packet.fit();
        packet
    }

    /// Changes the IPv4 header, then makes the lengths right.
    ///
    /// # Panics
    /// If the packet is not IPv4.
    #[must_use]
    pub fn with_ipv4(mut self, change: impl FnOnce(&mut Ipv4Header, &mut Ipv4Extensions)) -> Self {
        let (header, extensions) = self.ipv4();
        change(header, extensions);
        self.fit();
        self
    }

    /// Changes IPv6 header and extension headers, then makes the lengths right.
    ///
    /// # Panics
    /// If the packet is not IPv6.
    #[must_use]
    pub fn with_ipv6(mut self, change: impl FnOnce(&mut Ipv6Header, &mut Ipv6Extensions)) -> Self {
        let (header, extensions) = self.ipv6();
        change(header, extensions);
        self.fit();
        self
    }

    /// The IPv4 headers, to be changed without anything else being made right.
    ///
    /// # Panics
    /// If the packet is not IPv4.
    pub fn ipv4(&mut self) -> (&mut Ipv4Header, &mut Ipv4Extensions) {
        match &mut self.ip {
            IpHeaders::Ipv4(header, extensions) => (header, extensions),
            IpHeaders::Ipv6(..) => panic!("not IPv4"),
        }
    }

    /// The IPv6 headers, to be changed without anything else being made right.
    ///
    /// # Panics
    /// If the packet is not IPv6.
    pub fn ipv6(&mut self) -> (&mut Ipv6Header, &mut Ipv6Extensions) {
        match &mut self.ip {
            IpHeaders::Ipv6(header, extensions) => (header, extensions),
            IpHeaders::Ipv4(..) => panic!("not IPv6"),
        }
    }

    /// The frame. The checksum of the IPv4 header is made right, everything else is taken as it is.
    ///
    /// # Panics
    /// If the headers contradict themselves so far that they cannot be written.
    pub fn to_frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.ethernet.write(&mut frame).expect("write an Ethernet header");
        self.ip.write(&mut frame).expect("write IP headers");
        self.udp.write(&mut frame).expect("write a UDP header");
        frame.extend_from_slice(&self.payload);
        frame
    }

    /// One fragment of the packet: these bytes of the IP payload, at their place.
    ///
    /// # Panics
    /// If there are no such bytes, or they do not begin at a multiple of 8.
    pub fn fragment(&self, bytes: Range<usize>, more: bool) -> Vec<u8> {
        assert_eq!(bytes.start % 8, 0, "a fragment's place is counted in units of 8 bytes");
        let offset = u16::try_from(bytes.start / 8).expect("it fits into a packet");
        let offset = offset.try_into().expect("it fits into a packet");
        let mut packet = self.clone();
        let (_, whole) = packet.to_headers_and_ip_payload();
        let piece = &whole[bytes];
        let length = u16::try_from(piece.len()).expect("it fits into a packet");
        match &mut packet.ip {
            IpHeaders::Ipv4(header, _) => {
                header.identification = 4711;
                header.dont_fragment = false;
                header.fragment_offset = offset;
                header.more_fragments = more;
                header.total_len = 20 + length;
            }
            IpHeaders::Ipv6(header, extensions) => {
                let next = IpNumber::UDP;
                extensions.fragment = Some(Ipv6FragmentHeader::new(next, offset, more, 4711));
                header.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
                header.payload_length = 8 + length;
            }
        }
        let (mut frame, _) = packet.to_headers_and_ip_payload();
        frame.extend_from_slice(piece);
        frame
    }

    fn to_headers_and_ip_payload(&self) -> (Vec<u8>, Vec<u8>) {
        let mut frame = self.to_frame();
        let payload = frame.split_off(Ethernet2Header::LEN + self.ip.header_len());
        (frame, payload)
    }

    /// Makes lengths, next headers and the UDP checksum right.
    fn fit(&mut self) {
        let datagram = UdpHeader::LEN + self.payload.len();
        self.udp.length = datagram.try_into().expect("the payload fits into a datagram");
        // What this returns is the Ethernet type of IPv4 for either (etherparse 0.21).
        self.ip.set_next_headers(IpNumber::UDP);
        self.ip.set_payload_len(datagram).expect("the datagram fits into a packet");
        self.udp.checksum = match &self.ip {
            IpHeaders::Ipv4(header, _) => self.udp.calc_checksum_ipv4(header, &self.payload),
            IpHeaders::Ipv6(header, _) => self.udp.calc_checksum_ipv6(header, &self.payload),
        }
        .expect("the datagram has a checksum");
    }
}

/// Puts VLAN tags, each of an Ethernet type and a VLAN, into a frame; the first is the outermost.
pub fn tag(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    let tags = tags.iter().flat_map(|(kind, vlan)| [kind.to_be_bytes(), vlan.to_be_bytes()]);
    [addresses, tags.collect::<Vec<_>>().as_flattened(), rest].concat()
}
