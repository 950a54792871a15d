//! The commander's connection to the gate, over which it learns what has become of leases. It writes that into the
//! audit trail, as the only writer of it.
//!
//! Nothing here blocks, and nothing waits for it: while there is no gate, the commander connects again once in a while.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ruroco_ipc::{
    boot_clock,
    door_event::{DoorEvent, Happened, SIZE, SOCKET},
    private_socket::connect,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{audit::Audit, key_names::KeyNames};

/// How long to wait before the next attempt to connect.
const AGAIN: Duration = Duration::from_secs(1);

/// The same after an event that could not be read: the gate is of another release.
const AGAIN_AFTER_JUNK: Duration = Duration::from_secs(60);

/// Most events that are read at once, so that they do not keep orders waiting.
const AT_ONCE: usize = 16;

/// The connection, if there is one.
#[derive(Debug)]
pub struct GateEvents {
    path: PathBuf,
    gate: Option<OwnedFd>,
    /// When to connect next.
    next_attempt: Instant,
}

impl GateEvents {
    /// Not connected yet.
    pub fn new(socket_dir: &Path) -> Self {
        Self { path: socket_dir.join(SOCKET), gate: None, next_attempt: Instant::now() }
    }

    /// Readable when an event has come, or the gate has gone.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.gate.as_ref().map(AsFd::as_fd)
    }

    /// When to [tend](GateEvents::tend) to it.
    pub fn next_wake(&self) -> Option<Instant> {
        self.gate.is_none().then_some(self.next_attempt)
    }

    /// Connects, if that is due.
    pub fn tend(&mut self, now: Instant) {
        if self.gate.is_none() && self.next_attempt <= now {
            self.gate = connect(&self.path).ok();
            self.is_gone_for(AGAIN, now);
        }
    }

    /// Puts some of the events that have come into the audit trail.
    pub fn receive(&mut self, names: &KeyNames, audit: &Audit) {
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            let Some(gate) = &self.gate else { return };
            // One byte more than an event, so that one which is too long does not look right.
            let mut message = [0; SIZE + 1];
            let length = match recv(gate, &mut message, RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN | Errno::INTR) => return,
                Ok((0, _)) | Err(_) => {
                    self.gate = None;
                    return self.is_gone_for(AGAIN, now);
                }
                Ok((length, _)) => length,
            };
            match DoorEvent::decode(message.get(..length).unwrap_or_default()) {
                Ok(DoorEvent::Lease(event)) => {
                    let (key, age) =
                        (names.of(event.key), boot_clock::now().saturating_sub(event.at));
                    if let Happened::Connected { new } = event.happened {
                        let (door, ip, connections) =
                            (event.door, event.source(), event.connections);
                        tracing::info!(%door, %ip, %key, new, connections, "connected");
                    }
                    audit.lease(&event, &key, age);
                }
                Ok(DoorEvent::Lost { count, .. }) => {
                    tracing::warn!(count, "door events are missing from the audit trail");
                    audit.lost_events(count);
                }
                Err(error) => {
                    tracing::error!(
                        "could not read a door event of ruroco-gate: {error}. Run: systemctl restart ruroco-gate \
                         ruroco-commander"
                    );
                    self.gate = None;
                    return self.is_gone_for(AGAIN_AFTER_JUNK, now);
                }
            }
        }
    }

    fn is_gone_for(&mut self, pause: Duration, now: Instant) {
        self.next_attempt = now.checked_add(pause).unwrap_or(now);
    }
}
