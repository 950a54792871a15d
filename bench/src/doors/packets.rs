//! Packets to doors: new connections, sessions and flows.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use ruroco_lab::{namespace::Namespace, packet_socket::Receiver, wait};

/// Hardware addresses: of the host that sends, and of the host that receives.
pub(super) type Macs = [[u8; 6]; 2];

/// A source port of packets that belong to nothing.
const SOURCE_PORT: u16 = 40_000;

/// How long a connection in the lab may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first packet of a TCP connection.
pub(super) fn syn(macs: Macs, from: IpAddr, to: IpAddr, port: u16) -> Result<Vec<u8>> {
    let builder = ip(macs, from, to)?.tcp(SOURCE_PORT, port, 7, 64_240).syn();
    let mut frame = Vec::with_capacity(builder.size(0));
    builder.write(&mut frame, &[])?;
    Ok(frame)
}

/// A UDP packet.
pub(super) fn udp(macs: Macs, from: IpAddr, to: IpAddr, port: u16) -> Result<Vec<u8>> {
    let payload = [0x5a; 64];
    let builder = ip(macs, from, to)?.udp(SOURCE_PORT, port);
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, &payload)?;
    Ok(frame)
}

fn ip(
    [from_mac, to_mac]: Macs,
    from: IpAddr,
    to: IpAddr,
) -> Result<etherparse::PacketBuilderStep<etherparse::IpHeaders>> {
    let builder = PacketBuilder::ethernet2(from_mac, to_mac);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ok(builder.ipv4(from.octets(), to.octets(), 64)),
        (IpAddr::V6(from), IpAddr::V6(to)) => Ok(builder.ipv6(from.octets(), to.octets(), 64)),
        _ => anyhow::bail!("{from} and {to} are of different families"),
    }
}

/// Both ends of a connection, and its last packet from the client.
pub(super) struct Session {
    _ends: [TcpStream; 2],
    pub(super) frame: Vec<u8>,
}

impl Session {
    /// Connects a host to a listener, and passes a byte in both directions.
    pub(super) fn new(client: &Namespace, listener: &TcpListener) -> Result<Self> {
        let server = listener.local_addr()?;
        let mut wire = client.enter(Receiver::of_both_directions);
        let near = client.enter(|| TcpStream::connect_timeout(&server, PATIENCE));
        let mut near = near.context("could not connect")?;
        let (mut far, _) = listener.accept()?;
        let mut byte = [0];
        near.write_all(&byte)?;
        far.read_exact(&mut byte)?;
        far.write_all(&byte)?;
        near.read_exact(&mut byte)?;
        // The acknowledgement of that byte may be delayed.
        let mut last = None;
        wait::poll(PATIENCE, || {
            let frames = wire.received();
            let found = frames.iter().rev().find_map(|frame| acknowledgement(frame, server.port()));
            last = last.take().or(found);
            last.is_some().then_some(())
        });
        let frame = last.context("no acknowledgement was on the wire")?;
        Ok(Self { _ends: [near, far], frame })
    }
}

/// The frame with a right checksum if it is an acknowledgement without data to this port, and of nothing but the
/// end of a handshake. As it is on the wire, the checksum is left to the card.
fn acknowledgement(frame: &[u8], port: u16) -> Option<Vec<u8>> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
    let mut header = tcp.to_header();
    let is_it = header.destination_port == port
        && header.ack
        && !header.syn
        && !header.fin
        && tcp.payload().is_empty();
    if !is_it {
        return None;
    }
    header.checksum = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            header.calc_checksum_ipv4(&ip.header().to_header(), &[]).ok()?
        }
        Some(NetSlice::Ipv6(ip)) => {
            header.calc_checksum_ipv6(&ip.header().to_header(), &[]).ok()?
        }
        _ => return None,
    };
    let mut frame = frame.to_vec();
    let start = frame.len().checked_sub(header.header_len())?;
    frame.truncate(start);
    header.write(&mut frame).ok()?;
    Some(frame)
}
