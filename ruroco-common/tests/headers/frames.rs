//! Makes Ethernet frames for tests: right ones field by field, and wrong ones by changing those.
//!
//! The tests of the parser and those of the XDP program use this one generator (the latter include
//! this file), so that what the host's tests meet is what the kernel's tests meet. It writes
//! headers from the RFCs and shares no code with the parser.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*, sample::select};

pub(crate) const ETHERNET_SIZE: usize = 14;
/// Ethernet frames are padded to this size (IEEE 802.3, without the checksum).
pub(crate) const ETHERNET_MINIMUM: usize = 60;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const ESP: u8 = 50;
pub(crate) const AUTHENTICATION: u8 = 51;
pub(crate) const NO_NEXT_HEADER: u8 = 59;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;
/// Headers in the common format that Linux does not step over: mobility, host identity, shim6.
pub(crate) const UNKNOWN_TO_LINUX: [u8; 3] = [135, 139, 140];
/// The bit of the IPv4 fragment field that announces more fragments.
pub(crate) const IPV4_MORE_FRAGMENTS: u16 = 0x2000;
/// The bit of the IPv6 fragment field that announces more fragments.
pub(crate) const IPV6_MORE_FRAGMENTS: u16 = 1;

/// A header between the IPv6 header, or the IPv4 one, and UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// In the common format: its number and the value of its length field.
    Common(u8, u8),
    /// An authentication header, and the value of its length field.
    Authentication(u8),
    /// An IPv6 fragment header, and its offset and flags.
    Fragment(u16),
}

impl Extension {
    fn number(self) -> u8 {
        match self {
            Self::Common(number, _) => number,
            Self::Authentication(_) => AUTHENTICATION,
            Self::Fragment(_) => FRAGMENT,
        }
    }

    fn write(self, next: u8, bytes: &mut Vec<u8>) {
        match self {
            Self::Common(_, length) => {
                bytes.extend([next, length]);
                // PadN (RFC 8200, section 4.2) would be honest; nobody here looks inside.
                bytes.resize(bytes.len() + 6 + usize::from(length) * 8, 0);
            }
            Self::Authentication(length) => {
                bytes.extend([next, length]);
                bytes.resize(bytes.len() + 6 + usize::from(length) * 4, 0xa5);
            }
            Self::Fragment(field) => {
                let [high, low] = field.to_be_bytes();
                bytes.extend([next, 0, high, low, 1, 2, 3, 4]);
            }
        }
    }
}

/// The fields of a TCP header that tests vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpHeader {
    /// From CWR to FIN.
    pub(crate) flags: u8,
    /// In units of 4 bytes, at most 10.
    pub(crate) options: u8,
    /// Added to the length that the header has in its own field.
    pub(crate) offset_lie: i8,
}

/// A UDP or TCP packet, from which a frame is written. The lengths are right unless `*_lie` says by how
/// much they are not.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Types of the VLAN tags, outermost first.
    pub(crate) vlan_tags: Vec<u16>,
    /// Of the same family as `destination`.
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// In units of 4 bytes, at most 10; IPv4 only.
    pub(crate) ipv4_options: usize,
    /// Flags and offset; IPv4 only.
    pub(crate) ipv4_fragment: u16,
    /// Between IP and UDP or TCP; in IPv4 only authentication headers make sense.
    pub(crate) extensions: Vec<Extension>,
    /// What the last header says comes next.
    pub(crate) protocol: u8,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    /// In place of the UDP header.
    pub(crate) tcp: Option<TcpHeader>,
    pub(crate) payload: Vec<u8>,
    /// Bytes behind the IP packet.
    pub(crate) padding: usize,
    pub(crate) ip_length_lie: i16,
    pub(crate) udp_length_lie: i16,
}

impl Packet {
    /// The plainest packet there is to a destination.
    pub(crate) fn to(destination: IpAddr, port: u16, payload: &[u8]) -> Self {
        let source = match destination {
            IpAddr::V4(_) => IpAddr::from([198, 51, 100, 9]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9]),
        };
        Self {
            vlan_tags: Vec::new(),
            source,
            destination,
            ipv4_options: 0,
            ipv4_fragment: 0,
            extensions: Vec::new(),
            protocol: UDP,
            source_port: 40_000,
            destination_port: port,
            tcp: None,
            payload: payload.to_vec(),
            padding: 0,
            ip_length_lie: 0,
            udp_length_lie: 0,
        }
    }

    /// The same packet as TCP, with these flags.
    pub(crate) fn with_tcp(self, flags: u8) -> Self {
        Self { protocol: TCP, tcp: Some(TcpHeader { flags, options: 0, offset_lie: 0 }), ..self }
    }

    /// Where the payload ends in the frame.
    pub(crate) fn end(&self) -> usize {
        self.to_frame().len() - self.padding
    }

    /// With padding up to the least size of an Ethernet frame.
    pub(crate) fn padded(mut self) -> Self {
        self.padding = ETHERNET_MINIMUM.saturating_sub(self.end());
        self
    }

    /// The frame on the wire.
    pub(crate) fn to_frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in &self.vlan_tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0x20, 0x07]); // priority 1, VLAN 7
        }
        let mut body = self.extension_bytes();
        body.extend(self.transport_bytes());
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend(0x0800_u16.to_be_bytes());
                frame.extend(self.ipv4_header(source, destination, body.len()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend(0x86dd_u16.to_be_bytes());
                frame.extend(self.ipv6_header(source, destination, body.len()));
            }
            mixed => panic!("two families in one packet: {mixed:?}"),
        }
        frame.extend(body);
        frame.resize(frame.len() + self.padding, 0xee);
        frame
    }

    fn extension_bytes(&self) -> Vec<u8> {
        let following = self.extensions.iter().skip(1).map(|e| e.number()).chain([self.protocol]);
        let mut bytes = Vec::new();
        for (extension, next) in self.extensions.iter().zip(following) {
            extension.write(next, &mut bytes);
        }
        bytes
    }

    fn transport_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.source_port.to_be_bytes());
        bytes.extend(self.destination_port.to_be_bytes());
        match self.tcp {
            None => {
                bytes.extend(length(8 + self.payload.len(), self.udp_length_lie));
                bytes.extend([0, 0]); // no checksum
            }
            Some(TcpHeader { flags, options, offset_lie }) => {
                bytes.extend([1, 2, 3, 4, 5, 6, 7, 8]); // sequence numbers
                bytes.extend([(5 + options).wrapping_add_signed(offset_lie) << 4, flags]);
                bytes.extend([0xff, 0xff, 0, 0, 0, 0]); // window, no checksum
                bytes.resize(20 + 4 * usize::from(options), 1); // No-Operation
            }
        }
        bytes.extend(&self.payload);
        bytes
    }

    fn first_number(&self) -> u8 {
        self.extensions.first().map_or(self.protocol, |extension| extension.number())
    }

    fn ipv4_header(&self, source: Ipv4Addr, destination: Ipv4Addr, body: usize) -> Vec<u8> {
        let words = 5 + self.ipv4_options;
        let mut header = vec![0x40 | u8::try_from(words).unwrap(), 0];
        header.extend(length(words * 4 + body, self.ip_length_lie));
        header.extend([0x12, 0x34]);
        header.extend(self.ipv4_fragment.to_be_bytes());
        header.extend([64, self.first_number(), 0, 0]);
        header.extend(source.octets());
        header.extend(destination.octets());
        header.resize(words * 4, 1); // No Operation (RFC 791, section 3.1)
        header
    }

    fn ipv6_header(&self, source: Ipv6Addr, destination: Ipv6Addr, body: usize) -> Vec<u8> {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(length(body, self.ip_length_lie));
        header.extend([self.first_number(), 64]);
        header.extend(source.octets());
        header.extend(destination.octets());
        header
    }
}

/// A length field, `lie` away from the truth.
fn length(truth: usize, lie: i16) -> [u8; 2] {
    u16::try_from(truth).unwrap().wrapping_add_signed(lie).to_be_bytes()
}

/// What the generator picks from, so that a test can make hits on its own tables likely.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) destinations: Vec<IpAddr>,
    pub(crate) ports: Vec<u16>,
    pub(crate) payloads: Vec<Vec<u8>>,
}

/// Packets that are in order: every header says the truth.
pub(crate) fn honest(pool: &Pool) -> impl Strategy<Value = Packet> + use<> {
    let payload = prop_oneof![
        3 => select(pool.payloads.clone()),
        1 => vec(any::<u8>(), 0..200),
    ];
    let port = prop_oneof![4 => select(pool.ports.clone()), 1 => any::<u16>()];
    let destination = prop_oneof![
        4 => select(pool.destinations.clone()),
        // IPv4-mapped addresses must not be on the wire.
        1 => any::<IpAddr>().prop_map(|address| address.to_canonical()),
    ];
    let layers = (
        vec(select(vec![0x8100_u16, 0x88a8]), 0..6),
        prop_oneof![2 => Just(0_usize), 1 => 1..=10_usize],
        extensions(),
        prop_oneof![Just(0_usize), 1..64_usize],
    );
    (destination, any::<([u8; 4], [u8; 16], u16)>(), port, payload, layers).prop_map(
        |(destination, (v4, v6, source_port), port, payload, layers)| {
            let (vlan_tags, ipv4_options, mut extensions, padding) = layers;
            let source = match destination {
                IpAddr::V4(_) => {
                    extensions.clear();
                    IpAddr::from(v4)
                }
                IpAddr::V6(_) => IpAddr::from(v6),
            };
            Packet {
                vlan_tags,
                source,
                ipv4_options,
                extensions,
                padding,
                source_port,
                ..Packet::to(destination, port, &payload)
            }
            .padded_at_least(padding)
        },
    )
}

impl Packet {
    fn padded_at_least(self, padding: usize) -> Self {
        let padded = Self { padding: 0, ..self }.padded();
        Self { padding: padded.padding.max(padding), ..padded }
    }
}

/// The same as TCP.
pub(crate) fn honest_tcp(pool: &Pool) -> impl Strategy<Value = Packet> + use<> {
    (honest(pool), any::<u8>(), 0..=10_u8).prop_map(|(packet, flags, options)| {
        let tcp = Some(TcpHeader { flags, options, offset_lie: 0 });
        let padding = packet.padding;
        Packet { protocol: TCP, tcp, ..packet }.padded_at_least(padding)
    })
}

/// Chains of IPv6 extension headers without fragments, hop-by-hop options only in front.
fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    let common = (select(vec![ROUTING, DESTINATION_OPTIONS]), 0..6_u8)
        .prop_map(|(number, length)| Extension::Common(number, length));
    let chain = vec(common, 0..40);
    let chain = prop_oneof![2 => Just(Vec::new()), 1 => chain];
    (chain, proptest::option::weighted(0.3, 0..4_u8)).prop_map(|(mut chain, hop_by_hop)| {
        if let Some(length) = hop_by_hop {
            chain.insert(0, Extension::Common(HOP_BY_HOP, length));
        }
        chain
    })
}

/// Frames of packets that are made wrong in one or several ways, or in none.
pub(crate) fn twisted(pool: &Pool) -> impl Strategy<Value = Vec<u8>> + use<> {
    let packet = prop_oneof![3 => honest(pool), 2 => honest_tcp(pool)];
    (packet, vec(twist(), 0..3), vec(damage(), 0..3)).prop_map(|(mut packet, twists, damages)| {
        for twist in twists {
            twist.apply(&mut packet);
        }
        let mut frame = packet.to_frame();
        for damage in damages {
            damage.apply(&mut frame);
        }
        frame
    })
}

/// A change to a packet's headers, which stay in order otherwise.
#[derive(Clone, Debug)]
enum Twist {
    IpLength(i16),
    UdpLength(i16),
    TcpOffset(i8),
    Ipv4Fragment(u16),
    Insert(usize, Extension),
    Protocol(u8),
    Vlan(u16),
    Mapped,
    /// Only so many bytes behind the IP header, in IPv6 in units of 8, as the first of several fragments; what
    /// follows them is padding.
    FirstPiece(usize),
    /// IPv6: only a chain of headers, as the first of several fragments.
    OnlyChain,
}

fn twist() -> impl Strategy<Value = Twist> {
    let lie = prop_oneof![-12..12_i16, any::<i16>()];
    let field =
        prop_oneof![Just(0_u16), Just(1), Just(8), Just(0x2000), Just(0x2001), any::<u16>()];
    let extension = prop_oneof![
        field.clone().prop_map(Extension::Fragment),
        (0..4_u8).prop_map(Extension::Authentication),
        (0..4_u8).prop_map(|length| Extension::Common(HOP_BY_HOP, length)),
        (0..4_u8).prop_map(|length| Extension::Common(DESTINATION_OPTIONS, length)),
        select(UNKNOWN_TO_LINUX.to_vec()).prop_map(|number| Extension::Common(number, 0)),
    ];
    prop_oneof![
        lie.clone().prop_map(Twist::IpLength),
        lie.prop_map(Twist::UdpLength),
        (-6..8_i8).prop_map(Twist::TcpOffset),
        field.prop_map(Twist::Ipv4Fragment),
        (0..45_usize, extension).prop_map(|(place, extension)| Twist::Insert(place, extension)),
        select(vec![1, TCP, ESP, NO_NEXT_HEADER, 58, 132]).prop_map(Twist::Protocol),
        select(vec![0x8100_u16, 0x88a8, 0x9100, 0x88e5, 0x0806]).prop_map(Twist::Vlan),
        Just(Twist::Mapped),
        (1..24_usize).prop_map(Twist::FirstPiece),
        // The sizes that a TCP header depends on.
        (1..18_usize).prop_map(Twist::FirstPiece),
        Just(Twist::OnlyChain),
    ]
}

impl Twist {
    fn apply(self, packet: &mut Packet) {
        match self {
            Self::IpLength(lie) => packet.ip_length_lie = lie,
            Self::UdpLength(lie) => packet.udp_length_lie = lie,
            Self::TcpOffset(lie) => {
                if let Some(tcp) = &mut packet.tcp {
                    tcp.offset_lie = lie;
                }
            }
            Self::Ipv4Fragment(field) => packet.ipv4_fragment = field,
            Self::Insert(place, extension) => {
                packet.extensions.insert(place.min(packet.extensions.len()), extension);
            }
            Self::Protocol(protocol) => packet.protocol = protocol,
            Self::Vlan(tag) => packet.vlan_tags.push(tag),
            Self::Mapped => {
                if packet.source.is_ipv6() {
                    packet.source = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into();
                }
            }
            Self::OnlyChain => {
                packet.extensions.insert(0, Extension::Common(DESTINATION_OPTIONS, 0));
                Self::FirstPiece(packet.extension_bytes().len() / 8).apply(packet);
            }
            Self::FirstPiece(size) => {
                let kept = if packet.source.is_ipv6() {
                    packet.extensions.insert(0, Extension::Fragment(IPV6_MORE_FRAGMENTS));
                    8 + 8 * size
                } else {
                    packet.ipv4_fragment = IPV4_MORE_FRAGMENTS;
                    size
                };
                let whole = packet.extension_bytes().len() + packet.transport_bytes().len();
                packet.ip_length_lie =
                    i16::try_from(whole.min(kept)).unwrap() - i16::try_from(whole).unwrap();
            }
        }
    }
}

/// A change to a frame's bytes.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Extend(usize),
    /// Any byte becomes any other; the first 100 are hit as often as all the rest.
    Byte(prop::sample::Index, u8),
    Header(usize, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let telling = select(vec![0, 1, 6, 17, 43, 44, 50, 51, 59, 60, 135, 0x45, 0x60, 0xff]);
    let value = prop_oneof![telling, any::<u8>()];
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (1..80_usize).prop_map(Damage::Extend),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, to)| Damage::Byte(at, to)),
        (12..112_usize, value).prop_map(|(at, to)| Damage::Header(at, to)),
    ]
}

impl Damage {
    fn apply(self, frame: &mut Vec<u8>) {
        match self {
            Self::Cut(at) => frame.truncate(at.index(frame.len() + 1)),
            Self::Extend(count) => frame.resize(frame.len() + count, 0xdd),
            Self::Byte(at, to) => {
                if !frame.is_empty() {
                    let at = at.index(frame.len());
                    frame[at] = to;
                }
            }
            Self::Header(at, to) => {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = to;
                }
            }
        }
    }
}
