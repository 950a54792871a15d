//! What the gate does with the table: it writes leases, follows whether the table is there, and restores it.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_common::{
    address::Address,
    doors::{DoorState, LeaseKey},
};
use ruroco_config::{Config, door::Door};
use ruroco_ipc::boot_clock;

use super::{
    changes::Changes,
    listing::{Armed, Element, Listing},
    program,
    ruleset::{self, Content},
};
use crate::{
    doors::leases::{Held, Leases},
    status::TableStatus,
};

/// Leases in a table.
pub(crate) type Found = BTreeMap<LeaseKey, Element>;

/// Least time between two checks of the table: other programs may change theirs many times in a second.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The table of the doors that nftables closes.
pub(crate) struct Table {
    changes: Changes,
    /// The doors that it closes.
    doors: Vec<Door>,
    /// The host's addresses in the configuration.
    addresses: Vec<Address>,
    revoked: BTreeSet<LeaseKey>,
    /// How many rules the table had after it was written. Unknown if the last change has failed.
    rules: Option<usize>,
    /// When to look whether it is as it was written.
    next_check: Option<Instant>,
    last_check: Option<Instant>,
    restored: u64,
    problem: Option<String>,
}

/// What the kernel has now.
///
/// # Errors
/// If `nft` is not installed, or the kernel does not list the table.
pub(crate) fn look() -> anyhow::Result<Option<Listing>> {
    program::list()?.map(|json| Listing::parse(&json)).transpose().context("nft -j list table")
}

/// The file in `socket_dir` which says that a gate has written the table since the start of the host, which both do not
/// outlive.
const MARK: &str = "nftables";

/// The path of this file.
pub(crate) fn mark(config: &Config) -> PathBuf {
    config.socket_dir.join(MARK)
}

/// Whether a gate has written the table since the start of the host. A table that is there without it was loaded with a
/// saved ruleset.
pub(crate) fn may_exist(config: &Config) -> bool {
    mark(config).exists()
}

/// Arms or disarms doors in the table, if it exists.
///
/// # Errors
/// If `nft` is not installed, or the kernel rejects the change.
pub(crate) fn set_armed(state: DoorState) -> anyhow::Result<()> {
    program::apply(&ruleset::arming(state, boot_clock::now()))
}

/// Removes the table, whether or not it exists.
///
/// # Errors
/// If `nft` is not installed, or the kernel rejects the change.
pub(crate) fn remove() -> anyhow::Result<()> {
    program::apply(&ruleset::removal())
}

/// What a look at the table has found.
pub(crate) enum Seen {
    /// It is as it was written, and says this of arming.
    Whole(Armed),
    /// Another program has removed or changed it.
    Lost,
}

impl Table {
    /// Begins to follow the kernel's table. If an earlier gate has written it since the host was started, its leases
    /// continue. [`Table::write`] puts the doors into force.
    ///
    /// # Errors
    /// If `nft` is not installed, or the kernel has no nftables.
    pub(crate) fn begin(is_of_this_boot: bool) -> anyhow::Result<(Self, Found)> {
        let changes = Changes::watch().context("could not follow changes of nftables")?;
        // The administrator may have saved the ruleset with our table in it, and a start of the host loads it.
        let left = look()?.filter(|_| is_of_this_boot);
        let (leases, revoked) = left.map(|left| (left.leases, left.revoked)).unwrap_or_default();
        let table = Self {
            changes,
            doors: Vec::new(),
            addresses: Vec::new(),
            revoked: revoked.into_iter().collect(),
            rules: None,
            next_check: None,
            last_check: None,
            restored: 0,
            problem: None,
        };
        Ok((table, leases))
    }

    /// Puts these doors into force, with their leases.
    ///
    /// # Errors
    /// If the kernel rejects the table. The earlier one stays in force then.
    pub(crate) fn write(
        &mut self,
        doors: Vec<Door>,
        addresses: &[Address],
        state: DoorState,
        leases: &mut Leases,
    ) -> anyhow::Result<()> {
        if let Some(now) = look()? {
            self.note(&now, leases);
        }
        let rewritten = |(lease, held): (&LeaseKey, &Held)| {
            let door = doors.iter().find(|door| door.name == lease.door)?;
            let element = held.lease.rewritten();
            // Of a lease that no table has counted, it is unknown how many connections it has admitted.
            let left = |limit: u32| element.left.unwrap_or(0).min(limit);
            Some((*lease, Element { left: ruleset::limit(door).map(left), ..element }))
        };
        let written = leases.held().filter_map(rewritten).collect();
        self.replace(doors, addresses.to_vec(), state, &written)?;
        note(&written, leases);
        Ok(())
    }

    /// Writes the whole table.
    fn replace(
        &mut self,
        doors: Vec<Door>,
        addresses: Vec<Address>,
        state: DoorState,
        leases: &Found,
    ) -> anyhow::Result<()> {
        let content = Content {
            doors: &doors,
            addresses: &addresses,
            leases,
            revoked: &self.revoked,
            state,
            now: boot_clock::now(),
        };
        program::apply(&ruleset::replacement(&content))?;
        (self.doors, self.addresses) = (doors, addresses);
        // The kernel reports this change, too, so that a check follows: another program may change the table meanwhile.
        let written = look()?.context("another program has removed the table at once")?;
        self.rules = Some(written.rules);
        self.problem = None;
        Ok(())
    }

    /// Writes a lease, in the place of the lease that it renews if it does; the lease as the table now has it.
    ///
    /// # Errors
    /// If the kernel rejects it.
    pub(crate) fn open(
        &mut self,
        lease: &LeaseKey,
        new: Element,
        renewed: Option<Element>,
    ) -> anyhow::Result<Element> {
        let Some(door) = self.door(lease) else { return Ok(new) };
        // It may have admitted connections since the gate looked last.
        let found = if renewed.is_some() { look()? } else { None };
        let found = found.and_then(|found| found.leases.get(lease).copied());
        let before = renewed.map(|known| found.unwrap_or(known).rewritten());
        // The commander asks again if it has not seen the answer. That is one knock.
        let same = before.filter(|it| (it.key, it.counter) == (new.key, new.counter));
        let limit = ruleset::limit(door);
        let left = limit.map(|limit| same.and_then(|same| same.left).unwrap_or(limit));
        let base = before.map_or(0, |before| before.base);
        let element = Element { base, left, ..new };
        program::apply(&ruleset::opening(door, lease, &element, boot_clock::now()))?;
        self.revoked.remove(lease);
        Ok(element)
    }

    /// Ends leases, all of them or none. If they are revoked, their UDP flows end, too.
    ///
    /// # Errors
    /// If the kernel rejects the change.
    pub(crate) fn close(&mut self, leases: &[LeaseKey], is_revoked: bool) -> anyhow::Result<()> {
        let ours = leases.iter().filter_map(|lease| Some((self.door(lease)?, *lease)));
        let ours: Vec<(&Door, LeaseKey)> = ours.collect();
        if ours.is_empty() {
            return Ok(());
        }
        // One process for all of them: each may take as long as the kernel is busy.
        program::apply(&ruleset::closing(&ours, is_revoked))?;
        let ours: Vec<LeaseKey> = ours.into_iter().map(|(_, lease)| lease).collect();
        if is_revoked {
            self.revoked.extend(ours);
        }
        Ok(())
    }

    /// The door of a lease, if the table closes it.
    fn door(&self, lease: &LeaseKey) -> Option<&Door> {
        self.doors.iter().find(|door| door.name == lease.door)
    }

    /// The kernel has changed some table: the gate will check its own soon.
    pub(crate) fn notice(&mut self, now: Instant) {
        self.changes.drain();
        if self.doors.is_empty() {
            return;
        }
        let earliest = self.last_check.and_then(|last| last.checked_add(CHECK_INTERVAL));
        self.next_check = Some(earliest.unwrap_or(now).max(now));
    }

    /// The next [check](Table::check) is due.
    pub(crate) fn expect_change(&mut self, now: Instant) {
        if !self.doors.is_empty() {
            self.next_check = Some(now);
        }
    }

    /// When to [check](Table::check).
    pub(crate) const fn next_wake(&self) -> Option<Instant> {
        self.next_check
    }

    /// Checks whether the table is as it was written, if it is time.
    pub(crate) fn check(&mut self, now: Instant, leases: &mut Leases) -> Option<Seen> {
        self.next_check.filter(|next| *next <= now)?;
        self.next_check = None;
        self.last_check = Some(now);
        match look() {
            Ok(Some(found)) if Some(found.rules) == self.rules && self.has_all(leases, &found) => {
                self.note(&found, leases);
                self.problem = None;
                Some(Seen::Whole(found.armed))
            }
            Ok(_) => Some(Seen::Lost),
            Err(error) => {
                self.report(&error, now);
                None
            }
        }
    }

    /// Whether the table has the leases of its doors, and no others. Another program may have loaded an earlier state
    /// of the table.
    fn has_all(&self, leases: &Leases, found: &Listing) -> bool {
        let now = boot_clock::now();
        let is_known = |(lease, element): (&LeaseKey, &Element)| {
            leases.get(lease).is_some_and(|held| held.lease.is_same(element))
        };
        // The kernel may end a lease a little earlier or later than the boot clock.
        let is_there = |(lease, Held { lease: known, .. }): (&LeaseKey, &Held)| {
            let is_ending = known.until < now.saturating_add(CHECK_INTERVAL);
            is_ending || known.left == Some(0) || found.leases.contains_key(lease)
        };
        let mut ours = leases.held().filter(|(lease, _)| self.door(lease).is_some());
        found.leases.iter().all(is_known) && ours.all(is_there)
    }

    /// Writes the table again that another program has removed or changed, or whose last change has failed.
    pub(crate) fn restore(&mut self, state: DoorState, leases: &mut Leases, now: Instant) {
        let has_failed = self.rules.is_none();
        // How many connections the leases have admitted since the gate looked last is lost.
        let uncounted = |(lease, held): (&LeaseKey, &Held)| {
            let element = held.lease.rewritten();
            (*lease, Element { left: element.left.map(|_| 0), ..element })
        };
        let ours = leases.held().filter(|(lease, _)| self.door(lease).is_some());
        let written = ours.map(uncounted).collect();
        let (doors, addresses) = (self.doors.clone(), self.addresses.clone());
        match self.replace(doors, addresses, state, &written) {
            Ok(()) if has_failed => {
                note(&written, leases);
                tracing::info!("changed the table inet {} of nftables at last", ruleset::TABLE);
            }
            Ok(()) => {
                note(&written, leases);
                self.restored = self.restored.saturating_add(1);
                tracing::warn!(
                    "another program has removed or changed the table inet {} of nftables, and doors were open. The \
                     gate has restored it",
                    ruleset::TABLE
                );
            }
            Err(error) => self.report(&error, now),
        }
    }

    /// Logs a problem that is new, and tries again soon.
    pub(crate) fn report(&mut self, error: &anyhow::Error, now: Instant) {
        let problem = format!("{error:#}");
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!("doors of nftables may be OPEN: {problem}");
        }
        self.problem = Some(problem);
        self.next_check = now.checked_add(CHECK_INTERVAL);
    }

    /// After a [write](Self::write) of these doors has failed, which are in force in the rest of the gate: the gate no longer
    /// knows what is in the table, and writes it again soon.
    pub(crate) fn write_later(
        &mut self,
        doors: Vec<Door>,
        addresses: &[Address],
        error: &anyhow::Error,
        now: Instant,
    ) {
        (self.doors, self.addresses, self.rules) = (doors, addresses.to_vec(), None);
        self.report(error, now);
    }

    /// Goes by what the kernel has.
    fn note(&mut self, found: &Listing, leases: &mut Leases) {
        note(&found.leases, leases);
        self.revoked = found.revoked.iter().copied().collect();
    }

    /// Reads how many connections each lease has admitted.
    pub(crate) fn refresh(&mut self, leases: &mut Leases) {
        if leases.held().any(|(lease, _)| self.door(lease).is_some())
            && let Ok(Some(found)) = look()
        {
            self.note(&found, leases);
        }
    }

    /// For the operator.
    pub(crate) fn status(&self) -> TableStatus {
        TableStatus { restored: self.restored, problem: self.problem.clone() }
    }
}

/// Notes what the table has counted of each lease.
fn note(found: &Found, leases: &mut Leases) {
    for (lease, element) in found {
        leases.note_counted(lease, element);
    }
}

impl AsFd for Table {
    /// Readable when some table has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}
