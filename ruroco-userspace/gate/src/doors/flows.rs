//! The flows in the kernel's map: those that have ended make room, and those of a revoked lease end.

use ruroco_common::doors::{Door, FlowKey, LeaseKey};
use ruroco_config::door::{DoorPort, Transport};

use crate::door_maps::DoorMaps;

/// TCP in the protocol field of a flow (RFC 9293).
const TCP: u32 = 6;

/// Removes the flows that have ended at `now`, nanoseconds on the boot clock. The XDP program treats them as unknown
/// already.
///
/// # Errors
/// The first error of the kernel.
pub(super) fn sweep(maps: &mut DoorMaps, now: u64) -> anyhow::Result<()> {
    for (key, _) in maps.flows()?.iter().filter(|(_, flow)| !flow.is_live(now)) {
        // A lease may have started it again since.
        if maps.flow(key)?.is_some_and(|flow| !flow.is_live(now)) {
            maps.remove_flow(key)?;
        }
    }
    Ok(())
}

/// Ends the flows that a lease covers.
///
/// # Errors
/// The first error of the kernel.
pub(super) fn end(
    maps: &mut DoorMaps,
    lease: &LeaseKey,
    door: &Door,
    ports: &[DoorPort],
) -> anyhow::Result<()> {
    for (key, _) in maps.flows()?.iter().filter(|(key, _)| is_of(key, lease, door, ports)) {
        maps.remove_flow(key)?;
    }
    Ok(())
}

/// Whether a flow goes through this door, from an address that the lease covers.
fn is_of(flow: &FlowKey, lease: &LeaseKey, door: &Door, ports: &[DoorPort]) -> bool {
    let transport = if flow.protocol == TCP { Transport::Tcp } else { Transport::Udp };
    door.lease_key(flow.source) == *lease
        && ports.iter().any(|port| port.contains(transport, flow.destination_port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::{
        address::Address,
        doors::{DoorName, SourcePrefix},
    };

    #[test]
    fn a_lease_covers_the_flows_from_its_network_to_the_ports_of_its_door() {
        let door = |name| {
            let source = SourcePrefix { ipv4: 24, ipv6: 64 };
            Door::new(DoorName::new(name).unwrap(), source, false)
        };
        let flow = |source: [u8; 4], port, protocol| FlowKey {
            source: Address::from_ipv4(source),
            destination: Address::from_ipv4([198, 51, 100, 1]),
            source_port: 1000,
            destination_port: port,
            protocol,
        };
        let ports = ["udp/51820", "tcp/8000-8010"].map(|port| port.parse::<DoorPort>().unwrap());
        let lease = door("wg").lease_key(Address::from_ipv4([192, 0, 2, 7]));
        for (flow, expected) in [
            (flow([192, 0, 2, 9], 51820, 17), true),
            (flow([192, 0, 2, 9], 8010, 6), true),
            (flow([192, 0, 3, 9], 51820, 17), false),
            (flow([192, 0, 2, 9], 51821, 17), false),
            (flow([192, 0, 2, 9], 8000, 17), false),
        ] {
            assert_eq!(is_of(&flow, &lease, &door("wg"), &ports), expected, "{flow:?}");
        }
        assert!(!is_of(&flow([192, 0, 2, 9], 51820, 17), &lease, &door("other"), &ports));
    }
}
