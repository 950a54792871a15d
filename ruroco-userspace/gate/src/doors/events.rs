//! What becomes of leases without a request of the commander: connections, and ends that the commander did not request.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use ruroco_common::doors::{Lease, LeaseKey, SourcePrefix};
use ruroco_config::door::Door;
use ruroco_ipc::{
    boot_clock,
    door_event::{Cause, DoorEvent, Happened, LeaseEvent},
};

use super::{Doors, leases::Held};
use crate::held_keys::HeldKeys;

/// How often the gate reads how many connections leases have admitted, while there are leases.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many connections of each lease have been reported.
#[derive(Debug, Default)]
pub(super) struct Connections {
    reported: BTreeMap<LeaseKey, u64>,
    next_look: Option<Instant>,
}

impl Connections {
    /// Those that leases of an earlier gate have, which it has reported.
    pub(super) fn of(leases: &[(LeaseKey, Lease)]) -> Self {
        let reported = leases.iter().map(|(key, lease)| (*key, lease.connections)).collect();
        Self { reported, next_look: None }
    }

    /// When to look next.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// How many of the connections of a lease are new.
    fn take_new(&mut self, key: &LeaseKey, connections: u64) -> u64 {
        let before = self.reported.insert(*key, connections).unwrap_or_default();
        connections.saturating_sub(before)
    }

    /// Whether to look now. The next time is an interval later, if there are leases.
    fn is_due(&mut self, now: Instant, has_leases: bool) -> bool {
        let is_due = self.next_look.is_some_and(|next| next <= now);
        if is_due || self.next_look.is_none() {
            self.next_look = has_leases.then(|| now.checked_add(INTERVAL)).flatten();
        }
        is_due
    }
}

impl Doors {
    /// Reports the connections that leases have admitted since the gate looked last.
    pub(super) fn note_connections(&mut self, now: Instant, keys: &HeldKeys) {
        if self.watched.is_due(now, !self.leases.is_empty()) {
            let in_force = self.leases.in_force(boot_clock::now());
            for key in in_force.map(|(key, _)| *key).collect::<Vec<_>>() {
                self.note_connections_of(&key, keys);
            }
        }
    }

    /// The same for one lease. Returns what the kernel has of it.
    fn note_connections_of(&mut self, key: &LeaseKey, keys: &HeldKeys) -> Option<Lease> {
        let lease = match self.maps.as_ref()?.lease(key) {
            Ok(lease) => lease?,
            Err(error) => {
                tracing::error!(door = %key.door, "{error:#}");
                return None;
            }
        };
        let new = self.watched.take_new(key, lease.connections);
        if new > 0 {
            let (door, ip, name) = (key.door, IpAddr::from(key.address), keys.name(lease.key));
            let connections = lease.connections;
            tracing::info!(%door, %ip, key = %name, new, connections, "connected");
            self.report(key, &lease, Happened::Connected { new });
        }
        Some(lease)
    }

    /// Logs and reports the leases that have ended by themselves.
    pub(super) fn note_ended(&mut self, keys: &HeldKeys) {
        for (key, Held { key: id, .. }) in self.leases.take_ended(boot_clock::now()) {
            let lease = self.note_connections_of(&key, keys);
            let connections = lease.map(|lease| lease.connections);
            let (door, ip, name) = (key.door, IpAddr::from(key.address), keys.name(id));
            tracing::info!(%door, %ip, key = %name, ?connections, "the lease has ended");
            if let Some(lease) = lease {
                self.report(&key, &lease, Happened::Expired);
            }
            self.watched.reported.remove(&key);
        }
    }

    /// Ends a lease early. Says whether the map does not have it any more. The commander learns the cause, unless it
    /// has requested this itself.
    pub(super) fn end_early(
        &mut self,
        key: &LeaseKey,
        cause: Option<Cause>,
        keys: &HeldKeys,
    ) -> bool {
        let is_in_force = self.leases.is_in_force(key, boot_clock::now());
        let lease = self.note_connections_of(key, keys);
        self.end_flows(key);
        if !self.end(key) {
            return false;
        }
        self.watched.reported.remove(key);
        if let (true, Some(lease), Some(cause)) = (is_in_force, lease, cause) {
            self.report(key, &lease, Happened::Closed(cause));
        }
        true
    }

    /// Why a lease that no longer has its key or its door ends.
    pub(super) fn cause(&self, key: &LeaseKey, held: &Held, keys: &HeldKeys) -> Cause {
        match (self.configured.contains_key(&key.door), keys.has(held.key)) {
            (false, _) => Cause::DoorRemoved,
            (true, true) => Cause::KeyExpired,
            (true, false) => Cause::KeyRevoked,
        }
    }

    fn report(&mut self, key: &LeaseKey, lease: &Lease, happened: Happened) {
        let LeaseKey { address, door } = *key;
        let event = LeaseEvent {
            happened,
            door,
            address,
            prefix: prefix(key, self.configured.get(&door)),
            key: lease.key,
            counter: u128::from_be_bytes(lease.counter),
            at: boot_clock::now(),
            until: Duration::from_nanos(lease.until),
            connections: lease.connections,
        };
        self.events.report(DoorEvent::Lease(event));
    }
}

/// How many leading bits of its address a lease covers: all of them if the door is no longer configured.
fn prefix(key: &LeaseKey, door: Option<&Door>) -> u8 {
    let source = door.map_or(SourcePrefix::ADDRESS, |door| door.source);
    if key.address.is_ipv4() { source.ipv4 } else { source.ipv6 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::{address::Address, doors::DoorName};

    fn key() -> LeaseKey {
        let name = DoorName::new("ssh").unwrap();
        let door = ruroco_common::doors::Door::new(name, SourcePrefix::ADDRESS, false);
        door.lease_key(Address::from_ipv4([192, 0, 2, 1]))
    }

    #[test]
    fn a_connection_is_new_once() {
        let mut connections = Connections::default();
        assert_eq!(connections.take_new(&key(), 0), 0);
        assert_eq!(connections.take_new(&key(), 2), 2);
        assert_eq!(connections.take_new(&key(), 2), 0);
        assert_eq!(connections.take_new(&key(), 5), 3);
    }

    #[test]
    fn the_gate_looks_once_in_an_interval_and_only_while_there_are_leases() {
        let mut connections = Connections::default();
        let start = Instant::now();
        assert!(!connections.is_due(start, false));
        assert_eq!(connections.next_look(), None);
        assert!(!connections.is_due(start, true));
        assert_eq!(connections.next_look(), Some(start + INTERVAL));
        assert!(!connections.is_due(start + INTERVAL / 2, true));
        assert!(connections.is_due(start + INTERVAL, true));
        assert_eq!(connections.next_look(), Some(start + INTERVAL * 2));
        assert!(connections.is_due(start + INTERVAL * 3, false));
        assert_eq!(connections.next_look(), None);
    }
}
