//! Doors: ports that are closed to everyone but the addresses that hold a lease.
//!
//! The commander requests leases, the gate checks the requests against its own configuration and writes them into
//! the kernel's map, and the XDP program enforces them. The kernel ends leases by its own clock: the gate only
//! removes and logs them. Leases outlive the gate, and the next gate adopts them.
//!
//! - `lease_socket` receives requests;
//! - `ledger` gives and ends leases, by the rules in `leases`, and ends `flows`;
//! - `events` reports to the commander what becomes of leases, over the `event_socket`;
//! - `filter` keeps the table of nftables;
//! - `arming_watch` follows whether doors are armed.
//!
//! Rationale: decision 0037.

mod arming_watch;
mod event_socket;
mod events;
mod filter;
mod flows;
mod lease_socket;
pub(crate) mod leases;
mod ledger;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use ruroco_common::address::Address;
use ruroco_config::{Config, door::Backend};
use ruroco_ipc::lease::{Answer, Request};

pub(super) use self::lease_socket::PLACES;
use self::{
    arming_watch::ArmingWatch, event_socket::EventSocket, lease_socket::LeaseSocket, ledger::Ledger,
};
use super::{
    door_maps::{self, DoorMaps},
    held_keys::HeldKeys,
    nft::table::Table,
    status::{ArmingStatus, DoorStatus},
};

/// The doors of this host.
pub(super) struct Doors {
    arming: ArmingWatch,
    ledger: Ledger,
    socket: LeaseSocket,
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
        let events = EventSocket::listen(&config.socket_dir)?;
        let table = filter::begin(config)?;
        let ledger = Ledger::adopt(&config.doors, maps, table, events)?;
        let socket = LeaseSocket::listen(&config.socket_dir)?;
        let mut doors = Self { arming: ArmingWatch::default(), ledger, socket };
        doors.begin_arming(config)?;
        doors.write_table(config)?;
        doors.close_unsupported(keys);
        doors.forget_earlier(config);
        Ok(doors)
    }

    /// Whether the configuration has no door.
    pub(super) fn is_empty(&self) -> bool {
        self.ledger.is_empty()
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

    /// The socket over which the commander learns what becomes of leases.
    pub(super) const fn events(&self) -> &EventSocket {
        &self.ledger.events
    }

    /// The same.
    pub(super) const fn events_mut(&mut self) -> &mut EventSocket {
        &mut self.ledger.events
    }

    /// When to [tend](Doors::tend) to something.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let table = self.ledger.table.as_ref().and_then(Table::next_wake);
        let socket = self.socket.next_wake(now);
        let wakes = [self.ledger.next_wake(now), self.arming.next_look(now), socket, table];
        wakes.into_iter().flatten().min()
    }

    /// Deals with what is due.
    pub(super) fn tend(&mut self, now: Instant, keys: &HeldKeys) {
        self.socket.tend(now);
        self.follow_arming();
        self.ledger.tend(now, keys);
    }

    /// Goes on with another configuration and other keys.
    pub(super) fn change(&mut self, config: &Config, maps: Option<DoorMaps>, keys: &HeldKeys) {
        self.end_moved(config);
        self.ledger.change(&config.doors, maps);
        self.write_table_or_retry(config);
        self.close_unsupported(keys);
        self.forget_earlier(config);
    }

    /// What no door needs any more is not kept: the maps and the table of earlier doors.
    fn forget_earlier(&mut self, config: &Config) {
        let mut backends = config.doors.values().map(|door| door.backend);
        if self.is_empty() {
            self.arming.end();
        }
        if !backends.clone().any(Backend::has_xdp) {
            if let Some(switch) = self.arming.switch() {
                switch.forget_map();
            }
            if let Err(error) = door_maps::unpin(&config.gate.pin_dir) {
                tracing::warn!("could not remove the maps of earlier doors: {error:#}");
            }
        }
        if !backends.any(Backend::has_nftables) {
            self.ledger.table = None;
            filter::forget(config);
        }
    }

    /// Begins to follow whether doors are armed, if a configuration has doors. To be called before the program that
    /// has them is attached.
    ///
    /// # Errors
    /// If this is unknown.
    pub(super) fn begin_arming(&mut self, config: &Config) -> anyhow::Result<()> {
        let has_moved = self.has_moved(config);
        self.arming.begin(config, has_moved)
    }

    /// Notices that the operator, a connection or the end of its time has changed whether doors are armed.
    pub(super) fn follow_arming(&mut self) {
        self.follow_table(Instant::now());
        self.arming.follow();
    }

    /// Whether doors are armed, for the operator.
    pub(super) fn arming_status(&self) -> ArmingStatus {
        self.arming.status()
    }

    /// Closes what keys have opened that are no longer in force, and removed doors.
    pub(super) fn close_unsupported(&mut self, keys: &HeldKeys) {
        self.ledger.close_unsupported(keys);
    }

    /// Has doors guard the addresses that the host has now.
    pub(super) fn guard(&mut self, destinations: &BTreeSet<Address>) {
        self.ledger.guard(destinations);
    }

    /// What the operator's tool shows of each door.
    pub(super) fn statuses(&mut self, keys: &HeldKeys) -> Vec<DoorStatus> {
        self.ledger.statuses(keys)
    }

    /// Deals with the request of a connection, if it has come.
    pub(super) fn serve(&mut self, place: usize, keys: &HeldKeys) {
        let Some(message) = self.socket.receive(place) else { return };
        // A lease that ended just now is not renewed, but opened again.
        self.ledger.note_ended(keys);
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
        let answer = self.ledger.obey(request, keys).unwrap_or_else(|answer| answer);
        let Request { door, address, key, counter, .. } = request;
        let (ip, key, result) = (IpAddr::from(*address), keys.name(*key), answer.name());
        match answer.is_success() {
            true => tracing::info!(%door, %ip, %key, %counter, result, "door"),
            false => tracing::warn!(%door, %ip, %key, %counter, result, "door"),
        }
        answer
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
