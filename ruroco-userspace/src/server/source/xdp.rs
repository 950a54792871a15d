//! The ring as the gate hands it over, and again whenever the gate has been away.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use ruroco_common::candidate::Candidate;
use rustix::{
    cmsg_space,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix,
        SocketFlags, SocketType, connect, recv, recvmsg, socket_with, sockopt,
    },
};

use super::{super::clock::Now, BATCH, ring::Ring};
use crate::handover::{self, Handover};

/// Between attempts to reach a gate that is away. Short: candidates wait in the ring meanwhile.
const RETRY: Duration = Duration::from_millis(200);

/// How long the gate may take to say what it has to say once it has accepted the connection.
const PATIENCE: Duration = Duration::from_millis(500);

/// Candidates from the gate's ring.
#[derive(Debug)]
pub struct XdpSource {
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Away { next_attempt: Duration, told: bool },
    Connected { gate: OwnedFd, ring: Ring },
}

impl XdpSource {
    pub(super) fn new(socket_dir: &Path) -> Self {
        let state = State::Away { next_attempt: Duration::ZERO, told: false };
        Self { path: socket_dir.join(handover::SOCKET), state }
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match &self.state {
            State::Away { .. } => Vec::new(),
            State::Connected { gate, ring } => vec![gate.as_fd(), ring.as_fd()],
        }
    }

    pub(super) fn next_attempt(&self) -> Option<Duration> {
        match self.state {
            State::Away { next_attempt, .. } => Some(next_attempt),
            State::Connected { .. } => None,
        }
    }

    pub(super) fn drain(&mut self, now: Now, mut take: impl FnMut(&Candidate)) {
        if let State::Away { next_attempt, told } = self.state
            && next_attempt <= now.boot
        {
            self.state = match connect_to_gate(&self.path) {
                Ok((gate, ring)) => {
                    tracing::info!(source = %"xdp", "ready");
                    State::Connected { gate, ring }
                }
                Err(error) => {
                    if !told {
                        tracing::warn!("waiting for the gate: {error:#}");
                    }
                    State::Away { next_attempt: now.boot.saturating_add(RETRY), told: true }
                }
            };
        }
        if let State::Connected { gate, ring } = &mut self.state {
            // Asked first: what is in the ring of a gate that has gone is still taken.
            let gone = has_gone(gate.as_fd());
            for _ in 0..BATCH {
                if !ring.take_next(&mut take) {
                    if gone {
                        tracing::warn!("the gate has gone");
                        self.state = State::Away { next_attempt: now.boot, told: false };
                    }
                    break;
                }
            }
        }
    }
}

fn connect_to_gate(path: &Path) -> anyhow::Result<(OwnedFd, Ring)> {
    let gate =
        open_socket(path).with_context(|| format!("could not connect to {}", path.display()))?;
    let (handover, descriptor) = receive(gate.as_fd())
        .with_context(|| format!("could not get the ring from {}", path.display()))?;
    let ring = Ring::map(descriptor, handover.ring_size).context("could not map the ring")?;
    Ok((gate, ring))
}

fn open_socket(path: &Path) -> io::Result<OwnedFd> {
    let gate = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&gate, sockopt::Timeout::Recv, Some(PATIENCE))?;
    connect(&gate, &SocketAddrUnix::new(path)?)?;
    Ok(gate)
}

fn receive(gate: BorrowedFd<'_>) -> anyhow::Result<(Handover, OwnedFd)> {
    let mut bytes = [0; handover::SIZE];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(gate, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        bail!(
            "the gate refused: is this process the configured `socket_user`, and the only server?"
        );
    }
    let mut descriptors = ancillary.drain().filter_map(|message| {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            Some(descriptors)
        } else {
            None
        }
    });
    match (message.bytes, descriptors.next().and_then(|mut first| first.next())) {
        (handover::SIZE, Some(descriptor)) => Ok((Handover::decode(&bytes)?, descriptor)),
        _ => bail!("the gate sent something else: gate and server are of different releases"),
    }
}

/// The gate never says anything more, so all there is to receive is the end.
fn has_gone(gate: BorrowedFd<'_>) -> bool {
    match recv(gate, &mut [0], RecvFlags::DONTWAIT) {
        Ok((_, length)) => length == 0,
        Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
    }
}
