//! A connected server: it sends orders, and receives reports of the [slots].
//!
//! A report never waits. A server that does not read misses only reports, and the next report is complete
//! again.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ruroco_daemon::shares::Shares;
use ruroco_ipc::slots;
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

/// A connected server.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// How many messages have come from it.
    read: u64,
    is_behind: bool,
}

impl Connection {
    /// One on which nothing was sent yet.
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, read: 0, is_behind: false }
    }

    /// Whether there was no room for the last report: the server would go by an old one.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The next message, without waiting for it.
    ///
    /// Descriptors that came with a message are closed by the kernel, as `recv` has no place for
    /// them. An empty message cannot be told from the end and is one.
    pub(super) fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let (length, _) = recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT)?;
        self.read = self.read.saturating_add(1);
        Ok(buffer.get(..length).unwrap_or_default())
    }

    /// Reports the slots. A server that has gone is noticed when the commander reads from it.
    pub(super) fn report(&mut self, slots: &Shares) {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = send(&self.socket, &slots::encode(self.read, slots.taken()), flags);
        self.is_behind = matches!(sent, Err(Errno::AGAIN));
    }
}

impl AsFd for Connection {
    /// Readable when the server has sent something, or has gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
