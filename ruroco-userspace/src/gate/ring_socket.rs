//! Hands the ring of candidates to the server, and knows whether the server is there.
//!
//! One server at a time: two would take candidates from each other.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use ruroco_common::maps::RING_SIZE;
use rustix::{
    cmsg_space,
    io::Errno,
    net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg},
};

use crate::{
    handover::{self, Handover},
    private_socket::PrivateListener,
};

/// The socket that servers connect to, and the server that has.
#[derive(Debug)]
pub struct RingSocket {
    listener: PrivateListener,
    server: Option<OwnedFd>,
}

impl RingSocket {
    /// Listens in `socket_dir` for a process of `user` (a uid).
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(socket_dir: &Path, user: u32) -> anyhow::Result<Self> {
        let listener = PrivateListener::listen(&socket_dir.join(handover::SOCKET), user)?;
        Ok(Self { listener, server: None })
    }

    /// What to wait for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [Some(self.listener.as_fd()), self.server.as_ref().map(AsFd::as_fd)].into_iter().flatten()
    }

    /// Whether a server has the ring.
    pub fn server_is_connected(&self) -> bool {
        self.server.is_some()
    }

    /// Notices a server that has gone, and gives the ring to one that has come.
    pub fn serve(&mut self, ring: BorrowedFd<'_>) {
        if let Some(server) = &self.server
            && has_gone(server.as_fd())
        {
            self.server = None;
            tracing::warn!("server disconnected: the gate stays closed");
        }
        loop {
            match self.listener.accept() {
                Ok(Some(_)) if self.server.is_some() => {
                    tracing::warn!("turned away a second server: the first is still connected");
                }
                Ok(Some(server)) => match hand_over(server.as_fd(), ring) {
                    Ok(()) => {
                        tracing::info!("server connected");
                        self.server = Some(server);
                    }
                    Err(error) => tracing::warn!("could not hand the ring to the server: {error}"),
                },
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!("could not accept the server's connection: {error}");
                    break;
                }
            }
        }
    }
}

fn hand_over(server: BorrowedFd<'_>, ring: BorrowedFd<'_>) -> io::Result<()> {
    let message = Handover { ring_size: RING_SIZE }.encode();
    let descriptors = [ring];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(server, &[IoSlice::new(&message)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A server has nothing to say; one that says something is as good as gone.
fn has_gone(server: BorrowedFd<'_>) -> bool {
    !matches!(recv(server, &mut [0], RecvFlags::DONTWAIT), Err(Errno::AGAIN | Errno::INTR))
}
