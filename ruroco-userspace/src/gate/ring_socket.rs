//! Hands the ring of candidates and the keys to the server, and knows whether the server is there.
//!
//! One server at a time: two would take candidates from each other. The keys are read from their
//! files for each server that comes, and not kept: see docs/decisions/0011.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Instant,
};

use anyhow::Context;
use ruroco_common::maps::RING_SIZE;

use crate::{
    handover::{self, Handover, memory},
    key_directory::NamedKey,
    notices::Notices,
    private_socket::{PrivateListener, has_gone, send_descriptors},
    rate::TokenBucket,
};

/// Most servers that get something in a second: whoever has taken over the server could otherwise keep
/// the gate reading keys. One that is turned away comes again.
const MAX_PER_SECOND: u32 = 5;

/// The socket that servers connect to, and the server that has.
#[derive(Debug)]
pub struct RingSocket {
    listener: PrivateListener,
    server: Option<OwnedFd>,
    limit: TokenBucket,
    started: Instant,
    notices: Notices,
}

impl RingSocket {
    /// Listens in `socket_dir` for a process of `user` (a uid).
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(socket_dir: &Path, user: u32) -> anyhow::Result<Self> {
        let listener = PrivateListener::listen(&socket_dir.join(handover::SOCKET), user)?;
        let (limit, notices) = (TokenBucket::new(MAX_PER_SECOND), Notices::default());
        Ok(Self { listener, server: None, limit, started: Instant::now(), notices })
    }

    /// What to wait for.
    pub fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.listener.as_fd()), self.server.as_ref().map(AsFd::as_fd)]
    }

    /// Whether a server has the ring.
    pub fn server_is_connected(&self) -> bool {
        self.server.is_some()
    }

    /// Notices a server that has gone, and gives the ring, and what `keys` reads, to one that has come.
    /// Takes one connection at a time, so that many of them do not keep the gate from everything else.
    pub fn serve(
        &mut self,
        now: Instant,
        ring: BorrowedFd<'_>,
        keys: impl FnOnce() -> anyhow::Result<Vec<NamedKey>>,
    ) {
        if let Some(server) = &self.server
            && has_gone(server.as_fd())
        {
            self.server = None;
            self.notices.note("server disconnected", "the gate stays closed");
        }
        match self.listener.accept() {
            Ok(Some(_)) if self.server.is_some() => {
                self.notices.note("turned away a second server", "the first is still connected");
            }
            Ok(Some(server)) if has_gone(server.as_fd()) => {
                self.notices.note("server disconnected", "before it had anything");
            }
            Ok(Some(_)) if !self.limit.take(now.saturating_duration_since(self.started)) => {
                self.notices.note("turned away a server", "too many have come within a second");
            }
            Ok(Some(server)) => match hand_over(server.as_fd(), ring, keys) {
                Ok(()) => {
                    self.notices.note("server connected", "it has the ring and the keys");
                    self.server = Some(server);
                }
                Err(error) => self.notices.note("could not hand over", format_args!("{error:#}")),
            },
            Ok(None) => {}
            Err(error) => self.notices.note("could not accept a connection", error),
        }
        for due in self.notices.due(now) {
            tracing::info!(count = due.count, detail = %due.detail, "{}", due.kind);
        }
    }

    /// When something is to be logged that has been held back, on the clock of
    /// [`RingSocket::serve`].
    pub fn next_notice(&self) -> Option<Instant> {
        self.notices.next()
    }
}

fn hand_over(
    server: BorrowedFd<'_>,
    ring: BorrowedFd<'_>,
    keys: impl FnOnce() -> anyhow::Result<Vec<NamedKey>>,
) -> anyhow::Result<()> {
    let keys = handover::keys::encode(&keys()?);
    let keys =
        memory::put(keys.as_bytes()).context("could not put the keys into a file in memory")?;
    let message = Handover { ring_size: RING_SIZE }.encode();
    let sent = send_descriptors(server, &message, &[ring, keys.as_fd()]);
    if sent.is_err() {
        memory::wipe(&keys).context("could not wipe the keys that nobody took")?;
    }
    sent.context("the server has gone")
}
