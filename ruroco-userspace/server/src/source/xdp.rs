//! Ring and keys as the gate hands them over, and again whenever the gate has been away.
//!
//! Nothing here waits for the gate: while it reads the keys from their files, which takes as long as
//! there are many, the last ring is read.

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

use super::{
    super::{clock::Now, reload::NotAdopted, serve::Server},
    BATCH,
    ring::Ring,
};

/// Between attempts to reach a gate that is away. Short: a new ring may already be filling.
const RETRY: Duration = Duration::from_millis(200);

/// After which time a gate that has accepted the connection and says nothing is worth a line.
const PATIENCE: Duration = Duration::from_millis(500);

/// After which time it is asked anew: many times of what it takes to read as many keys as there may be.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Candidates from the gate's ring.
///
/// A gate that was killed leaves its program in the driver, which goes on filling its ring; so the
/// last ring is read until there is another, and with the keys that came with it.
#[derive(Debug)]
pub struct XdpSource {
    path: PathBuf,
    gate: Gate,
    ring: Option<Ring>,
    /// Why the gate is waited for, if it is.
    waits_because: Option<String>,
    /// What was said of why the gate is waited for: each reason is worth a line once.
    told: BTreeSet<String>,
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
            waits_because: Some("it was not asked yet".to_owned()),
            told: BTreeSet::new(),
        }
    }

    pub(super) fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    pub(super) fn waits_because(&self) -> Option<&str> {
        self.waits_because.as_deref()
    }

    pub(super) fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let gate = match &self.gate {
            Gate::Away { .. } => None,
            Gate::Asked { gate, .. } | Gate::Connected(gate) => Some(gate.as_fd()),
        };
        [gate, self.ring.as_ref().map(AsFd::as_fd)]
    }

    pub(super) fn next_attempt(&self) -> Option<Duration> {
        match self.gate {
            Gate::Away { next_attempt } => Some(next_attempt),
            Gate::Asked { since, is_late, .. } => {
                Some(since.saturating_add(if is_late { TIMEOUT } else { PATIENCE }))
            }
            Gate::Connected(_) => None,
        }
    }

    pub(super) fn drain(&mut self, now: Now, server: &mut Server) -> anyhow::Result<()> {
        if let Gate::Connected(gate) = &self.gate
            && has_gone(gate.as_fd())
        {
            tracing::warn!("the gate has gone; its ring is read until there is another");
            self.gate = Gate::Away { next_attempt: now.boot };
            self.waits_because = Some("it has gone".to_owned());
            self.told.clear();
        }
        if let Gate::Away { next_attempt } = self.gate
            && next_attempt <= now.boot
        {
            match connect(&self.path) {
                Ok(gate) => self.gate = Gate::Asked { gate, since: now.boot, is_late: false },
                Err(error) => {
                    let path = self.path.display();
                    self.wait(now, &anyhow!("could not connect to {path}: {error}"));
                }
            }
        }
        if let Gate::Asked { since, .. } = self.gate {
            self.listen(now, since, server)?;
        }
        if let Some(ring) = &mut self.ring {
            take_batch(ring, now, server);
        }
        Ok(())
    }

    /// Takes what the gate has to say to one who has just connected.
    fn listen(&mut self, now: Now, since: Duration, server: &mut Server) -> anyhow::Result<()> {
        let retry = Gate::Away { next_attempt: now.boot.saturating_add(RETRY) };
        let Gate::Asked { gate, .. } = mem::replace(&mut self.gate, retry) else { return Ok(()) };
        let waited = now.boot.saturating_sub(since);
        match receive(gate.as_fd()) {
            Ok(Some((ring, keys))) => return self.take_over(now, gate, ring, keys, server),
            Ok(None) if waited < TIMEOUT => {
                let is_late = waited >= PATIENCE;
                if is_late {
                    self.tell(&anyhow!("it says nothing yet"));
                }
                self.gate = Gate::Asked { gate, since, is_late };
            }
            Ok(None) => self.wait(now, &anyhow!("it says nothing")),
            Err(error) => {
                let error =
                    error.context(format!("could not take over from {}", self.path.display()));
                self.wait(now, &error);
            }
        }
        Ok(())
    }

    /// Puts ring and keys in the place of those there were.
    fn take_over(
        &mut self,
        now: Now,
        gate: OwnedFd,
        ring: Ring,
        keys: Vec<NamedKey>,
        server: &mut Server,
    ) -> anyhow::Result<()> {
        // By now the new program has taken the old one's place, so nothing more comes here, and what
        // is there is still judged as it was when it came.
        if let Some(old) = &mut self.ring {
            while take_batch(old, now, server) {}
        }
        match server.adopt(now, keys) {
            Ok(keys) => {
                self.ring = Some(ring);
                self.gate = Gate::Connected(gate);
                self.waits_because = None;
                self.told.clear();
                tracing::info!(source = %"xdp", keys, "ready");
            }
            Err(NotAdopted::Floors(error)) => self.wait(now, &error.into()),
            Err(NotAdopted::Configuration(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// Tries again later, and says why.
    fn wait(&mut self, now: Now, why: &anyhow::Error) {
        self.tell(why);
        self.gate = Gate::Away { next_attempt: now.boot.saturating_add(RETRY) };
    }

    fn tell(&mut self, why: &anyhow::Error) {
        let why = format!("{why:#}");
        if !self.told.contains(&why) {
            tracing::warn!("waiting for the gate: {why}");
            self.told.insert(why.clone());
        }
        self.waits_because = Some(why);
    }
}

/// Takes what is there, up to a batch; whether there may be more.
fn take_batch(ring: &mut Ring, now: Now, server: &mut Server) -> bool {
    (0..BATCH).all(|_| ring.take_next(|candidate| server.take(now, Ok(candidate))))
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
            "it refused: is this process the configured `server_user`, and the only server? The \
             gate's log says why"
        );
    }
    let Handover { ring_size } = Handover::decode(message)?;
    let [Some(ring), Some(keys)] = descriptors else {
        bail!("it sent no keys, or no ring: gate and server are of different releases");
    };
    let keys = memory::take(keys).context("could not take the keys")?;
    let keys = handover::keys::decode(&keys)?;
    Ok(Some((Ring::map(ring, ring_size).context("could not map the ring")?, keys)))
}
