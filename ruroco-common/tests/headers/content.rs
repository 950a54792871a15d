//! What the parser and etherparse must both find in a frame, or both not find.
//!
//! The proof compiles this file, too; see [`super::oracle`].

use core::net::IpAddr;

use ruroco_common::headers::{self, Frame, Scope, UDP_HEADER_SIZE};

use super::oracle::{self, Packet, Transport};

/// A packet that has no faults.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) transport: Transport<'a>,
}

/// What the parser finds, if it finds no fault.
pub(crate) fn ours(frame: &[u8]) -> Option<Content<'_>> {
    match headers::parse(frame, Scope::UdpAndTcp) {
        Frame::Udp(udp) => {
            let payload = udp.payload.ok()?;
            Some(Content {
                source: udp.addresses.source.into(),
                destination: udp.addresses.destination.into(),
                source_port: udp.ports.source,
                destination_port: udp.ports.destination,
                transport: Transport::Udp(&payload[..usize::from(udp.length - UDP_HEADER_SIZE)]),
            })
        }
        Frame::Tcp(tcp) if !tcp.more_fragments => Some(Content {
            source: tcp.addresses.source.into(),
            destination: tcp.addresses.destination.into(),
            source_port: tcp.ports.source,
            destination_port: tcp.ports.destination,
            transport: Transport::Tcp(tcp.flags?),
        }),
        Frame::Tcp(_)
        | Frame::Portless { .. }
        | Frame::Incomplete { .. }
        | Frame::Endless { .. }
        | Frame::Hidden
        | Frame::Other => None,
    }
}

/// What etherparse finds, if the packet is within the documented limits.
pub(crate) fn theirs(frame: &[u8]) -> Option<Content<'_>> {
    let packet = oracle::read(frame).filter(Packet::within_limits)?;
    let Packet { source, destination, source_port, destination_port, transport, .. } = packet;
    Some(Content { source, destination, source_port, destination_port, transport })
}
