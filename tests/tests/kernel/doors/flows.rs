//! Flows of UDP, and of TCP that goes on to another host.

use ruroco_common::{
    doors::{FlowKey, Lease, MAX_FLOWS, MAX_FLOWS_PER_LEASE, TCP_CLOSING, TCP_IDLE, UDP_IDLE},
    verdict::Verdict::{DoorAdmitted, DoorClosed, DoorLimited, DoorSession},
};

use super::fixture::{
    ACK, Doors, FIN, FORWARDED, PSH, RST, SECOND, SYN, VPN, flow, flow_key, lease, now, source,
    tcp, udp,
};
use crate::frames::Packet;

/// The first packets of flows, with the door and how long they may rest.
fn starts() -> impl Iterator<Item = (Packet, &'static str, u64)> {
    let udp = udp(VPN).map(|packet| (packet, "vpn", UDP_IDLE));
    udp.into_iter().chain(tcp(FORWARDED, SYN).map(|packet| (packet, "forwarded", TCP_IDLE)))
}

/// The packet that follows in the same flow.
fn next(packet: &Packet) -> Packet {
    match packet.tcp {
        Some(_) => packet.clone().with_tcp(ACK),
        None => packet.clone(),
    }
}

fn ended() -> Lease {
    Lease { until: now() - SECOND, ..lease() }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_flow_begins_under_a_lease_and_outlives_it() {
    let mut doors = Doors::all();
    for (packet, door, idle) in starts() {
        doors.expect(&next(&packet), DoorClosed);
        doors.expect(&packet, DoorClosed);
        doors.open(&source(&packet), door);
        let before = now();
        doors.expect(&packet, DoorAdmitted);
        let flow = doors.flow(&packet).unwrap();
        assert_eq!((flow.idle, flow.key), (idle, lease().key));
        assert_eq!(flow.door.to_string(), door);
        assert!((before..=now()).contains(&flow.last), "{flow:?}");
        doors.put(&source(&packet), door, ended());
        for _ in 0..3 {
            doors.expect(&next(&packet), DoorSession);
        }
        assert_eq!(doors.lease(&source(&packet), door).connections, 0, "a session is not counted");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_flow_is_of_its_addresses_ports_and_protocol_alone() {
    let mut doors = Doors::all();
    for (packet, door, _) in starts() {
        doors.open(&source(&packet), door);
        doors.expect(&packet, DoorAdmitted);
        doors.put(&source(&packet), door, ended());
        let good = next(&packet);
        doors.expect(&good, DoorSession);
        let other = if packet.source.is_ipv4() { "198.51.100.10" } else { "2001:db8::10" };
        doors.expect(&Packet { source: other.parse().unwrap(), ..good.clone() }, DoorClosed);
        doors.expect(&Packet { source_port: good.source_port ^ 1, ..good.clone() }, DoorClosed);
        let extra = super::fixture::EXTRA[usize::from(packet.source.is_ipv6())];
        doors.expect(&Packet { destination: extra, ..good.clone() }, DoorClosed);
        let key = flow_key(&packet);
        doors.remove_flow(&key);
        let protocol = if key.protocol == 6 { 17 } else { 6 };
        doors.put_flow(FlowKey { protocol, ..key }, flow(now(), TCP_IDLE));
        doors.expect(&good, DoorClosed);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_flow_ends_after_a_rest() {
    let mut doors = Doors::all();
    for (packet, door, idle) in starts() {
        for (idle, rested, verdict) in [
            (idle, 0, DoorSession),
            (idle, idle - 2 * SECOND, DoorSession),
            (idle, idle + SECOND, DoorClosed),
            (TCP_CLOSING, TCP_CLOSING - 2 * SECOND, DoorSession),
            (TCP_CLOSING, TCP_CLOSING + SECOND, DoorClosed),
        ] {
            let Some(last) = now().checked_sub(rested) else { continue };
            doors.put_flow(flow_key(&packet), flow(last, idle));
            doors.expect(&next(&packet), verdict);
        }
        // An ended flow is no obstacle to the next one.
        doors.put_flow(flow_key(&packet), flow(0, SECOND));
        doors.open(&source(&packet), door);
        doors.expect(&packet, DoorAdmitted);
        let flow = doors.flow(&packet).unwrap();
        assert_eq!((flow.idle, flow.key), (idle, lease().key));
        assert_eq!(flow.door.to_string(), door);
        assert!(flow.last > now() - SECOND);
        doors.expect(&next(&packet), DoorSession);
    }
}

/// The longest time between two ticks of the kernel's timer: the program may take the last one for now.
const TICK: u64 = SECOND / 100;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_time_of_a_flow_is_written_at_most_once_a_second() {
    let mut doors = Doors::all();
    for (packet, _, idle) in starts() {
        for (rested, is_written) in [(2 * SECOND, true), (SECOND + TICK, true), (0, false)] {
            let last = now() - rested;
            doors.put_flow(flow_key(&packet), flow(last, idle));
            doors.expect(&next(&packet), DoorSession);
            let flow = doors.flow(&packet).unwrap();
            // Unless this took a second.
            let is_late = now() - last >= SECOND && !is_written;
            assert!(is_late || (flow.last != last) == is_written, "{rested} {flow:?}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_begins_only_so_many_flows() {
    let mut doors = Doors::all();
    for (packet, door, _) in starts() {
        let at = |source_port| Packet { source_port, ..packet.clone() };
        doors.put(&source(&packet), door, Lease { flows: MAX_FLOWS_PER_LEASE - 2, ..lease() });
        doors.expect(&at(1), DoorAdmitted);
        doors.expect(&at(2), DoorAdmitted);
        doors.expect(&at(3), DoorLimited);
        doors.expect(&at(3), DoorLimited);
        let after = doors.lease(&source(&packet), door);
        assert_eq!((after.flows, after.used, after.connections), (MAX_FLOWS_PER_LEASE, 2, 2));
        doors.expect(&next(&at(1)), DoorSession);
        let verdict = if packet.tcp.is_some() { DoorClosed } else { DoorLimited };
        doors.expect(&next(&at(3)), verdict);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_full_table_begins_no_flow_and_forgets_none() {
    let mut doors = Doors::all();
    let starts: Vec<_> = starts().collect();
    let first = flow_key(&starts[0].0);
    let full = flow(now(), UDP_IDLE);
    for number in 0..MAX_FLOWS {
        let source_port = u16::try_from(number % 1000).unwrap();
        let destination_port = u16::try_from(number / 1000).unwrap();
        doors.put_flow(FlowKey { source_port, destination_port, ..first }, full);
    }
    for (packet, door, _) in &starts {
        let packet = Packet { source_port: 9, ..packet.clone() };
        doors.open(&source(&packet), door);
        doors.expect(&packet, DoorLimited);
        assert_eq!(doors.lease(&source(&packet), door).connections, 0);
    }
    assert_eq!(doors.flows().len(), usize::try_from(MAX_FLOWS).unwrap());
    doors.remove_flow(&FlowKey { source_port: 0, destination_port: 0, ..first });
    let (packet, ..) = &starts[0];
    doors.expect(packet, DoorAdmitted);
    doors.expect(packet, DoorSession);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_end_of_a_forwarded_connection_shortens_its_rest() {
    let mut doors = Doors::all();
    for packet in tcp(FORWARDED, SYN) {
        doors.open(&source(&packet), "forwarded");
        doors.expect(&packet, DoorAdmitted);
        for (flags, idle) in [
            (ACK, TCP_IDLE),
            (FIN | ACK, TCP_CLOSING),
            // The client acknowledges the other side's FIN.
            (ACK, TCP_CLOSING),
            (PSH | ACK, TCP_IDLE),
            (RST, TCP_CLOSING),
            (RST | ACK, TCP_CLOSING),
            (SYN | ACK, TCP_CLOSING),
            (PSH, TCP_IDLE),
            (FIN | PSH, TCP_CLOSING),
            (0, TCP_CLOSING),
        ] {
            doors.expect(&packet.clone().with_tcp(flags), DoorSession);
            assert_eq!(doors.flow(&packet).unwrap().idle, idle, "after {flags:#04x}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_forwarded_syn_needs_a_lease_even_in_a_flow() {
    let mut doors = Doors::all();
    for packet in tcp(FORWARDED, SYN) {
        doors.put(&source(&packet), "forwarded", Lease { limit: 1, ..lease() });
        doors.expect(&packet, DoorAdmitted);
        // The same once more, as it would come if the answer was lost.
        doors.expect(&packet, DoorSession);
        doors.expect(&Packet { source_port: 7, ..packet.clone() }, DoorLimited);
        // The same ports again, after the connection has ended.
        doors.expect(&packet.clone().with_tcp(FIN | ACK), DoorSession);
        doors.expect(&packet.clone().with_tcp(ACK), DoorSession);
        doors.expect(&packet, DoorLimited);
        doors.open(&source(&packet), "forwarded");
        doors.expect(&packet, DoorAdmitted);
        assert_eq!(doors.flow(&packet).unwrap().idle, TCP_IDLE);
        doors.put(&source(&packet), "forwarded", ended());
        doors.expect(&packet, DoorClosed);
        doors.expect(&next(&packet), DoorSession);
    }
}
