//! What becomes of leases without a request of the commander: connections, and ends that the commander did not request.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use ruroco_common::doors::{Lease, LeaseKey, SourcePrefix};
use ruroco_ipc::{
    boot_clock,
    door_event::{Cause, DoorEvent, Happened, LeaseEvent},
};

use super::{
    leases::{Held, Leases},
    ledger::Ledger,
};
use crate::held_keys::HeldKeys;

/// How often the gate reads how many connections leases have admitted, while there are leases.
const INTERVAL: Duration = Duration::from_secs(1);

/// When the gate looks for new connections next, if it does.
#[derive(Debug, Default)]
pub(super) struct NextLook(Option<Instant>);

impl NextLook {
    /// When that is.
    pub(super) const fn at(&self) -> Option<Instant> {
        self.0
    }

    /// Whether to look now. The next look is an interval later, if there are leases.
    fn is_due(&mut self, now: Instant, leases: &Leases) -> bool {
        let is_due = self.0.is_some_and(|next| next <= now);
        if is_due || self.0.is_none() {
            self.0 = (!leases.is_empty()).then(|| now.checked_add(INTERVAL)).flatten();
        }
        is_due
    }
}

impl Ledger {
    /// Reports the connections that leases have admitted since the gate looked last.
    pub(super) fn note_connections(&mut self, now: Instant) {
        if self.next_look.is_due(now, &self.leases) {
            self.refresh();
            let in_force = self.leases.in_force(boot_clock::now());
            for key in in_force.map(|(key, _)| *key).collect::<Vec<_>>() {
                self.count(&key);
            }
        }
    }

    /// Logs and reports the leases that have ended by themselves.
    pub(super) fn note_ended(&mut self, keys: &HeldKeys) {
        for (key, held) in self.leases.take_ended(boot_clock::now()) {
            let lease = self.count(&key);
            let connections = lease.map(|lease| lease.connections);
            let (door, ip, name) = (key.door, IpAddr::from(key.address), keys.name(held.lease.key));
            tracing::info!(%door, %ip, key = %name, ?connections, "the lease has ended");
            if let Some(lease) = lease {
                self.report(&key, &lease, Happened::Expired);
            }
        }
    }

    /// Ends leases early; those that the kernel does not have any more. The commander learns the cause, unless it has
    /// requested this itself.
    pub(super) fn end_early(&mut self, ending: &[(LeaseKey, Option<Cause>)]) -> Vec<LeaseKey> {
        let now = boot_clock::now();
        let ending = ending.iter().map(|(key, cause)| {
            let (cause, lease) =
                (cause.filter(|_| self.leases.is_in_force(key, now)), self.count(key));
            (*key, cause.zip(lease))
        });
        let ending: BTreeMap<LeaseKey, _> = ending.collect();
        let keys: Vec<LeaseKey> = ending.keys().copied().collect();
        let gone = self.remove(&keys, true);
        for key in &gone {
            if let Some(Some((cause, lease))) = ending.get(key) {
                self.report(key, lease, Happened::Closed(*cause));
            }
        }
        gone
    }

    /// Why a lease ends that has lost its key or its door.
    pub(super) fn cause(&self, key: &LeaseKey, held: &Held, keys: &HeldKeys) -> Cause {
        match (self.configured.contains_key(&key.door), keys.has(held.lease.key)) {
            (false, _) => Cause::DoorRemoved,
            (true, true) => Cause::KeyExpired,
            (true, false) => Cause::KeyRevoked,
        }
    }

    /// Reports what has happened to a lease.
    pub(super) fn report(&mut self, key: &LeaseKey, lease: &Lease, happened: Happened) {
        let LeaseKey { address, door } = *key;
        // A door that is no longer configured has no prefix.
        let source = self.configured.get(&door).map_or(SourcePrefix::ADDRESS, |door| door.source);
        self.events.report(DoorEvent::Lease(LeaseEvent {
            happened,
            door,
            address,
            prefix: if address.is_ipv4() { source.ipv4 } else { source.ipv6 },
            key: lease.key,
            counter: u128::from_be_bytes(lease.counter),
            at: boot_clock::now(),
            until: Duration::from_nanos(lease.until),
            connections: lease.connections,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::listing::Element;
    use ruroco_common::{
        address::Address,
        doors::{Door, DoorName},
    };

    #[test]
    fn the_gate_looks_once_in_an_interval_and_only_while_there_are_leases() {
        let (none, mut some) = (Leases::default(), Leases::default());
        let door = Door::new(DoorName::new("ssh").unwrap(), SourcePrefix::ADDRESS, false);
        let held = Held::new(Element { until: Duration::MAX, ..Element::NONE }, 0);
        some.insert(door.lease_key(Address::from_ipv4([192, 0, 2, 1])), held);

        let mut next = NextLook::default();
        let start = Instant::now();
        assert!(!next.is_due(start, &none));
        assert_eq!(next.at(), None);
        assert!(!next.is_due(start, &some));
        assert_eq!(next.at(), Some(start + INTERVAL));
        assert!(!next.is_due(start + INTERVAL / 2, &some));
        assert!(next.is_due(start + INTERVAL, &some));
        assert_eq!(next.at(), Some(start + INTERVAL * 2));
        assert!(next.is_due(start + INTERVAL * 3, &none));
        assert_eq!(next.at(), None);
    }
}
