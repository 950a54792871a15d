//! Whether doors are armed, which means closed to everyone without a lease.
//!
//! An operator who closes the port of his own session needs a way back if a knock does not work. He therefore arms
//! doors for a time: unless this is confirmed before it has passed, doors are open to everyone again. The XDP program
//! does this by itself, so that it happens even if no gate runs.
//!
//! The state is in two places: in a map that the XDP program reads, and in a file for the next start of the host,
//! which loses all maps. The file says that doors are to be open, and it is there until they are armed for good: a
//! host that restarts before the operator has confirmed starts with open doors.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use ruroco_common::doors::DoorState;
use ruroco_config::Gate;
use ruroco_files::durable;
use ruroco_ipc::boot_clock;
use ruroco_trust::private_directory;

use super::door_maps::StateMap;

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

/// Both places of the state.
pub struct Switch {
    file: PathBuf,
    map: Option<StateMap>,
}

impl Switch {
    /// For the host with this configuration. There is no map before a gate with doors has started.
    ///
    /// # Errors
    /// If the map cannot be opened.
    pub fn open(gate: &Gate) -> anyhow::Result<Self> {
        Ok(Self { file: gate.doors_dir.join(FILE), map: StateMap::open(&gate.pin_dir)? })
    }

    /// Whether doors are armed.
    ///
    /// # Errors
    /// If the kernel or the disk does not tell.
    pub fn read(&self) -> anyhow::Result<Arming> {
        match &self.map {
            Some(map) => {
                let state = map.get()?;
                match state.set_at {
                    0 => self.after_start(),
                    _ => Ok(Arming::of(state, boot_clock::now())),
                }
            }
            None => self.after_start(),
        }
    }

    /// What the file means for a host that has just started.
    fn after_start(&self) -> anyhow::Result<Arming> {
        Ok(if is_there(&self.file)? { Arming::Disarmed } else { Arming::Armed })
    }

    /// Arms or disarms doors.
    ///
    /// # Errors
    /// If the file or the map cannot be written. Doors may then be open after the next start of the host, but they are
    /// not closed when the operator does not expect it.
    pub fn set(&mut self, arming: Arming) -> anyhow::Result<()> {
        if arming != Arming::Armed {
            self.keep_file()?;
        }
        if let Some(map) = &mut self.map {
            map.set(arming.to_state(boot_clock::now()))?;
        }
        if arming == Arming::Armed {
            self.remove_file()?;
        }
        Ok(())
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
        if arming == Arming::Armed
            && let Err(error) = self.remove_file()
        {
            tracing::error!("{error:#}");
        }
        Ok(arming)
    }

    /// Whether a gate with doors has been there since the start of the host.
    pub const fn is_in_kernel(&self) -> bool {
        self.map.is_some()
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
        let switch = || Switch { file: dir.path().join("state").join(FILE), map: None };
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
