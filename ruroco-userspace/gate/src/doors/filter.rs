//! The doors that nftables closes: their table goes along with leases, configuration and arming.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_common::doors::{DoorName, Lease, LeaseKey};
use ruroco_config::{
    Config,
    door::{Backend, Door},
};

use super::{Doors, nanoseconds};
use crate::{
    nft::{
        listing::{Armed, Element},
        table::{self, Found, Seen, Table},
    },
    status::TableStatus,
};

/// The table, if some door needs it, with the leases that an earlier gate has left.
///
/// # Errors
/// If `nft` is not installed, or the kernel has no nftables.
pub(super) fn begin(config: &Config) -> anyhow::Result<Option<(Table, Found)>> {
    let is_needed = config.doors.values().any(|door| door.backend.has_nftables());
    is_needed.then(|| Table::begin(table::may_exist(config))).transpose()
}

/// Removes the table of earlier doors.
pub(super) fn forget(config: &Config) {
    if !table::may_exist(config) {
        return;
    }
    match table::remove() {
        Ok(()) => _ = fs::remove_file(table::mark(config)),
        Err(error) => tracing::warn!("could not remove the table of earlier doors: {error:#}"),
    }
}

/// The doors that nftables closes.
fn of_nftables(config: &Config) -> Vec<Door> {
    let doors = config.doors.values().filter(|door| door.backend.has_nftables());
    doors.cloned().collect()
}

/// A lease, as the XDP program would have it.
pub(super) fn lease(element: &Element, connections: u64) -> Lease {
    Lease {
        until: nanoseconds(element.until),
        since: nanoseconds(element.since),
        bucket: 0,
        connections,
        used: 0,
        limit: 0,
        flows: 0,
        last_port: 0,
        admitted_at: 0,
        key: element.key,
        counter: element.counter.to_be_bytes(),
    }
}

/// The inverse of [`lease`]. The map counts its connections, and no table does.
pub(super) fn element(lease: &Lease) -> Element {
    let Lease { until, since, key, counter, .. } = *lease;
    let [until, since] = [until, since].map(Duration::from_nanos);
    let counter = u128::from_be_bytes(counter);
    Element { until, since, key, counter, base: 0, left: None, matched: 0 }
}

impl Doors {
    /// What to wait for: another program may have changed the table.
    pub(crate) fn table_changes(&self) -> Option<BorrowedFd<'_>> {
        self.ledger.table.as_ref().map(AsFd::as_fd)
    }

    /// The kernel has changed some table of nftables.
    pub(crate) fn notice_table(&mut self, now: Instant) {
        if let Some(table) = &mut self.ledger.table {
            table.notice(now);
        }
    }

    /// Makes sure that nftables is available to doors, before a reload changes anything.
    ///
    /// # Errors
    /// If `nft` is not installed, or the kernel has no nftables.
    pub(crate) fn prepare_table(&mut self, config: &Config) -> anyhow::Result<()> {
        if self.ledger.table.is_none() {
            self.ledger.table = begin(config)?.map(|(table, _)| table);
        }
        Ok(())
    }

    /// Puts the doors of a configuration into force that nftables closes.
    ///
    /// # Errors
    /// If the kernel rejects them, or it is unknown whether doors are armed.
    pub(super) fn write_table(&mut self, config: &Config) -> anyhow::Result<()> {
        self.write_doors(config, of_nftables(config))
    }

    /// The same as [`write_table`](Self::write_table). After a failure, the gate tries again.
    pub(crate) fn write_table_or_retry(&mut self, config: &Config) {
        if let Err(error) = self.write_table(config)
            && let Some(table) = &mut self.ledger.table
        {
            table.write_later(of_nftables(config), &config.addresses, &error, Instant::now());
        }
    }

    /// Before a reload: puts the doors into force that nftables will close, while those are closed that it closes now.
    /// The XDP program may close fewer doors afterwards.
    ///
    /// # Errors
    /// If the kernel rejects them, or it is unknown whether doors are armed.
    pub(crate) fn add_to_table(&mut self, config: &Config) -> anyhow::Result<()> {
        let next = of_nftables(config);
        let collides = |old: &Door, new: &Door| {
            let mut ports = old.ports.iter();
            old.name == new.name
                || ports.any(|old| new.ports.iter().any(|new| old.common(*new).is_some()))
        };
        let now = self.ledger.configured.values().filter(|door| door.backend.has_nftables());
        let kept = now.filter(|old| !next.iter().any(|new| collides(old, new))).cloned();
        let doors = kept.chain(next.iter().cloned()).collect();
        self.write_doors(config, doors)
    }

    fn write_doors(&mut self, config: &Config, doors: Vec<Door>) -> anyhow::Result<()> {
        let (Some(table), Some(switch)) = (&mut self.ledger.table, self.arming.switch()) else {
            return Ok(());
        };
        let mark = table::mark(config);
        match fs::File::create_new(&mark) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("could not write {}", mark.display()));
            }
            Ok(_) | Err(_) => {}
        }
        let state = switch.for_table()?;
        table.write(doors, &config.addresses, state, &mut self.ledger.leases)?;
        switch.note_table(Armed { state, is_confirmed: false });
        Ok(())
    }

    /// Ends the leases of doors that another part of the kernel is to close. It does not have them.
    pub(super) fn end_moved(&mut self, config: &Config) {
        let has_moved = |lease: &LeaseKey| {
            let [old, new] =
                [&self.ledger.configured, &config.doors].map(|doors| doors.get(&lease.door));
            old.zip(new).is_some_and(|(old, new)| old.backend != new.backend)
        };
        let moved: Vec<LeaseKey> =
            self.ledger.leases.held().map(|(lease, _)| *lease).filter(has_moved).collect();
        for lease in self.ledger.remove(&moved, true) {
            tracing::info!(door = %lease.door, "closed the door: its `backend` has changed");
        }
    }

    /// Restores the table if another program has removed it, and follows what it says of a trial.
    pub(super) fn follow_table(&mut self, now: Instant) {
        let Some(table) = &mut self.ledger.table else { return };
        if self.arming.is_on_trial() && table.next_wake().is_none() {
            table.notice(now);
        }
        let (Some(seen), Some(switch)) =
            (table.check(now, &mut self.ledger.leases), self.arming.switch())
        else {
            return;
        };
        match seen {
            Seen::Whole(armed) if switch.may_be(armed) => switch.note_table(armed),
            Seen::Whole(_) | Seen::Lost => match switch.without_table() {
                Ok(state) => table.restore(state, &mut self.ledger.leases, now),
                Err(error) => table.report(&error, now),
            },
        }
    }

    /// Follows arming without waiting for the kernel's messages, for a status that is asked for.
    pub(crate) fn look_again(&mut self) {
        if let Some(table) = &mut self.ledger.table {
            table.expect_change(Instant::now());
        }
        self.follow_arming();
    }

    /// Whether another part of the kernel has doors in this configuration than before.
    pub(super) fn has_moved(&self, config: &Config) -> bool {
        let parts = |doors: &BTreeMap<DoorName, Door>| {
            let has = |part: fn(Backend) -> bool| doors.values().any(|door| part(door.backend));
            (has(Backend::has_xdp), has(Backend::has_nftables))
        };
        parts(&self.ledger.configured) != parts(&config.doors)
    }

    /// Removes the table: a gate that stops opens its doors.
    pub(crate) fn open_table(&mut self, config: &Config) {
        if self.ledger.table.take().is_some() {
            forget(config);
        }
    }

    /// The table, for the operator.
    pub(crate) fn table_status(&self) -> Option<TableStatus> {
        self.ledger.table.as_ref().map(Table::status)
    }
}
