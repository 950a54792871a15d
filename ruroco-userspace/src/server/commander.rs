//! The connection to the commander: one message for each accepted order, no reply.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SendFlags, send},
};

use super::floor_file::AcceptedOrder;
use crate::{order, private_socket::connect};

/// Where the commander listens, and the connection if there is one.
#[derive(Debug)]
pub struct Commander {
    path: PathBuf,
    connection: Option<OwnedFd>,
}

impl Commander {
    /// The commander that listens in this directory. Nothing is connected yet.
    pub fn new(socket_dir: &Path) -> Self {
        Self { path: socket_dir.join(order::SOCKET), connection: None }
    }

    /// Makes sure that there is a connection. Asked before a counter is used up: an order that
    /// could not be delivered would be a knock lost.
    ///
    /// # Errors
    /// If the commander is not there or does not take orders fast enough.
    pub fn reach(&mut self) -> io::Result<()> {
        if let Some(connection) = &self.connection
            && takes_orders(connection.as_fd())
        {
            return Ok(());
        }
        self.connection = None;
        self.connection = Some(connect(&self.path)?);
        Ok(())
    }

    /// Forwards the order. It is gone whether or not this succeeds: its counter is used up. A commander that
    /// is killed before it has read it loses it, and nobody can tell; one that hangs finds out
    /// [how old it is](order::has_expired).
    ///
    /// # Errors
    /// If the commander went away since [`Commander::reach`].
    pub fn forward(&mut self, accepted: AcceptedOrder) -> io::Result<()> {
        let Some(connection) = &self.connection else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(connection, &accepted.into_order().encode(), flags) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.connection = None;
                Err(error.into())
            }
        }
    }
}

/// Whether the peer is there and there is room for another message.
fn takes_orders(connection: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(connection, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok() && fds.iter().all(|fd| fd.revents() == PollFlags::OUT)
}
