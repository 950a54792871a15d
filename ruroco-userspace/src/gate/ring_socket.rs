//! Hands the ring of candidates to the server, and knows whether the server is there.
//!
//! One server at a time: two would take candidates from each other.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Instant,
};

use ruroco_common::maps::RING_SIZE;

use crate::{
    handover::{self, Handover},
    notices::Notices,
    private_socket::{PrivateListener, has_gone, send_descriptor},
};

/// The socket that servers connect to, and the server that has.
#[derive(Debug)]
pub struct RingSocket {
    listener: PrivateListener,
    server: Option<OwnedFd>,
    notices: Notices,
}

impl RingSocket {
    /// Listens in `socket_dir` for a process of `user` (a uid).
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(socket_dir: &Path, user: u32) -> anyhow::Result<Self> {
        let listener = PrivateListener::listen(&socket_dir.join(handover::SOCKET), user)?;
        Ok(Self { listener, server: None, notices: Notices::default() })
    }

    /// What to wait for.
    pub fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [Some(self.listener.as_fd()), self.server.as_ref().map(AsFd::as_fd)]
    }

    /// Whether a server has the ring.
    pub fn server_is_connected(&self) -> bool {
        self.server.is_some()
    }

    /// Notices a server that has gone, and gives the ring to one that has come. Takes one connection
    /// at a time, so that many of them do not keep the gate from everything else.
    pub fn serve(&mut self, now: Instant, ring: BorrowedFd<'_>) {
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
            Ok(Some(server)) => {
                let message = Handover { ring_size: RING_SIZE }.encode();
                match send_descriptor(server.as_fd(), &message, ring) {
                    Ok(()) => {
                        self.notices.note("server connected", "it has the ring");
                        self.server = Some(server);
                    }
                    Err(error) => self.notices.note("could not hand the ring over", error),
                }
            }
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
