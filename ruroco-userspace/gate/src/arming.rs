//! Whether doors are armed, which means closed to everyone without a lease.
//!
//! An operator who closes the port of his own session needs a way back if a knock does not work. He therefore arms
//! doors for a time: unless this is confirmed before it has passed, doors are open to everyone again. The XDP program
//! does this by itself, so that it happens even if no gate runs.
//!
//! The state is in a map that the XDP program reads, in the table of the doors that nftables closes, and in a file for
//! the next start of the host, which loses map and table. The file says that doors are to be open, and it is there
//! until they are armed for good: a host that restarts before the operator has confirmed starts with open doors.
//!
//! The gate does not own the state, although the operator's tool could send it requests: the kernel itself ends and
//! confirms trials, in one place at a time, and `ruroco disarm` must work while the gate is dead or hangs. So the gate
//! follows changes of others in any case, and an owner would add a way to change the state without removing a rule.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use ruroco_common::doors::DoorState;
use ruroco_config::Config;
use ruroco_files::durable;
use ruroco_ipc::boot_clock;
use ruroco_trust::private_directory;

use super::{
    door_maps::StateMap,
    nft::{listing::Armed, table},
};

/// The file in `doors_dir`.
const FILE: &str = "disarmed";

/// What the file holds, for a reader.
const NOTE: &str = "While this file exists, the doors of ruroco are open to everyone after a start of this host. \
                    `ruroco arm` removes it.\n";

/// Only root needs to see what is in the directory.
const DIRECTORY_MODE: u32 = 0o700;

/// Whether doors are armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arming {
    /// For good.
    Armed,
    /// Until this time on the boot clock, unless it is confirmed before.
    ArmedUntil(Duration),
    /// Doors are open to everyone.
    Disarmed,
}

impl Arming {
    /// What the map means at `now`, a reading of the boot clock.
    pub fn of(state: DoorState, now: Duration) -> Self {
        match Duration::from_nanos(state.open_from) {
            Duration::ZERO => Self::Armed,
            open_from if now < open_from => Self::ArmedUntil(open_from),
            _ => Self::Disarmed,
        }
    }

    fn to_state(self, now: Duration) -> DoorState {
        let open_from = match self {
            Self::Armed => 0,
            Self::ArmedUntil(time) => nanoseconds(time),
            Self::Disarmed => 1,
        };
        DoorState { open_from, set_at: nanoseconds(now) }
    }
}

/// For the map, in which 0 means never.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// All places of the state.
pub struct Switch {
    file: PathBuf,
    map: Option<StateMap>,
    /// What the table of nftables says, if there is one.
    table: Option<Armed>,
}

impl Switch {
    /// For the host with this configuration. There is no map, and no table, before a gate with doors has started.
    ///
    /// # Errors
    /// If the map cannot be opened, or the table cannot be listed.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let gate = &config.gate;
        let has_table = config.doors.values().any(|door| door.backend.has_nftables());
        let found = if has_table && table::may_exist(config) { table::look()? } else { None };
        Ok(Self {
            file: gate.doors_dir.join(FILE),
            map: StateMap::open(&gate.pin_dir)?,
            table: found.map(|found| found.armed),
        })
    }

    /// Whether doors are armed.
    ///
    /// # Errors
    /// If the kernel or the disk does not tell.
    pub fn read(&self) -> anyhow::Result<Arming> {
        let now = boot_clock::now();
        match (self.state_of_map()?, &self.table) {
            (Some(map), table) => {
                let is_confirmed = table.is_some_and(|table| table.is_confirmed);
                Ok(match Arming::of(map, now) {
                    Arming::ArmedUntil(_) if is_confirmed => Arming::Armed,
                    arming @ (Arming::Armed | Arming::ArmedUntil(_) | Arming::Disarmed) => arming,
                })
            }
            (None, Some(table)) => Ok(Arming::of(table.state, now)),
            (None, None) => self.after_start(),
        }
    }

    /// What the map says, if it has been set since the start of the host.
    fn state_of_map(&self) -> anyhow::Result<Option<DoorState>> {
        let state = self.map.as_ref().map(StateMap::get).transpose()?;
        Ok(state.filter(|state| state.set_at != 0))
    }

    /// What a new table is to say.
    ///
    /// # Errors
    /// As [`Switch::read`].
    pub(super) fn for_table(&self) -> anyhow::Result<DoorState> {
        let state = self.read()?.to_state(boot_clock::now());
        // That both are one setting is known by its time.
        Ok(DoorState {
            set_at: self.state_of_map()?.map_or(state.set_at, |map| map.set_at),
            ..state
        })
    }

    /// What the table is to say that another program has removed. The operator may have armed or disarmed doors a moment
    /// before: the file tells.
    ///
    /// # Errors
    /// If the kernel or the disk does not tell.
    pub(super) fn without_table(&mut self) -> anyhow::Result<DoorState> {
        let state = match self.state_of_map()? {
            Some(map) => map,
            None => {
                let arming = match (self.read()?, is_there(&self.file)?) {
                    (_, false) => Arming::Armed,
                    (Arming::Armed, true) => Arming::Disarmed,
                    (last, true) => last,
                };
                arming.to_state(boot_clock::now())
            }
        };
        self.table = Some(Armed { state, is_confirmed: false });
        Ok(state)
    }

    /// The map is no longer kept.
    pub(super) fn forget_map(&mut self) {
        self.map = None;
    }

    /// Whether the table can say this. If a setting has opened doors, the file exists: without it, another program has
    /// loaded an earlier state of the table.
    pub(super) fn may_be(&self, table: Armed) -> bool {
        let is_disarmed = Arming::of(table.state, boot_clock::now()) == Arming::Disarmed;
        !is_disarmed || self.map.is_some() || is_there(&self.file).unwrap_or(true)
    }

    /// What the table says now.
    pub(super) const fn note_table(&mut self, table: Armed) {
        self.table = Some(table);
    }

    /// Whether a connection has confirmed a trial in one place only, the map or the table.
    fn is_confirmed_in_one(&self) -> anyhow::Result<bool> {
        let Some(table) = &self.table else { return Ok(false) };
        Ok(match self.state_of_map()? {
            Some(map) => {
                let is_one = map.set_at == table.state.set_at;
                let in_table = table.is_confirmed && map.open_from != 0;
                in_table || (is_one && map.open_from == 0 && table.state.open_from != 0)
            }
            None => table.is_confirmed,
        })
    }

    /// What the file means for a host that has just started.
    fn after_start(&self) -> anyhow::Result<Arming> {
        Ok(if is_there(&self.file)? { Arming::Disarmed } else { Arming::Armed })
    }

    /// Arms or disarms doors.
    ///
    /// # Errors
    /// If the file, the table or the map cannot be written. Doors may then be open after the next start of the host, but they are
    /// not closed when the operator does not expect it.
    pub fn set(&mut self, arming: Arming) -> anyhow::Result<()> {
        let kept = if arming == Arming::Armed { Ok(()) } else { self.keep_file() };
        // A full disk must not keep an operator from opening doors now. Closed doors that nothing opens again are worse.
        if let (Err(_), Arming::ArmedUntil(_)) = (&kept, arming) {
            return kept;
        }
        let now = boot_clock::now();
        let state = arming.to_state(now);
        // The table first: a gate that looks in between finds a trial in the map only after the last one's confirmation
        // has gone.
        if let Some(table) = &mut self.table {
            table::set_armed(state)?;
            *table = Armed { state, is_confirmed: false };
        }
        if let Some(map) = &mut self.map {
            map.set(state)?;
        }
        if arming == Arming::Armed {
            self.remove_file()?;
        }
        kept.context("doors are open now, but they are closed after the next start of this host")
    }

    /// For a gate that starts: sets the map after a start of the host.
    ///
    /// # Errors
    /// If it is unknown whether doors are armed, or the map cannot be written.
    pub(super) fn begin(&mut self) -> anyhow::Result<Arming> {
        let arming = self.follow()?;
        if let Some(map) = &mut self.map
            && map.get()?.set_at == 0
        {
            map.set(arming.to_state(boot_clock::now()))?;
        }
        Ok(arming)
    }

    /// Whether doors are armed. If a connection has confirmed it, the file goes.
    ///
    /// # Errors
    /// As [`Switch::read`].
    pub(super) fn follow(&mut self) -> anyhow::Result<Arming> {
        let arming = self.read()?;
        if arming == Arming::Armed && self.is_confirmed_in_one()? {
            self.set(Arming::Armed)?;
        }
        // What is known of the table may be older than the file, which the operator may have made since.
        if arming == Arming::Armed
            && self.state_of_map()?.is_some()
            && let Err(error) = self.remove_file()
        {
            tracing::error!("{error:#}");
        }
        Ok(arming)
    }

    /// Whether a gate with doors has been there since the start of the host.
    pub const fn is_in_kernel(&self) -> bool {
        self.map.is_some() || self.table.is_some()
    }

    fn keep_file(&self) -> anyhow::Result<()> {
        if is_there(&self.file)? {
            return Ok(());
        }
        if let Some(directory) = self.file.parent() {
            private_directory::prepare(directory, DIRECTORY_MODE)?;
        }
        durable::create(&self.file, NOTE.as_bytes())
            .with_context(|| format!("could not write {}", self.file.display()))
    }

    fn remove_file(&self) -> anyhow::Result<()> {
        // On a disk that is read-only, even the removal of a missing file fails.
        if !is_there(&self.file)? {
            return Ok(());
        }
        match durable::remove(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let file = self.file.display();
                Err(error).with_context(|| {
                    format!("could not remove {file}: doors would be open after the next start of this host")
                })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn is_there(file: &Path) -> anyhow::Result<bool> {
    file.try_exists().with_context(|| format!("could not look for {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn what_is_written_is_what_is_read() {
        for arming in
            [Arming::Armed, Arming::Disarmed, Arming::ArmedUntil(Duration::from_secs(1001))]
        {
            assert_eq!(Arming::of(arming.to_state(NOW), NOW), arming);
        }
        let over = Arming::ArmedUntil(NOW).to_state(NOW);
        assert_eq!(Arming::of(over, NOW), Arming::Disarmed);
    }

    #[test]
    fn a_host_that_starts_before_a_confirmation_has_open_doors() {
        let dir = tempfile::tempdir().unwrap();
        let switch = || {
            let file = dir.path().join("state").join(FILE);
            Switch { file, map: None, table: None }
        };
        assert_eq!(switch().read().unwrap(), Arming::Armed, "the default");
        switch().set(Arming::ArmedUntil(NOW)).unwrap();
        assert_eq!(switch().read().unwrap(), Arming::Disarmed);
        switch().set(Arming::Armed).unwrap();
        assert_eq!(switch().read().unwrap(), Arming::Armed);
        switch().set(Arming::Disarmed).unwrap();
        switch().set(Arming::Disarmed).unwrap();
        assert_eq!(switch().begin().unwrap(), Arming::Disarmed);
    }
}
