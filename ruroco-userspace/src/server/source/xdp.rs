//! The ring as the gate hands it over, and again whenever the gate has been away.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use ruroco_common::candidate::Candidate;

use super::{super::clock::Now, BATCH, ring::Ring};
use crate::{
    handover::{self, Handover},
    private_socket::{connect, has_gone, receive_descriptor},
};

/// Between attempts to reach a gate that is away. Short: a new ring may already be filling.
const RETRY: Duration = Duration::from_millis(200);

/// How long the gate may take to say what it has to say once it has accepted the connection.
const PATIENCE: Duration = Duration::from_millis(500);

/// Candidates from the gate's ring.
///
/// A gate that was killed leaves its program in the driver, which goes on filling its ring; so the
/// last ring is read until there is another.
#[derive(Debug)]
pub struct XdpSource {
    path: PathBuf,
    gate: Gate,
    ring: Option<Ring>,
}

#[derive(Debug)]
enum Gate {
    Away { next_attempt: Duration, told: bool },
    Connected(OwnedFd),
}

impl XdpSource {
    pub(super) fn new(socket_dir: &Path) -> Self {
        let gate = Gate::Away { next_attempt: Duration::ZERO, told: false };
        Self { path: socket_dir.join(handover::SOCKET), gate, ring: None }
    }

    pub(super) fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let gate = match &self.gate {
            Gate::Away { .. } => None,
            Gate::Connected(gate) => Some(gate.as_fd()),
        };
        [gate, self.ring.as_ref().map(AsFd::as_fd)]
    }

    pub(super) fn next_attempt(&self) -> Option<Duration> {
        match self.gate {
            Gate::Away { next_attempt, .. } => Some(next_attempt),
            Gate::Connected(_) => None,
        }
    }

    pub(super) fn drain(&mut self, now: Now, mut take: impl FnMut(&Candidate)) {
        match &self.gate {
            Gate::Connected(gate) if has_gone(gate.as_fd()) => {
                tracing::warn!("the gate has gone; its ring is read until there is another");
                self.gate = Gate::Away { next_attempt: now.boot, told: false };
            }
            Gate::Away { next_attempt, told } if *next_attempt <= now.boot => {
                let told = *told;
                self.look_for_gate(now, told, &mut take);
            }
            Gate::Connected(_) | Gate::Away { .. } => {}
        }
        if let Some(ring) = &mut self.ring {
            take_batch(ring, &mut take);
        }
    }

    fn look_for_gate(&mut self, now: Now, told: bool, take: &mut impl FnMut(&Candidate)) {
        match connect_to_gate(&self.path) {
            Ok((gate, ring)) => {
                // By now the new program has taken the old one's place: nothing more comes here.
                if let Some(mut old) = self.ring.replace(ring) {
                    while take_batch(&mut old, take) {}
                }
                self.gate = Gate::Connected(gate);
                tracing::info!(source = %"xdp", "ready");
            }
            Err(error) => {
                if !told {
                    tracing::warn!("waiting for the gate: {error:#}");
                }
                let next_attempt = now.boot.saturating_add(RETRY);
                self.gate = Gate::Away { next_attempt, told: true };
            }
        }
    }
}

/// Takes what is there, up to a batch; whether there may be more.
fn take_batch(ring: &mut Ring, take: &mut impl FnMut(&Candidate)) -> bool {
    (0..BATCH).all(|_| ring.take_next(&mut *take))
}

fn connect_to_gate(path: &Path) -> anyhow::Result<(OwnedFd, Ring)> {
    let gate = connect(path).with_context(|| format!("could not connect to {}", path.display()))?;
    let (handover, descriptor) = receive(gate.as_fd())
        .with_context(|| format!("could not get the ring from {}", path.display()))?;
    let ring = Ring::map(descriptor, handover.ring_size).context("could not map the ring")?;
    Ok((gate, ring))
}

fn receive(gate: BorrowedFd<'_>) -> anyhow::Result<(Handover, OwnedFd)> {
    let mut message = [0; handover::SIZE];
    match receive_descriptor(gate, &mut message, PATIENCE)? {
        (handover::SIZE, Some(descriptor)) => Ok((Handover::decode(&message)?, descriptor)),
        (0, _) => bail!(
            "the gate refused: is this process the configured `socket_user`, and the only server?"
        ),
        _ => bail!("the gate sent something else: gate and server are of different releases"),
    }
}
