//! Ring and keys from the gate, at the start and whenever the gate restarts.
//!
//! The server never waits for the gate. While the gate reads the keys from their files, which takes longer
//! the more there are, the server reads the last ring.

use ruroco_daemon::clock::Now;
use std::{
    collections::BTreeSet,
    mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use ruroco_ipc::{
    handover::{self, Handover, memory},
    private_socket::{connect, has_gone, receive_descriptors},
};
use ruroco_keys::named_key::NamedKey;

use super::{Arrival, Source, ring::Ring};

/// Between attempts to reach a gate that is away. Short: a new ring may already be filling.
const RETRY: Duration = Duration::from_millis(200);

/// After which time a gate that has accepted the connection and says nothing is worth a line.
const PATIENCE: Duration = Duration::from_millis(500);

/// The time after which the server connects again: many times the time to read the maximal number of keys.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Candidates from the gate's ring.
///
/// A gate that was killed leaves its program in the driver, which goes on filling its ring; so the
/// last ring is read until there is another, and with the keys that came with it.
#[derive(Debug)]
pub(super) struct XdpSource {
    path: PathBuf,
    gate: Gate,
    ring: Option<Ring>,
    /// A gate's that has handed over: to be yielded once nothing is left in the ring before.
    handed_over: Option<(NewRing, Vec<NamedKey>)>,
    /// Why the gate is waited for, if it is.
    waits_because: Option<String>,
    /// The reasons for waiting that were logged: each is worth a line once.
    reported: BTreeSet<String>,
}

/// A ring that was handed over, and the gate that did so.
#[derive(Debug)]
pub struct NewRing {
    ring: Ring,
    gate: OwnedFd,
}

#[derive(Debug)]
enum Gate {
    Away { next_attempt: Duration },
    Asked { gate: OwnedFd, since: Duration, is_late: bool },
    Connected(OwnedFd),
}

impl XdpSource {
    pub(super) fn new(socket_dir: &Path) -> Self {
        Self {
            path: socket_dir.join(handover::SOCKET),
            gate: Gate::Away { next_attempt: Duration::ZERO },
            ring: None,
            handed_over: None,
            waits_because: Some("the server has not connected yet".to_owned()),
            reported: BTreeSet::new(),
        }
    }

    /// Ring and keys, if a gate has sent them; connects to a gate if that is due.
    fn ask_gate(&mut self, now: Now) -> Option<(NewRing, Vec<NamedKey>)> {
        let has_ended = matches!(&self.gate, Gate::Connected(gate) if has_gone(gate.as_fd()));
        if has_ended {
            self.gate = Gate::Away { next_attempt: now.boot };
            self.waits_because = Some("lost the connection".to_owned());
            self.reported.clear();
        }
        if let Gate::Away { next_attempt } = self.gate
            && next_attempt <= now.boot
        {
            match connect(&self.path) {
                Ok(gate) => {
                    if has_ended {
                        tracing::info!(
                            "ruroco-gate has reloaded: taking over its ring and keys again"
                        );
                    }
                    self.gate = Gate::Asked { gate, since: now.boot, is_late: false };
                }
                Err(error) => {
                    if has_ended {
                        tracing::warn!(
                            "lost the connection to ruroco-gate. The server still reads its ring, and will connect \
                            again when the gate restarts"
                        );
                    }
                    let path = self.path.display();
                    self.retry(now, &anyhow!("could not connect to {path}: {error}"));
                }
            }
        }
        let Gate::Asked { since, .. } = self.gate else { return None };
        let retry = Gate::Away { next_attempt: now.boot.saturating_add(RETRY) };
        let Gate::Asked { gate, .. } = mem::replace(&mut self.gate, retry) else { return None };
        let waited = now.boot.saturating_sub(since);
        match receive(gate.as_fd()) {
            Ok(Some((ring, keys))) => return Some((NewRing { ring, gate }, keys)),
            Ok(None) if waited < TIMEOUT => {
                let is_late = waited >= PATIENCE;
                if is_late {
                    self.report(&anyhow!("no answer yet"));
                }
                self.gate = Gate::Asked { gate, since, is_late };
            }
            Ok(None) => self.retry(now, &anyhow!("no answer")),
            Err(error) => {
                let path = self.path.display();
                let error = error.context(format!("could not receive ring and keys from {path}"));
                self.retry(now, &error);
            }
        }
        None
    }

    fn report(&mut self, why: &anyhow::Error) {
        let why = format!("{why:#}");
        if !self.reported.contains(&why) {
            tracing::warn!("waiting for the gate: {why}");
            self.reported.insert(why.clone());
        }
        self.waits_because = Some(why);
    }
}

impl Source for XdpSource {
    /// What has arrived next. The gate is asked whenever the ring is empty, and what comes into the ring
    /// until it has answered still belongs to the keys before: by the time it hands over, the new program has
    /// taken the old one's place, so nothing more comes after that.
    fn next(&mut self, now: Now) -> anyhow::Result<Option<Arrival>> {
        loop {
            if let Some(candidate) = self.ring.as_mut().and_then(Ring::next) {
                return Ok(Some(Arrival::Candidate(Ok(candidate))));
            }
            if let Some((ring, keys)) = self.handed_over.take() {
                return Ok(Some(Arrival::Handover { ring, keys }));
            }
            self.handed_over = self.ask_gate(now);
            if self.handed_over.is_none() {
                return Ok(None);
            }
        }
    }

    fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let gate = match &self.gate {
            Gate::Away { .. } => None,
            Gate::Asked { gate, .. } | Gate::Connected(gate) => Some(gate.as_fd()),
        };
        [gate, self.ring.as_ref().map(AsFd::as_fd)]
    }

    fn change_to(&mut self, NewRing { ring, gate }: NewRing) {
        self.ring = Some(ring);
        self.gate = Gate::Connected(gate);
        self.waits_because = None;
        self.reported.clear();
    }

    fn retry(&mut self, now: Now, why: &anyhow::Error) {
        self.report(why);
        self.gate = Gate::Away { next_attempt: now.boot.saturating_add(RETRY) };
    }

    fn next_attempt(&self) -> Option<Duration> {
        match self.gate {
            Gate::Away { next_attempt } => Some(next_attempt),
            Gate::Asked { since, is_late, .. } => {
                Some(since.saturating_add(if is_late { TIMEOUT } else { PATIENCE }))
            }
            Gate::Connected(_) => None,
        }
    }

    fn is_there(&self) -> bool {
        self.ring.is_some()
    }

    fn waits_because(&self) -> Option<&str> {
        self.waits_because.as_deref()
    }
}

/// Ring and keys, if they have come; the keys are then nowhere else any more.
fn receive(gate: BorrowedFd<'_>) -> anyhow::Result<Option<(Ring, Vec<NamedKey>)>> {
    // One byte more than the message has, so that a longer one shows.
    let mut message = [0; handover::SIZE + 1];
    let (length, descriptors) = match receive_descriptors(gate, &mut message) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
        received => received?,
    };
    let message = message.get(..length).unwrap_or_default();
    if message.is_empty() {
        bail!(
            "the gate rejected this process. Check that it runs as `server_user`, and that no other server runs; the \
            reason is in `journalctl -u ruroco-gate`"
        );
    }
    let Handover { ring_size } = Handover::decode(message)?;
    let [Some(ring), Some(keys)] = descriptors else {
        bail!("the gate sent no keys, or no ring: gate and server are of different releases");
    };
    let keys = memory::take(keys).context("could not receive the keys")?;
    let keys = handover::keys::decode(&keys)?;
    Ok(Some((Ring::map(ring, ring_size).context("could not map the ring")?, keys)))
}
