//! All runs that have not ended, each in a separate thread that only waits for it.
//!
//! A run has a [slot](ruroco_ipc::slots) from its permission to its end, however it ends: dropping a [`Slot`]
//! frees it. A pipe reports this, so that the commander's loop wakes up and can report it to the server.

use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use ruroco_common::datagram::{KEY_ID_SIZE, KeyId};
use ruroco_daemon::shares::Shares;
use ruroco_ipc::slots::SLOTS;

use super::{audit::Audit, left_behind::LeftBehind, output::LogShares, rules::Permitted, run};

/// The running commands.
#[derive(Debug)]
pub struct Runs {
    slots: Shares,
    /// Keys whose slots have become free.
    freed: PipeReader,
    free: Arc<PipeWriter>,
    threads: Vec<JoinHandle<()>>,
    /// Closed to end all runs; they hold the other end.
    keep_going: UnixStream,
    stop: Arc<UnixStream>,
    /// The gate's socket for doors.
    doors: Arc<Path>,
    audit: Audit,
    log_shares: Arc<LogShares>,
    left_behind: Arc<LeftBehind>,
}

/// A place for a run, free again when this is dropped.
#[derive(Debug)]
pub struct Slot {
    key: KeyId,
    free: Arc<PipeWriter>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // There is room for all slots many times over, and the reader is there until nobody counts any
        // more.
        let _ = (&*self.free).write_all(&self.key.0);
    }
}

impl Runs {
    /// None yet; of all of them the audit trail will tell. The gate opens doors for them at the socket `doors`.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new(doors: &Path, audit: Audit) -> io::Result<Self> {
        let (keep_going, stop) = UnixStream::pair()?;
        let (freed, free) = io::pipe()?;
        Ok(Self {
            slots: Shares::new(SLOTS, 0),
            freed,
            free: Arc::new(free),
            threads: Vec::new(),
            keep_going,
            stop: Arc::new(stop),
            doors: doors.into(),
            audit,
            log_shares: Arc::default(),
            left_behind: Arc::default(),
        })
    }

    /// Whose runs have a slot.
    pub fn slots(&self) -> &Shares {
        &self.slots
    }

    /// Takes a slot for a run of a key that may have one.
    pub fn take_slot(&mut self, key: KeyId) -> Slot {
        self.slots.take(key);
        Slot { key, free: Arc::clone(&self.free) }
    }

    /// Counts the slots that have become free. To be called when [this](Runs::as_fd) is readable; it
    /// would wait otherwise.
    pub fn count_freed(&mut self) {
        let mut keys = [0; 64 * KEY_ID_SIZE];
        // Ids are written whole, so whole ones are read.
        let length = self.freed.read(&mut keys).unwrap_or_default();
        let (keys, _) = keys.get(..length).unwrap_or_default().as_chunks();
        keys.iter().for_each(|key| self.slots.give_back(KeyId(*key)));
        self.threads.retain(|thread| !thread.is_finished());
    }

    /// Starts a run and returns at once.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start(&mut self, permitted: Permitted, slot: Slot) -> io::Result<()> {
        let (stop, audit) = (Arc::clone(&self.stop), self.audit.clone());
        let (doors, log_shares) = (Arc::clone(&self.doors), Arc::clone(&self.log_shares));
        let left_behind = Arc::clone(&self.left_behind);
        let run = move || {
            let left = run::run(&permitted, stop.as_fd(), &doors, &audit, &log_shares);
            drop(slot);
            if let Some(output) = left {
                left_behind.empty(permitted.key_id(), output, stop.as_fd());
            }
        };
        let thread = thread::Builder::new().spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends all of them and returns when they have ended.
    pub fn end(self) {
        drop(self.keep_going);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Readable when a slot has become free.
impl AsFd for Runs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.freed.as_fd()
    }
}
