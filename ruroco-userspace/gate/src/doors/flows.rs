//! The flows in the kernel's map: those that have ended make room, and those of a revoked lease or key end.

use ruroco_common::doors::{Door, Flow, FlowKey, LeaseKey};

use crate::door_maps::DoorMaps;

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

/// Ends flows that are not to continue, for example because they are [of a lease](is_of) that is revoked.
///
/// # Errors
/// The first error of the kernel.
pub(super) fn end(
    maps: &mut DoorMaps,
    is_over: impl Fn(&FlowKey, &Flow) -> bool,
) -> anyhow::Result<()> {
    for (key, _) in maps.flows()?.iter().filter(|(key, flow)| is_over(key, flow)) {
        maps.remove_flow(key)?;
    }
    Ok(())
}

/// Whether a flow goes through the door of a lease, from an address that the lease covers.
pub(super) fn is_of(lease: &LeaseKey, door: &Door, key: &FlowKey, flow: &Flow) -> bool {
    flow.door == lease.door && door.lease_key(key.source) == *lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::{
        address::Address,
        datagram::KeyId,
        doors::{DoorName, SourcePrefix},
    };

    #[test]
    fn a_lease_covers_the_flows_from_its_network_through_its_door() {
        let door = |name| {
            let source = SourcePrefix { ipv4: 24, ipv6: 64 };
            Door::new(DoorName::new(name).unwrap(), source, false)
        };
        let key = |source: [u8; 4]| FlowKey {
            source: Address::from_ipv4(source),
            destination: Address::from_ipv4([198, 51, 100, 1]),
            source_port: 1000,
            destination_port: 51820,
            protocol: 17,
        };
        let flow = |name| Flow { last: 0, idle: 0, key: KeyId([1; 8]), door: door(name).name() };
        let lease = door("wg").lease_key(Address::from_ipv4([192, 0, 2, 7]));
        for (key, flow, expected) in [
            (key([192, 0, 2, 9]), flow("wg"), true),
            (key([192, 0, 3, 9]), flow("wg"), false),
            (key([192, 0, 2, 9]), flow("other"), false),
        ] {
            assert_eq!(is_of(&lease, &door("wg"), &key, &flow), expected, "{key:?} {flow:?}");
        }
    }
}
