//! The leases that the gate gives and ends: its own record of them, and the maps of the program, which change together.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use ruroco_common::{
    address::Address,
    datagram::KeyId,
    doors::{DoorName, Flow, FlowKey, Lease, LeaseKey, SourcePrefix},
};
use ruroco_config::door::Door;
use ruroco_ipc::{
    boot_clock,
    door_event::{Cause, Happened},
    lease::{Action, Answer, Request},
};

use super::{
    event_socket::EventSocket,
    events::NextLook,
    filter, flows,
    leases::{Grant, Held, Leases},
    millis, nanoseconds,
};
use crate::{
    door_maps::{DoorMaps, in_kernel},
    held_keys::HeldKeys,
    nft::{
        listing::Element,
        table::{Found, Table},
    },
    reload::wait_for_packets_under_way,
    status::{DoorStatus, LeaseStatus},
};

/// How long the gate waits before it tries again to end leases that it could not end.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often the gate removes flows that have ended.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The doors of the configuration and their leases.
pub(super) struct Ledger {
    pub(super) configured: BTreeMap<DoorName, Door>,
    /// The maps of the program that is attached. A program without doors has no such maps.
    maps: Option<DoorMaps>,
    /// The table of the doors that nftables closes, if there are any.
    pub(super) table: Option<Table>,
    pub(super) leases: Leases,
    /// Where the commander learns what becomes of leases.
    pub(super) events: EventSocket,
    pub(super) next_look: NextLook,
    /// How many connections and flows each door has admitted since this gate started, as far as they were counted.
    admitted: BTreeMap<DoorName, u64>,
    /// When to remove flows next that have ended.
    next_sweep: Option<Instant>,
    /// When to try again to end leases that could not be ended.
    retry: Option<Instant>,
}

impl Ledger {
    /// With the leases that an earlier gate has left.
    ///
    /// # Errors
    /// If the map of leases cannot be read.
    pub(super) fn adopt(
        configured: &BTreeMap<DoorName, Door>,
        maps: Option<DoorMaps>,
        table: Option<(Table, Found)>,
        events: EventSocket,
    ) -> anyhow::Result<Self> {
        let mut leases = Leases::default();
        let left = maps.as_ref().map(DoorMaps::leases).transpose()?;
        for (lease, found) in left.into_iter().flatten() {
            leases.insert(lease, Held::new(filter::element(&found), found.connections));
        }
        let (table, left) = table.unzip();
        for (lease, element) in left.into_iter().flatten() {
            leases.insert(lease, Held::new(element, element.connections()));
        }
        Ok(Self {
            configured: configured.clone(),
            maps,
            table,
            leases,
            events,
            next_look: NextLook::default(),
            admitted: BTreeMap::new(),
            next_sweep: None,
            retry: None,
        })
    }

    /// Whether the configuration has no door.
    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_empty()
    }

    /// Goes on with other doors and another program.
    pub(super) fn change(&mut self, configured: &BTreeMap<DoorName, Door>, maps: Option<DoorMaps>) {
        self.configured.clone_from(configured);
        self.maps = maps;
    }

    /// When to [tend](Ledger::tend) to something.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let change = self.leases.next_change().and_then(boot_clock::to_instant);
        // A lease that could not be removed is one that should have changed before now.
        let change = self.retry.or(change);
        let sweep = self.next_sweep.filter(|_| self.has_flows());
        let wakes = [change, sweep, self.next_look.at(), self.events.next_wake(now)];
        wakes.into_iter().flatten().min()
    }

    /// Reports leases that have ended or admitted connections, removes them from the map a moment later, and makes room for flows.
    pub(super) fn tend(&mut self, now: Instant, keys: &HeldKeys) {
        self.sweep_flows(now);
        self.note_ended(keys);
        self.note_connections(now);
        self.events.flush();
        if let Some(retry) = self.retry {
            if now < retry {
                return;
            }
            self.retry = None;
            self.close_unsupported(keys);
        }
        self.remove(&self.leases.outdated(boot_clock::now()), false);
    }

    /// Makes room in the map of flows. The XDP program already treats flows that have ended as unknown.
    fn sweep_flows(&mut self, now: Instant) {
        if !self.has_flows() || self.next_sweep.is_some_and(|next| now < next) {
            return;
        }
        self.next_sweep = now.checked_add(SWEEP_INTERVAL);
        let boot = nanoseconds(boot_clock::now());
        let Some(maps) = &mut self.maps else { return };
        if let Err(error) = flows::sweep(maps, boot) {
            tracing::error!("could not remove flows that have ended: {error:#}");
        }
    }

    fn has_flows(&self) -> bool {
        self.configured.values().any(Door::has_flows)
    }

    /// Closes what keys have opened that are no longer in force, and removed doors, and ends the flows of both, however long
    /// ago their leases have ended.
    pub(super) fn close_unsupported(&mut self, keys: &HeldKeys) {
        let in_force: BTreeSet<KeyId> = keys.ids_in_force().collect();
        let has_door = |door: DoorName| self.configured.contains_key(&door);
        let ending = self.leases.unsupported(has_door, &in_force).into_iter();
        let ending = ending.map(|(lease, held)| (lease, Some(self.cause(&lease, &held, keys))));
        for LeaseKey { door, address } in self.end_early(&ending.collect::<Vec<_>>()) {
            let ip = IpAddr::from(address);
            tracing::info!(%door, %ip, "closed the door: its key or the door is no longer in force");
        }
        let Self { configured, maps, .. } = self;
        end_flows(maps.as_mut(), |_, flow| {
            !in_force.contains(&flow.key) || !configured.contains_key(&flow.door)
        });
    }

    /// Does what a request asks for, if it may.
    ///
    /// # Errors
    /// The answer, if it is a refusal.
    pub(super) fn obey(&mut self, request: &Request, keys: &HeldKeys) -> Result<Answer, Answer> {
        let door = self.configured.get(&request.door).ok_or(Answer::UnknownDoor)?;
        let lease = in_kernel(door).lease_key(request.address);
        let now = boot_clock::now();
        match request.action {
            Action::Close => {
                let cause = request.is_from_tool().then_some(Cause::Tool);
                self.close(&lease, cause, now)
            }
            Action::CloseAll => self.close_all(request.door, now),
            Action::Open { until } => {
                let (duration, limit) = (door.duration, door.connections.unwrap_or_default());
                if !keys.ids_in_force().any(|id| id == request.key) {
                    return Err(Answer::UnknownKey);
                }
                if until > now.saturating_add(duration) {
                    return Err(Answer::TooLong);
                }
                // The request has waited for longer than the lease was to last.
                if until <= now {
                    return Err(Answer::TooLate);
                }
                let grant = self.leases.grant(&lease, request.key, until, now)?;
                self.open(&lease, &grant, request, limit)
            }
        }
    }

    fn close(
        &mut self,
        lease: &LeaseKey,
        cause: Option<Cause>,
        now: Duration,
    ) -> Result<Answer, Answer> {
        let was_open = self.leases.is_in_force(lease, now);
        let has_ended = !self.end_early(&[(*lease, cause)]).is_empty();
        let Self { configured, maps, .. } = self;
        if let Some(door) = configured.get(&lease.door).filter(|door| door.has_flows()) {
            let door = in_kernel(door);
            end_flows(maps.as_mut(), |key, flow| flows::is_of(lease, &door, key, flow));
        }
        if !has_ended {
            return Err(Answer::Failed);
        }
        Ok(if was_open { Answer::Closed } else { Answer::WasClosed })
    }

    fn close_all(&mut self, door: DoorName, now: Duration) -> Result<Answer, Answer> {
        let leases = self.leases.all().into_iter().filter(|lease| lease.door == door);
        let ending: Vec<_> = leases.map(|lease| (lease, Some(Cause::Tool))).collect();
        let was_open = ending.iter().any(|(lease, _)| self.leases.is_in_force(lease, now));
        let gone = self.end_early(&ending);
        end_flows(self.maps.as_mut(), |_, flow| flow.door == door);
        match (gone.len() == ending.len(), was_open) {
            (true, true) => Ok(Answer::Closed),
            (true, false) => Ok(Answer::WasClosed),
            (false, _) => Err(Answer::Failed),
        }
    }

    fn open(
        &mut self,
        lease: &LeaseKey,
        grant: &Grant,
        request: &Request,
        limit: u32,
    ) -> Result<Answer, Answer> {
        self.count(lease);
        let failed = |error: anyhow::Error| {
            tracing::error!(door = %lease.door, "could not open the door: {error:#}");
            Answer::Failed
        };
        let door = self.configured.get(&lease.door).ok_or(Answer::UnknownDoor)?;
        let Grant { until, since, answer } = *grant;
        let is_renewed = answer == Answer::Renewed;
        if door.backend.has_xdp() {
            let maps = self.maps.as_mut().ok_or(Answer::Failed)?;
            if !write(maps, lease, grant, request, limit).map_err(failed)? {
                return Err(Answer::Full);
            }
        }
        let (key, counter) = (request.key, request.counter);
        let mut new = Element { until, since, key, counter, base: 0, left: None, matched: 0 };
        if door.backend.has_nftables() {
            let table = self.table.as_mut().ok_or(Answer::Failed)?;
            let before = self.leases.get(lease).map(|held| held.lease);
            new = table.open(lease, new, before.filter(|_| is_renewed)).map_err(failed)?;
        }
        // A lease that was opened has no connections yet.
        let counted = if is_renewed { self.leases.counted(lease) } else { 0 };
        self.leases.insert(*lease, Held::new(new, counted));
        Ok(answer)
    }

    /// Adds to the sum of a door what a lease has admitted since it was last counted, and reports it. Returns what the map
    /// has of the lease.
    pub(super) fn count(&mut self, key: &LeaseKey) -> Option<Lease> {
        let lease = self.lease(key)?;
        let new = self.leases.count(key, lease.connections);
        let sum = self.admitted.entry(key.door).or_default();
        *sum = sum.saturating_add(new);
        if new > 0 {
            self.report(key, &lease, Happened::Connected { new });
        }
        Some(lease)
    }

    /// What the kernel has of a lease. With both, the XDP program counts.
    fn lease(&self, key: &LeaseKey) -> Option<Lease> {
        let in_map = self.maps.as_ref().and_then(|maps| maps.lease(key).ok().flatten());
        in_map.or_else(|| {
            let Held { lease, counted, .. } = self.leases.get(key)?;
            let is_counted = self.is_counted_by_table(key);
            Some(filter::lease(lease, if is_counted { lease.connections() } else { *counted }))
        })
    }

    /// Whether the table counts the connections of a lease. Of UDP, it counts packets.
    fn is_counted_by_table(&self, key: &LeaseKey) -> bool {
        let door = self.configured.get(&key.door);
        door.is_some_and(|door| !door.has_flows() || door.is_forwarded)
    }

    /// Reads what the table has counted.
    pub(super) fn refresh(&mut self) {
        if let Some(table) = &mut self.table {
            table.refresh(&mut self.leases);
        }
    }

    /// Takes leases out of map and table, revoked ones with their flows of UDP; those that neither has any more. For all
    /// of them, `nft` runs once: the watchdog would end a gate that waits for several programs that hang.
    pub(super) fn remove(&mut self, leases: &[LeaseKey], is_revoked: bool) -> Vec<LeaseKey> {
        for lease in leases {
            self.count(lease);
        }
        let in_table = self.table.as_mut().map_or(Ok(()), |table| table.close(leases, is_revoked));
        let mut gone = Vec::new();
        for lease in leases {
            let in_map = self.maps.as_mut().map_or(Ok(()), |maps| maps.remove(lease));
            match (in_map, &in_table) {
                (Ok(()), Ok(())) => gone.push(*lease),
                (Err(error), _) => {
                    tracing::error!(door = %lease.door, "could not close the door: {error:#}")
                }
                (Ok(()), Err(error)) => {
                    tracing::error!(door = %lease.door, "could not close the door: {error:#}")
                }
            }
        }
        for lease in &gone {
            self.leases.remove(lease);
        }
        if gone.len() < leases.len() {
            self.retry = Instant::now().checked_add(RETRY_INTERVAL);
        }
        gone
    }

    /// How many connections a lease has admitted, if they are counted.
    fn connections(&self, key: &LeaseKey) -> Option<u64> {
        let in_map = self.maps.as_ref().is_some_and(|maps| matches!(maps.lease(key), Ok(Some(_))));
        let is_counted = in_map || self.is_counted_by_table(key);
        is_counted.then(|| self.lease(key)).flatten().map(|lease| lease.connections)
    }

    /// Has doors guard the addresses that the host has now.
    pub(super) fn guard(&mut self, destinations: &BTreeSet<Address>) {
        let Some(maps) = &mut self.maps else { return };
        if let Err(error) = maps.set_addresses(destinations) {
            tracing::error!("{error:#}");
        }
    }

    /// What the operator's tool shows of each door.
    pub(super) fn statuses(&mut self, keys: &HeldKeys) -> Vec<DoorStatus> {
        self.refresh();
        for lease in self.leases.all() {
            self.count(&lease);
        }
        let now = boot_clock::now();
        let flows = self.live_flows(now);
        let lease = |(lease, held): (&LeaseKey, &Held)| LeaseStatus {
            address: self.shown(lease),
            key: keys.name(held.lease.key),
            open_ms: millis(now.saturating_sub(held.lease.since)),
            left_ms: millis(held.lease.until.saturating_sub(now)),
            connections: self.connections(lease),
        };
        let of_door = |door: &Door| DoorStatus {
            name: door.name.to_string(),
            ports: door.ports.iter().map(ToString::to_string).collect(),
            backends: door.backend.names().into_iter().map(str::to_owned).collect(),
            for_seconds: door.duration.as_secs(),
            admitted: self.admitted.get(&door.name).copied().unwrap_or_default(),
            flows: door.has_flows().then(|| flows.get(&door.name).copied().unwrap_or_default()),
            leases: self
                .leases
                .in_force(now)
                .filter(|(lease, _)| lease.door == door.name)
                .map(lease)
                .collect(),
        };
        self.configured.values().map(of_door).collect()
    }

    /// How many flows pass each door.
    fn live_flows(&self, now: Duration) -> BTreeMap<DoorName, u64> {
        let mut count = BTreeMap::new();
        let maps = self.maps.as_ref().filter(|_| self.has_flows());
        let flows = maps.map_or(Ok(Vec::new()), DoorMaps::flows).unwrap_or_else(|error| {
            tracing::error!("{error:#}");
            Vec::new()
        });
        for (_, flow) in flows.iter().filter(|(_, flow)| flow.is_live(nanoseconds(now))) {
            let count: &mut u64 = count.entry(flow.door).or_default();
            *count = count.saturating_add(1);
        }
        count
    }

    /// The address of a lease; where the lease covers a network, with its prefix.
    fn shown(&self, lease: &LeaseKey) -> String {
        let (ip, door) = (IpAddr::from(lease.address), self.configured.get(&lease.door));
        let source = door.map_or(SourcePrefix::ADDRESS, |door| door.source);
        match (ip, source) {
            (IpAddr::V4(_), SourcePrefix { ipv4: 32, .. })
            | (IpAddr::V6(_), SourcePrefix { ipv6: 128, .. }) => ip.to_string(),
            (IpAddr::V4(_), SourcePrefix { ipv4: length, .. })
            | (IpAddr::V6(_), SourcePrefix { ipv6: length, .. }) => format!("{ip}/{length}"),
        }
    }
}

/// Ends flows whose lease has been taken out of the map. TCP sessions of this host continue.
fn end_flows(maps: Option<&mut DoorMaps>, is_over: impl Fn(&FlowKey, &Flow) -> bool) {
    let Some(maps) = maps else { return };
    // A packet that has found the lease may begin a flow until it has been judged.
    wait_for_packets_under_way();
    if let Err(error) = flows::end(maps, is_over) {
        tracing::error!("could not end the flows of a lease: {error:#}");
    }
}

/// Writes a granted lease into the map, if there is room. What a new knock does not change continues: the bucket, and how many
/// connections there were.
fn write(
    maps: &mut DoorMaps,
    lease: &LeaseKey,
    grant: &Grant,
    request: &Request,
    limit: u32,
) -> anyhow::Result<bool> {
    let is_renewed = grant.answer == Answer::Renewed;
    let before = if is_renewed { maps.lease(lease)? } else { None };
    // The commander asks again if it has not seen the answer. That is one knock.
    let counter = request.counter.to_be_bytes();
    let is_same = |before: &Lease| before.key == request.key && before.counter == counter;
    let same = before.filter(is_same);
    let value = Lease {
        until: nanoseconds(grant.until),
        since: nanoseconds(grant.since),
        bucket: before.map_or(0, |before| before.bucket),
        connections: before.map_or(0, |before| before.connections),
        used: same.map_or(0, |same| same.used),
        limit,
        flows: same.map_or(0, |same| same.flows),
        last_port: before.map_or(0, |before| before.last_port),
        admitted_at: before.map_or(0, |before| before.admitted_at),
        key: request.key,
        counter,
    };
    maps.put(lease, &value)
}
