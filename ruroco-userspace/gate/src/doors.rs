//! Doors: ports that are closed to everyone but the addresses that hold a lease.
//!
//! The commander requests leases, the gate checks the requests against its own configuration and writes them into
//! the kernel's map, and the XDP program enforces them. The kernel ends leases by its own clock: the gate only
//! removes and logs them. Leases outlive the gate, and the next gate adopts them.
//!
//! Rationale: decision 0037.

mod filter;
mod flows;
mod lease_socket;
mod leases;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use ruroco_common::{
    address::Address,
    datagram::KeyId,
    doors::{DoorName, Lease, LeaseKey, SourcePrefix},
};
use ruroco_config::{Config, door::Door};
use ruroco_ipc::{
    boot_clock,
    lease::{Action, Answer, Request},
};

pub(super) use self::lease_socket::PLACES;
use self::{
    lease_socket::LeaseSocket,
    leases::{Grant, Held, Leases},
};
use super::{
    arming::{Arming, Switch},
    door_maps::{self, DoorMaps, in_kernel},
    held_keys::HeldKeys,
    nft::table::Table,
    status::{ArmingStatus, DoorStatus, LeaseStatus},
};

/// How often the gate removes flows that have ended.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// How often the gate checks whether a connection has confirmed that doors stay armed.
const ARMING_INTERVAL: Duration = Duration::from_secs(1);

/// The doors of the configuration and their leases.
pub(super) struct Doors {
    configured: BTreeMap<DoorName, Door>,
    /// The maps of the program that is attached. A program without doors has no such maps.
    maps: Option<DoorMaps>,
    /// The table of the doors that nftables closes, if there are any.
    table: Option<Table>,
    leases: Leases,
    socket: LeaseSocket,
    /// Whether doors are armed. Without doors, there is no switch.
    switch: Option<Switch>,
    /// When to remove flows next that have ended.
    next_sweep: Option<Instant>,
    /// What the switch was when the gate last looked.
    arming: Arming,
}

impl Doors {
    /// Begins to answer requests, with the leases that an earlier gate has left.
    ///
    /// # Errors
    /// If the socket cannot be made, or the map of leases cannot be read.
    pub(super) fn begin(
        config: &Config,
        maps: Option<DoorMaps>,
        keys: &HeldKeys,
    ) -> anyhow::Result<Self> {
        let mut leases = Leases::default();
        let left = maps.as_ref().map(DoorMaps::leases).transpose()?;
        for (lease, Lease { until, since, key, .. }) in left.into_iter().flatten() {
            let [until, since] = [until, since].map(Duration::from_nanos);
            leases.insert(lease, Held { until, since, key, has_ended: false });
        }
        let table = filter::begin(config)?;
        for (lease, element) in table.iter().flat_map(Table::leases) {
            leases.insert(*lease, Held::from(element));
        }
        let socket = LeaseSocket::listen(&config.socket_dir)?;
        let configured = config.doors.clone();
        let (switch, arming, next_sweep) = (None, Arming::Armed, None);
        let mut doors =
            Self { configured, maps, table, leases, socket, switch, next_sweep, arming };
        doors.begin_arming(config)?;
        doors.write_table(config)?;
        doors.close_unsupported(keys);
        doors.forget_earlier(config);
        Ok(doors)
    }

    /// Whether the configuration has no door.
    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_empty()
    }

    /// What to wait for, while another connection can be accepted.
    pub(super) fn descriptor(&self, now: Instant) -> Option<BorrowedFd<'_>> {
        self.socket.descriptor(now)
    }

    /// The connection in one of [`PLACES`].
    pub(super) fn connection(&self, place: usize) -> Option<BorrowedFd<'_>> {
        self.socket.connection(place)
    }

    /// Accepts a connection.
    pub(super) fn accept(&mut self, now: Instant) {
        self.socket.accept(now);
    }

    /// When to [tend](Doors::tend) to something.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let change = self.leases.next_change().and_then(boot_clock::to_instant);
        // While doors are armed for a time, a connection can confirm it at any moment.
        let is_on_trial = matches!(self.arming, Arming::ArmedUntil(_));
        let look = is_on_trial.then(|| now.checked_add(ARMING_INTERVAL)).flatten();
        let sweep = self.next_sweep.filter(|_| self.has_flows());
        let table = self.table.as_ref().and_then(Table::next_wake);
        let socket = self.socket.next_wake(now);
        [change, look, sweep, table, socket].into_iter().flatten().min()
    }

    /// Goes on with another configuration and other keys.
    pub(super) fn change(&mut self, config: &Config, maps: Option<DoorMaps>, keys: &HeldKeys) {
        self.end_moved(config);
        self.configured.clone_from(&config.doors);
        self.maps = maps;
        if let Err(error) = self.write_table(config) {
            tracing::error!("doors of nftables are as before the reload: {error:#}");
        }
        self.close_unsupported(keys);
        self.forget_earlier(config);
    }

    /// What no door needs any more is not kept: the maps and the table of earlier doors.
    fn forget_earlier(&mut self, config: &Config) {
        if self.configured.is_empty() {
            self.switch = None;
        }
        if !self.configured.values().any(|door| door.backend.has_xdp()) {
            if let Some(switch) = &mut self.switch {
                switch.forget_map();
            }
            if let Err(error) = door_maps::unpin(&config.gate.pin_dir) {
                tracing::warn!("could not remove the maps of earlier doors: {error:#}");
            }
        }
        if !self.configured.values().any(|door| door.backend.has_nftables()) {
            self.table = None;
            filter::forget(config);
        }
    }

    /// Begins to follow whether doors are armed, if a configuration has doors. To be called before the program that
    /// has them is attached.
    ///
    /// # Errors
    /// If this is unknown.
    pub(super) fn begin_arming(&mut self, config: &Config) -> anyhow::Result<()> {
        let places = |door: &Door| (door.backend.has_xdp(), door.backend.has_nftables());
        let places =
            |doors: &BTreeMap<DoorName, Door>| doors.values().map(places).collect::<BTreeSet<_>>();
        let has_moved = places(&config.doors) != places(&self.configured);
        if !config.doors.is_empty() && (self.switch.is_none() || has_moved) {
            let mut switch = Switch::open(config)?;
            self.arming = switch.begin()?;
            self.switch = Some(switch);
            report_arming(self.arming);
        }
        Ok(())
    }

    /// Notices that the operator, a connection or the end of its time has changed whether doors are armed.
    pub(super) fn follow_arming(&mut self) {
        self.follow_table(Instant::now());
        let Some(switch) = &mut self.switch else { return };
        match switch.follow() {
            Ok(arming) if arming != self.arming => {
                self.arming = arming;
                report_arming(arming);
            }
            Ok(_) => {}
            Err(error) => tracing::error!("could not determine whether doors are armed: {error:#}"),
        }
    }

    /// Whether doors are armed, for the operator.
    pub(super) fn arming_status(&self) -> ArmingStatus {
        let now = boot_clock::now();
        match self.arming {
            Arming::Armed => ArmingStatus { armed: true, left_ms: None },
            Arming::ArmedUntil(end) => {
                ArmingStatus { armed: now < end, left_ms: Some(millis(end.saturating_sub(now))) }
            }
            Arming::Disarmed => ArmingStatus { armed: false, left_ms: None },
        }
    }

    /// Closes what keys have opened that are no longer in force, and removed doors.
    pub(super) fn close_unsupported(&mut self, keys: &HeldKeys) {
        let keys: BTreeSet<KeyId> = keys.ids_in_force().collect();
        let has_door = |door: DoorName| self.configured.contains_key(&door);
        for lease in self.leases.unsupported(has_door, &keys) {
            self.end_flows(&lease);
            if self.revoke(&lease) {
                let (door, ip) = (lease.door, IpAddr::from(lease.address));
                tracing::info!(%door, %ip, "closed the door: its key or the door is no longer in force");
            }
        }
    }

    /// Logs leases that have ended, and removes them from the map a moment later.
    pub(super) fn tend(&mut self, now: Instant, keys: &HeldKeys) {
        self.socket.tend(now);
        self.follow_arming();
        self.sweep_flows(now);
        let now = boot_clock::now();
        for (lease, held) in self.leases.take_ended(now) {
            let connections = self.connections(&lease);
            let (door, ip, key) = (lease.door, IpAddr::from(lease.address), keys.name(held.key));
            tracing::info!(%door, %ip, %key, ?connections, "the lease has ended");
        }
        for lease in self.leases.outdated(now) {
            self.end(&lease);
        }
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

    /// Deals with the request of a connection, if it has come.
    pub(super) fn serve(&mut self, place: usize, keys: &HeldKeys) {
        let Some(message) = self.socket.receive(place) else { return };
        let answer = match Request::decode(message.bytes()) {
            Ok(request) => self.answer(&request, keys),
            Err(error) => {
                tracing::warn!("rejected a request for a door: {error}");
                Answer::Malformed
            }
        };
        message.answer(answer);
    }

    fn answer(&mut self, request: &Request, keys: &HeldKeys) -> Answer {
        let answer = self.obey(request, keys).unwrap_or_else(|answer| answer);
        let Request { door, address, key, counter, .. } = request;
        let (ip, key, result) = (IpAddr::from(*address), keys.name(*key), answer.name());
        match answer.is_success() {
            true => tracing::info!(%door, %ip, %key, %counter, result, "door"),
            false => tracing::warn!(%door, %ip, %key, %counter, result, "door"),
        }
        answer
    }

    fn obey(&mut self, request: &Request, keys: &HeldKeys) -> Result<Answer, Answer> {
        let door = self.configured.get(&request.door).ok_or(Answer::UnknownDoor)?;
        let lease = in_kernel(door).lease_key(request.address);
        let now = boot_clock::now();
        let Action::Open { until } = request.action else {
            let was_open = self.leases.is_in_force(&lease, now);
            self.end_flows(&lease);
            if !self.revoke(&lease) {
                return Err(Answer::Failed);
            }
            return Ok(if was_open { Answer::Closed } else { Answer::WasClosed });
        };
        if !keys.ids_in_force().any(|id| id == request.key) {
            return Err(Answer::UnknownKey);
        }
        if until > now.saturating_add(door.duration) {
            return Err(Answer::TooLong);
        }
        let limit = door.connections.unwrap_or_default();
        let grant = self.leases.grant(&lease, request.key, until, now)?;
        let backend = door.backend;
        let failed = |error: anyhow::Error| {
            tracing::error!(door = %lease.door, "could not open the door: {error:#}");
            Answer::Failed
        };
        if backend.has_nftables() {
            let table = self.table.as_mut().ok_or(Answer::Failed)?;
            table.open(&lease, filter::element(&grant, request)).map_err(failed)?;
        }
        if backend.has_xdp() {
            let maps = self.maps.as_mut().ok_or(Answer::Failed)?;
            if !write(maps, &lease, &grant, request, limit).map_err(failed)? {
                return Err(Answer::Full);
            }
        }
        let Grant { until, since, answer } = grant;
        self.leases.insert(lease, Held { until, since, key: request.key, has_ended: false });
        Ok(answer)
    }

    /// Ends the flows of a lease that is revoked. TCP sessions of this host continue.
    fn end_flows(&mut self, lease: &LeaseKey) {
        let (Some(maps), Some(door)) = (&mut self.maps, self.configured.get(&lease.door)) else {
            return;
        };
        if door.has_flows()
            && let Err(error) = flows::end(maps, lease, &in_kernel(door), &door.ports)
        {
            tracing::error!(door = %lease.door, "could not end the flows of a lease: {error:#}");
        }
    }

    /// Takes a lease that has ended out of map and table. Says whether they do not have it any more.
    fn end(&mut self, lease: &LeaseKey) -> bool {
        self.remove(lease, false)
    }

    /// The same for a lease that is in force.
    fn revoke(&mut self, lease: &LeaseKey) -> bool {
        self.remove(lease, true)
    }

    fn remove(&mut self, lease: &LeaseKey, is_revoked: bool) -> bool {
        let in_map = self.maps.as_mut().map_or(Ok(()), |maps| maps.remove(lease));
        let in_table = self.table.as_mut().map_or(Ok(()), |table| table.close(lease, is_revoked));
        match in_map.and(in_table) {
            Ok(()) => {
                self.leases.remove(lease);
                true
            }
            Err(error) => {
                tracing::error!(door = %lease.door, "could not close the door: {error:#}");
                false
            }
        }
    }

    /// How many connections a lease has admitted.
    fn connections(&self, lease: &LeaseKey) -> Option<u64> {
        let lease = self.maps.as_ref()?.lease(lease).ok().flatten()?;
        Some(lease.connections)
    }

    /// Has doors guard the addresses that the host has now.
    pub(super) fn guard(&mut self, destinations: &BTreeSet<Address>) {
        let Some(maps) = &mut self.maps else { return };
        if let Err(error) = maps.set_addresses(destinations) {
            tracing::error!("{error:#}");
        }
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

    /// What the operator's tool shows of each door.
    pub(super) fn statuses(&self, keys: &HeldKeys) -> Vec<DoorStatus> {
        let now = boot_clock::now();
        let in_table = self.table.as_ref().map(Table::connections).unwrap_or_default();
        let lease = |(lease, held): (&LeaseKey, &Held)| LeaseStatus {
            address: self.shown(lease),
            key: keys.name(held.key),
            open_ms: millis(now.saturating_sub(held.since)),
            left_ms: millis(held.until.saturating_sub(now)),
            connections: self.connections(lease).or_else(|| self.counted(lease, &in_table)),
        };
        let of_door = |door: &Door| DoorStatus {
            name: door.name.to_string(),
            ports: door.ports.iter().map(ToString::to_string).collect(),
            backends: door.backend.names().into_iter().map(str::to_owned).collect(),
            for_seconds: door.duration.as_secs(),
            leases: self
                .leases
                .in_force(now)
                .filter(|(lease, _)| lease.door == door.name)
                .map(lease)
                .collect(),
        };
        self.configured.values().map(of_door).collect()
    }
}

fn report_arming(arming: Arming) {
    match arming {
        Arming::Armed => tracing::info!("doors are closed to everyone without a lease"),
        Arming::ArmedUntil(end) => {
            let seconds = end.saturating_sub(boot_clock::now()).as_secs();
            tracing::warn!(
                "doors are closed for {seconds} seconds, and then open to everyone unless a new TCP connection \
                 to this host arrives after a knock, or `ruroco confirm` is run"
            );
        }
        Arming::Disarmed => {
            tracing::warn!("doors are open to everyone. Run `ruroco arm` to close them");
        }
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

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
