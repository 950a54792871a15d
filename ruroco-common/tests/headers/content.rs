//! What the parser and etherparse must both find in a frame, or both not find.
//!
//! The proof compiles this file, too; see [`super::oracle`].

use core::net::IpAddr;

use ruroco_common::headers::{self, Frame};

use super::oracle::{self, Packet};

/// A packet that has no faults.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) payload: &'a [u8],
}

/// What the parser finds, if it finds no fault.
pub(crate) fn ours(frame: &[u8]) -> Option<Content<'_>> {
    let Frame::Udp(udp) = headers::parse(frame) else { return None };
    let payload = udp.payload.ok()?;
    Some(Content {
        source: udp.source.into(),
        destination: udp.destination.into(),
        source_port: udp.source_port,
        destination_port: udp.destination_port,
        payload: &payload.start[..usize::from(payload.length)],
    })
}

/// What etherparse finds, if the packet is within the documented limits.
pub(crate) fn theirs(frame: &[u8]) -> Option<Content<'_>> {
    let packet = oracle::read(frame).filter(Packet::within_limits)?;
    let Packet { source, destination, source_port, destination_port, payload, .. } = packet;
    Some(Content { source, destination, source_port, destination_port, payload })
}
