//! What comes back to the client: the proof that the server is silent.

use etherparse::{LaxPacketHeaders, NetHeaders, TransportHeader};

use crate::{
    namespace::Namespace,
    network::{PORT, SERVER, SERVER_MAC},
    packet_socket::Receiver,
};

/// A record of every frame that reaches a namespace, from the moment it is made.
#[derive(Debug)]
pub struct Capture {
    receiver: Receiver,
    frames: Vec<Vec<u8>>,
}

impl Capture {
    /// Begins to record.
    ///
    /// # Panics
    /// If this process may not.
    pub fn start(namespace: &Namespace) -> Self {
        Self { receiver: namespace.enter(Receiver::new), frames: Vec::new() }
    }

    /// Every frame that came from the server and was for somebody in particular, one line for each.
    /// What IPv6 tells all neighbours is not among them; an answer never goes to all.
    ///
    /// # Panics
    /// If the record is not complete.
    pub fn from_server(&mut self) -> Vec<String> {
        self.record(|_| true)
    }

    /// Those of [`Capture::from_server`] that no other traffic excuses: UDP from the gate's address
    /// and port, and ICMP errors.
    ///
    /// # Panics
    /// If the record is not complete.
    pub fn replies_from_gate(&mut self) -> Vec<String> {
        self.record(|headers| match (&headers.net, &headers.transport) {
            (Some(net), Some(TransportHeader::Udp(udp))) => {
                udp.source_port == PORT && is_from_gate(net)
            }
            // RFC 792: everything but echo (0, 8), timestamp (13, 14) and information (15, 16).
            (_, Some(TransportHeader::Icmpv4(icmp))) => {
                !matches!(icmp.to_bytes()[0], 0 | 8 | 13..=16)
            }
            // RFC 4443, section 2.1: in error messages the highest bit is clear.
            (_, Some(TransportHeader::Icmpv6(icmp))) => icmp.icmp_type.type_u8() & 0x80 == 0,
            (_, Some(TransportHeader::Tcp(_) | TransportHeader::Igmp(_))) => false,
            // No answer is so long that it comes in fragments.
            (Some(NetHeaders::Ipv4(header, _)), None) => !header.is_fragmenting_payload(),
            (Some(NetHeaders::Ipv6(_, extensions)), None) => !extensions.is_fragmenting_payload(),
            (Some(NetHeaders::Arp(_)) | None, _) => true,
        })
    }

    fn record(&mut self, wanted: impl Fn(&LaxPacketHeaders<'_>) -> bool) -> Vec<String> {
        self.frames.extend(self.receiver.received());
        let from_server = self.frames.iter().filter(|frame| {
            let is_group = frame[0] & 1 != 0; // IEEE 802: the first bit on the wire
            frame[6..12] == SERVER_MAC && !is_group
        });
        from_server
            .filter_map(|frame| {
                // An independent parser, that makes as much of a frame as can be made of it.
                let headers = LaxPacketHeaders::from_ethernet(frame).expect("an Ethernet header");
                let line = || format!("{:?} {:?}", headers.net, headers.transport);
                wanted(&headers).then(line)
            })
            .collect()
    }
}

fn is_from_gate(net: &NetHeaders) -> bool {
    match net {
        NetHeaders::Ipv4(header, _) => header.source == SERVER.v4.octets(),
        NetHeaders::Ipv6(header, _) => header.source == SERVER.v6.octets(),
        NetHeaders::Arp(_) => false,
    }
}
