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
use crate::status::TableStatus;

/// Least time between two checks of the table: other programs may change theirs many times in a second.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The table of the doors that nftables closes.
pub(crate) struct Table {
    changes: Changes,
    written: Written,
    revoked: BTreeSet<LeaseKey>,
    /// How many rules the table had after it was written. Unknown if the last change has failed.
    rules: Option<usize>,
    /// When to look whether it is as it was written.
    next_check: Option<Instant>,
    last_check: Option<Instant>,
    restored: u64,
    problem: Option<String>,
}

/// What the gate has written into the table.
struct Written {
    doors: Vec<Door>,
    /// The host's addresses in the configuration.
    addresses: Vec<Address>,
    leases: BTreeMap<LeaseKey, Element>,
    /// Whether doors were armed.
    state: DoorState,
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
    pub(crate) fn begin(is_of_this_boot: bool) -> anyhow::Result<Self> {
        let changes = Changes::watch().context("could not follow changes of nftables")?;
        // The administrator may have saved the ruleset with our table in it, and a start of the host loads it.
        let left = look()?.filter(|_| is_of_this_boot);
        let (leases, revoked) = left.map(|left| (left.leases, left.revoked)).unwrap_or_default();
        Ok(Self {
            changes,
            written: Written {
                doors: Vec::new(),
                addresses: Vec::new(),
                leases,
                state: DoorState { open_from: 0, set_at: 0 },
            },
            revoked: revoked.into_iter().collect(),
            rules: None,
            next_check: None,
            last_check: None,
            restored: 0,
            problem: None,
        })
    }

    /// The leases that the gate knows of.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (&LeaseKey, &Element)> {
        self.written.leases.iter()
    }

    /// Puts these doors into force, with the leases that are left of `leases`.
    ///
    /// # Errors
    /// If the kernel rejects the table. The earlier one stays in force then.
    pub(crate) fn write(
        &mut self,
        doors: Vec<Door>,
        addresses: &[Address],
        state: DoorState,
        leases: &BTreeMap<LeaseKey, Element>,
    ) -> anyhow::Result<()> {
        if let Some(now) = look()? {
            self.note(&now);
        }
        let known = |(lease, found): (&LeaseKey, &Element)| {
            let door = doors.iter().find(|door| door.name == lease.door)?;
            let limit = ruleset::limit(door);
            let element = match self.written.leases.get(lease) {
                Some(element) => element.rewritten(),
                // How many connections it has admitted is unknown.
                None => Element { left: limit.map(|_| 0), ..*found },
            };
            let left = limit.map(|limit| element.left.unwrap_or(0).min(limit));
            Some((*lease, Element { left, ..element }))
        };
        let leases = leases.iter().filter_map(known).collect();
        self.replace(Written { doors, addresses: addresses.to_vec(), leases, state })
    }

    /// Writes the whole table.
    fn replace(&mut self, next: Written) -> anyhow::Result<()> {
        let content = Content {
            doors: &next.doors,
            addresses: &next.addresses,
            leases: &next.leases,
            revoked: &self.revoked,
            state: next.state,
            now: boot_clock::now(),
        };
        program::apply(&ruleset::replacement(&content))?;
        self.written = next;
        // The kernel reports this change, too, so that a check follows: another program may change the table meanwhile.
        let written = look()?.context("another program has removed the table at once")?;
        self.rules = Some(written.rules);
        self.problem = None;
        Ok(())
    }

    /// Writes a lease.
    ///
    /// # Errors
    /// If the kernel rejects it.
    pub(crate) fn open(&mut self, lease: &LeaseKey, new: Element) -> anyhow::Result<()> {
        let Some(door) = self.written.doors.iter().find(|door| door.name == lease.door) else {
            return Ok(());
        };
        // Only then it has admitted connections already.
        let is_renewed = new.since < boot_clock::now() && self.written.leases.contains_key(lease);
        let found = if is_renewed { look()? } else { None };
        let before = found.and_then(|found| found.leases.get(lease).copied());
        let before =
            before.or_else(|| self.written.leases.get(lease).copied().filter(|_| is_renewed));
        let before = before.map(Element::rewritten);
        // The commander asks again if it has not seen the answer. That is one knock.
        let same = before.filter(|it| (it.key, it.counter) == (new.key, new.counter));
        let limit = ruleset::limit(door);
        let left = limit.map(|limit| same.and_then(|same| same.left).unwrap_or(limit));
        let base = before.map_or(0, |before| before.base);
        let element = Element { base, left, ..new };
        program::apply(&ruleset::opening(door, lease, &element, boot_clock::now()))?;
        self.written.leases.insert(*lease, element);
        self.revoked.remove(lease);
        Ok(())
    }

    /// Ends a lease. If it is revoked, its UDP flows end, too.
    ///
    /// # Errors
    /// If the kernel rejects the change.
    pub(crate) fn close(&mut self, lease: &LeaseKey, is_revoked: bool) -> anyhow::Result<()> {
        let Some(door) = self.written.doors.iter().find(|door| door.name == lease.door) else {
            return Ok(());
        };
        program::apply(&ruleset::closing(door, lease, is_revoked))?;
        self.written.leases.remove(lease);
        if is_revoked {
            self.revoked.insert(*lease);
        }
        Ok(())
    }

    /// The kernel has changed some table: the gate will check its own soon.
    pub(crate) fn notice(&mut self, now: Instant) {
        self.changes.drain();
        if self.written.doors.is_empty() {
            return;
        }
        let earliest = self.last_check.and_then(|last| last.checked_add(CHECK_INTERVAL));
        self.next_check = Some(earliest.unwrap_or(now).max(now));
    }

    /// The next [check](Table::check) is due.
    pub(crate) fn expect_change(&mut self, now: Instant) {
        if !self.written.doors.is_empty() {
            self.next_check = Some(now);
        }
    }

    /// When to [check](Table::check).
    pub(crate) const fn next_wake(&self) -> Option<Instant> {
        self.next_check
    }

    /// Checks whether the table is as it was written, if it is time.
    pub(crate) fn check(&mut self, now: Instant) -> Option<Seen> {
        self.next_check.filter(|next| *next <= now)?;
        self.next_check = None;
        self.last_check = Some(now);
        match look() {
            Ok(Some(found)) if Some(found.rules) == self.rules && self.has_leases_of(&found) => {
                self.note(&found);
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

    /// Whether the table has the leases that the gate has written, and no others. Another program may have loaded an
    /// earlier state of the table.
    fn has_leases_of(&self, found: &Listing) -> bool {
        let now = boot_clock::now();
        let is_known = |(lease, element): (&LeaseKey, &Element)| {
            let known = self.written.leases.get(lease);
            known.is_some_and(|known| (known.until, known.key) == (element.until, element.key))
        };
        // The kernel may end a lease a little earlier or later than the boot clock.
        let is_there = |(lease, known): (&LeaseKey, &Element)| {
            let is_ending = known.until < now.saturating_add(CHECK_INTERVAL);
            is_ending || known.left == Some(0) || found.leases.contains_key(lease)
        };
        found.leases.iter().all(is_known) && self.written.leases.iter().all(is_there)
    }

    /// Writes the table again that another program has removed or changed, or whose last change has failed.
    pub(crate) fn restore(&mut self, state: DoorState, now: Instant) {
        let has_failed = self.rules.is_none();
        // How many connections the leases have admitted is lost.
        let uncounted = |element: &Element| Element { left: element.left.map(|_| 0), ..*element };
        let leases = self.written.leases.iter().map(|(lease, it)| (*lease, uncounted(it)));
        let (doors, addresses) = (self.written.doors.clone(), self.written.addresses.clone());
        match self.replace(Written { doors, addresses, leases: leases.collect(), state }) {
            Ok(()) if has_failed => {
                tracing::info!("changed the table inet {} of nftables at last", ruleset::TABLE);
            }
            Ok(()) => {
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
        self.written.leases.retain(|lease, _| doors.iter().any(|door| door.name == lease.door));
        self.written.doors = doors;
        self.written.addresses = addresses.to_vec();
        self.rules = None;
        self.report(error, now);
    }

    /// Goes by what the kernel has.
    fn note(&mut self, found: &Listing) {
        for (lease, element) in &found.leases {
            if let Some(known) = self.written.leases.get_mut(lease) {
                *known = *element;
            }
        }
        self.revoked = found.revoked.iter().copied().collect();
    }

    /// A lease that the gate has written.
    pub(crate) fn lease(&self, lease: &LeaseKey) -> Option<&Element> {
        self.written.leases.get(lease)
    }

    /// Reads how many connections each lease has admitted.
    pub(crate) fn refresh(&mut self) {
        if !self.written.leases.is_empty()
            && let Ok(Some(found)) = look()
        {
            self.note(&found);
        }
    }

    /// For the operator.
    pub(crate) fn status(&self) -> TableStatus {
        TableStatus { restored: self.restored, problem: self.problem.clone() }
    }
}

impl AsFd for Table {
    /// Readable when some table has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}
