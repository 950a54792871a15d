//! Doors: what becomes of packets to ports that are closed to everyone without a lease.
//!
//! A lease admits new connections and flows. What exists already needs none: the kernel knows TCP connections by
//! their sockets, and this program remembers flows of UDP and of TCP that goes on to another host. The gate gives
//! leases, and the program ends them by the boot clock, so a gate that has died leaves nothing open.
//!
//! A host without doors has [`DOOR_PROTOCOLS`] of 0. The kernel's verifier knows this number and removes all of this.

use core::mem::offset_of;

use aya_ebpf::{Global, programs::XdpContext};
use ruroco_common::{
    address::Address,
    doors::{
        Door, DoorPorts, FLOW_GRANULARITY, Flow, FlowKey, HANDSHAKE_GRACE, TCP_CLOSING, TCP_IDLE,
        UDP_IDLE, is_live,
    },
    guarded::Guarded,
    headers::{Addresses, Flags, Packet, Ports, Protocol, Scope},
    maps::{TCP_DOORS, UDP_DOORS},
    verdict::Verdict,
};

use crate::{
    clock::{self, now},
    closed::{self, look_closed},
    frame::FrameCursor,
    leases::{self, Claim, LeaseRef},
    sockets::{self, Socket},
    tables, words,
};

/// For which protocols there are doors. The gate sets it before the program is loaded.
#[unsafe(no_mangle)]
static DOOR_PROTOCOLS: Global<u8> = Global::new(0);

/// Control bits of a TCP header (RFC 9293, section 3.1).
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// What the parser must find.
#[inline(always)]
pub(crate) fn scope() -> Scope {
    if DOOR_PROTOCOLS.load() != 0 { Scope::UdpAndTcp } else { Scope::Udp }
}

#[inline(always)]
fn exist_for(protocol: Protocol) -> bool {
    let bit = match protocol {
        Protocol::Tcp => TCP_DOORS,
        Protocol::Udp => UDP_DOORS,
    };
    DOOR_PROTOCOLS.load() & bit != 0
}

/// Whether a packet, of which only the destination is known, may be for a door that is closed.
#[inline(always)]
pub(crate) fn may_be_for_one(guarded: &Guarded, destination: &Address) -> bool {
    let is_for = |protocol| exist_for(protocol) && is_here(guarded, destination, protocol);
    (is_for(Protocol::Udp) || is_for(Protocol::Tcp)) && !are_disarmed()
}

/// The judgement on a first fragment without ports.
#[inline(always)]
pub(crate) fn judge_portless(
    guarded: &Guarded,
    packet: &Packet<FrameCursor<'_>>,
    protocol: Protocol,
) -> Verdict {
    if !exist_for(protocol) {
        return Verdict::NotOurs;
    }
    let Some(Addresses { destination, .. }) = packet.addresses() else { return Verdict::NotOurs };
    if is_here(guarded, &destination, protocol) && !are_disarmed() {
        Verdict::DoorFragment
    } else {
        Verdict::NotOurs
    }
}

#[inline(always)]
fn is_here(guarded: &Guarded, destination: &Address, protocol: Protocol) -> bool {
    // Linux delivers UDP to groups and broadcast addresses, too.
    protocol == Protocol::Udp && destination.is_of_many()
        || guarded.is_address(destination)
        || tables::is_door_address(destination)
}

/// Whether doors have been opened to everyone.
#[inline(always)]
pub(crate) fn are_disarmed() -> bool {
    let open_from = tables::doors_open_from();
    open_from != 0 && now() >= open_from
}

/// The door of a port.
#[inline(always)]
fn door(port: u16, ports: impl FnOnce(&DoorPorts) -> &[u8; 1 << 16]) -> Option<&'static Door> {
    let number = *ports(tables::door_ports()?).get(usize::from(port))?;
    if number == 0 { None } else { tables::door(number) }
}

/// The door of a TCP port.
#[inline(always)]
pub(crate) fn of_tcp_port(port: u16) -> Option<&'static Door> {
    door(port, |ports| &ports.tcp)
}

/// The judgement on a frame of which nothing can be read.
#[inline(always)]
pub(crate) fn judge_hidden() -> Verdict {
    if look_closed() && !are_disarmed() { Verdict::DoorFragment } else { Verdict::Malformed }
}

#[inline(always)]
pub(crate) fn judge_tcp(
    context: &XdpContext,
    guarded: &Guarded,
    packet: &Packet<FrameCursor<'_>>,
    ports: Ports,
) -> Verdict {
    if !exist_for(Protocol::Tcp) {
        return Verdict::NotOurs;
    }
    if look_closed() && closed::is_unanswerable(packet) {
        let is_door = packet.addresses().is_some_and(|addresses| is_armed_for(guarded, &addresses));
        return if is_door { Verdict::DoorFragment } else { Verdict::NotOurs };
    }
    let Some(door) = of_tcp_port(ports.destination) else { return Verdict::NotOurs };
    let flags = packet.flags();
    let Some(addresses) = packet.addresses() else { return Verdict::NotOurs };
    if flags == Flags::Discarded || !is_armed_for(guarded, &addresses) {
        return Verdict::NotOurs;
    }
    let Flags::Read(flags) = flags else { return Verdict::DoorFragment };
    let ends = Ends { addresses, ports };
    if is_request(flags) {
        start_tcp(context, &ends, door)
    } else {
        continue_tcp(context, &ends, door, flags)
    }
}

/// Whether doors of TCP are closed to packets with this destination.
#[inline(always)]
fn is_armed_for(guarded: &Guarded, addresses: &Addresses) -> bool {
    is_here(guarded, &addresses.destination, Protocol::Tcp) && !are_disarmed()
}

/// Whether a segment requests a connection.
#[inline(always)]
pub(crate) const fn is_request(flags: u8) -> bool {
    flags & (SYN | ACK) == SYN
}

/// Both ends of a connection or flow.
struct Ends {
    addresses: Addresses,
    ports: Ports,
}

impl Ends {
    /// What a flow of this protocol is remembered by.
    #[inline(always)]
    const fn flow(&self, protocol: u32) -> FlowKey {
        FlowKey {
            source: self.addresses.source,
            destination: self.addresses.destination,
            source_port: self.ports.source,
            destination_port: self.ports.destination,
            protocol,
        }
    }

    #[inline(always)]
    fn socket(&self, context: &XdpContext) -> Option<Socket> {
        sockets::find(context, &self.addresses, self.ports)
    }

    /// The lease that the source has for a door.
    #[inline(always)]
    fn lease(&self, door: &Door) -> Option<LeaseRef> {
        leases::of(door, self.addresses.source)
    }
}

/// Numbers of protocols: RFC 9293, RFC 768.
const TCP: u32 = 6;
const UDP: u32 = 17;

/// A new connection, or the same packet once more.
#[inline(always)]
fn start_tcp(context: &XdpContext, ends: &Ends, door: &Door) -> Verdict {
    let Some(lease) = ends.lease(door) else { return Verdict::DoorClosed };
    let now = now();
    if lease.until() <= now {
        return Verdict::DoorClosed;
    }
    if door.is_forwarded() {
        let key = ends.flow(TCP);
        let flow = tables::flow(&key);
        // The ports of a connection that was closed may be used again.
        let is_known = |(last, idle)| is_live(last, idle, now) && idle != TCP_CLOSING;
        if flow.map(times).is_some_and(is_known) {
            return Verdict::DoorSession;
        }
        return start_flow(&lease, door, &key, flow, TCP_IDLE, now);
    }
    let is_known = || ends.socket(context) == Some(Socket::HalfOpen);
    if lease.has_limit() && is_known() {
        return Verdict::DoorSession;
    }
    match lease.claim(Claim::Connection, now) {
        Some(()) => {
            lease.count();
            lease.note(ends.ports.source, now);
            Verdict::DoorAdmitted
        }
        None => Verdict::DoorLimited,
    }
}

/// Anything but a new connection.
#[inline(always)]
fn continue_tcp(context: &XdpContext, ends: &Ends, door: &Door, flags: u8) -> Verdict {
    if door.is_forwarded() {
        let flow = tables::flow(&ends.flow(TCP));
        let is_continued = |flow: *mut Flow| {
            // The end of a connection has acknowledgements without data. Data show that a FIN or RST was forged.
            let idle = match flags & (FIN | RST | PSH) {
                PSH => TCP_IDLE,
                0 => UNCHANGED,
                _ => TCP_CLOSING,
            };
            continue_flow(flow, idle)
        };
        if flow.is_some_and(is_continued) {
            return Verdict::DoorSession;
        }
    }
    match ends.socket(context) {
        None => Verdict::DoorClosed,
        Some(Socket::Established) => {
            if tables::doors_open_from() != 0 {
                confirm(ends, door);
            }
            Verdict::DoorSession
        }
        Some(Socket::HalfOpen | Socket::Other) => Verdict::DoorSession,
        // It may be the last packet of a handshake with a SYN cookie.
        Some(Socket::Listener) => {
            let ends = ends.lease(door).map(|lease| lease.until());
            match ends {
                Some(until) if now() < until.saturating_add(HANDSHAKE_GRACE) => {
                    Verdict::DoorSession
                }
                _ => Verdict::DoorClosed,
            }
        }
    }
}

/// Ends the trial of doors if this packet is of a connection that a knock has opened since it began: the operator
/// has a way in.
#[inline(always)]
fn confirm(ends: &Ends, door: &Door) {
    let Some(lease) = ends.lease(door) else { return };
    if lease.has_admitted(ends.ports.source, tables::doors_set_at()) {
        tables::keep_doors_closed();
    }
}

#[inline(always)]
pub(crate) fn judge_udp(
    guarded: &Guarded,
    packet: &Packet<FrameCursor<'_>>,
    ports: Ports,
) -> Verdict {
    if !exist_for(Protocol::Udp) {
        return Verdict::NotOurs;
    }
    let Some(door) = door(ports.destination, |ports| &ports.udp) else {
        return Verdict::NotOurs;
    };
    let Some(addresses) = packet.addresses() else { return Verdict::NotOurs };
    if !is_here(guarded, &addresses.destination, Protocol::Udp) || are_disarmed() {
        return Verdict::NotOurs;
    }
    let ends = Ends { addresses, ports };
    let key = ends.flow(UDP);
    let flow = tables::flow(&key);
    if flow.is_some_and(|flow| continue_flow(flow, UNCHANGED)) {
        return Verdict::DoorSession;
    }
    let Some(lease) = ends.lease(door) else { return Verdict::DoorClosed };
    let now = now();
    if lease.until() <= now {
        return Verdict::DoorClosed;
    }
    start_flow(&lease, door, &key, flow, UDP_IDLE, now)
}

/// Begins a flow, in the place of an ended flow with the same addresses and ports.
#[inline(always)]
fn start_flow(
    lease: &LeaseRef,
    door: &Door,
    key: &FlowKey,
    ended: Option<*mut Flow>,
    idle: u64,
    now: u64,
) -> Verdict {
    if lease.claim(Claim::Flow, now).is_none() {
        return Verdict::DoorLimited;
    }
    let flow = Flow { last: now, idle, key: lease.key(), door: door.name() };
    match ended {
        Some(place) => words::write(place, flow),
        None if tables::remember(key, &flow).is_none() => return Verdict::DoorLimited,
        None => {}
    }
    lease.count();
    Verdict::DoorAdmitted
}

/// When a flow was last used, and how long it may rest.
#[inline(always)]
fn times(flow: *mut Flow) -> (u64, u64) {
    let last = words::read(words::field(flow, offset_of!(Flow, last)));
    let idle = words::read(words::field(flow, offset_of!(Flow, idle)));
    (last, idle)
}

/// Of how long a flow may be without a packet. A number and not an `Option`: the BPF verifier of older kernels rejects a
/// read of what `None` leaves unwritten, and the compiler may move such a read before the comparison.
const UNCHANGED: u64 = 0;

/// Notes one more packet of a flow, if the flow has not ended, and how long it may be without a packet from now on, unless
/// that is [`UNCHANGED`].
#[inline(always)]
fn continue_flow(flow: *mut Flow, new_idle: u64) -> bool {
    let now = clock::roughly_now();
    let (last, idle) = times(flow);
    if !is_live(last, idle, now) {
        return false;
    }
    if now.saturating_sub(last) >= FLOW_GRANULARITY {
        words::write(words::field(flow, offset_of!(Flow, last)), now);
    }
    if new_idle != UNCHANGED && new_idle != idle {
        words::write(words::field(flow, offset_of!(Flow, idle)), new_idle);
    }
    true
}
