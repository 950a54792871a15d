//! The socket on which the commander requests leases, one on each connection.
//!
//! The gate never waits for a peer: a connection waits in its place until its request has come, and at most for
//! [`PATIENCE`].

use std::{
    array,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use ruroco_daemon::listener::Listener;
use ruroco_ipc::lease::{Answer, SIZE, SOCKET};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
    process::geteuid,
};

/// Most connections at the same time. Others wait until a place is free.
pub(crate) const PLACES: usize = 4;

/// How long a connection may be without a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The socket and its connections.
#[derive(Debug)]
pub(super) struct LeaseSocket {
    listener: Listener,
    places: [Option<Connection>; PLACES],
}

#[derive(Debug)]
struct Connection {
    peer: OwnedFd,
    ends: Option<Instant>,
}

/// A request that has come, of which not a byte is trusted.
pub(super) struct Message {
    peer: OwnedFd,
    bytes: [u8; SIZE + 1],
    length: usize,
}

impl Message {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Answers it. It does not matter whether the answer is received: the request has been dealt with.
    pub(super) fn answer(self, answer: Answer) {
        let _ = send(&self.peer, &[answer.encode()], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

impl LeaseSocket {
    /// Listens in `socket_dir` for processes of the gate's own user, which is root.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub(super) fn listen(socket_dir: &Path) -> anyhow::Result<Self> {
        let listener = Listener::listen(&socket_dir.join(SOCKET), geteuid().as_raw())?;
        Ok(Self { listener, places: array::from_fn(|_| None) })
    }

    /// What to wait for, while there is a place for another connection.
    pub(super) fn descriptor(&self, now: Instant) -> Option<BorrowedFd<'_>> {
        let has_room = self.places.iter().any(Option::is_none);
        self.listener.descriptor(now).filter(|_| has_room)
    }

    /// The connection in a place.
    pub(super) fn connection(&self, place: usize) -> Option<BorrowedFd<'_>> {
        Some(self.places.get(place)?.as_ref()?.peer.as_fd())
    }

    /// When to end connections, or to wait for new ones again.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let ends = self.places.iter().flatten().filter_map(|connection| connection.ends);
        ends.chain(self.listener.next_wake(now)).min()
    }

    /// Accepts one connection.
    pub(super) fn accept(&mut self, now: Instant) {
        let Some(place) = self.places.iter_mut().find(|place| place.is_none()) else { return };
        match self.listener.accept(now) {
            Ok(peer) => {
                *place = peer.map(|peer| Connection { peer, ends: now.checked_add(PATIENCE) });
            }
            Err(error) => tracing::warn!("could not accept a connection for a door: {error}"),
        }
    }

    /// The request of the connection in a place, if it has come. The connection ends with it.
    pub(super) fn receive(&mut self, place: usize) -> Option<Message> {
        let place = self.places.get_mut(place)?;
        let Connection { peer, ends } = place.take()?;
        let mut bytes = [0; SIZE + 1];
        match recv(&peer, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((0, _)) => None,
            Ok((length, _)) => Some(Message { peer, bytes, length }),
            Err(Errno::AGAIN | Errno::INTR) => {
                *place = Some(Connection { peer, ends });
                None
            }
            Err(_) => None,
        }
    }

    /// Ends the connections that have been without a request for too long.
    pub(super) fn tend(&mut self, now: Instant) {
        let is_over = |connection: &Connection| connection.ends.is_some_and(|ends| ends <= now);
        for place in &mut self.places {
            if place.as_ref().is_some_and(is_over) {
                *place = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_ipc::private_socket::connect;

    #[test]
    fn requests_are_answered_and_silent_peers_give_way() {
        let dir = tempfile::tempdir().unwrap();
        let mut socket = LeaseSocket::listen(dir.path()).unwrap();
        let now = Instant::now();
        let connect = || connect(&dir.path().join(SOCKET)).unwrap();

        let silent: Vec<OwnedFd> = (0..PLACES).map(|_| connect()).collect();
        for _ in &silent {
            socket.accept(now);
        }
        assert!(socket.descriptor(now).is_none(), "there is no place");
        assert!((0..PLACES).all(|place| socket.receive(place).is_none()));
        assert_eq!(socket.next_wake(now), Some(now + PATIENCE));
        socket.tend(now + PATIENCE);
        assert!(socket.descriptor(now).is_some(), "the silent ones have given way");

        let peer = connect();
        socket.accept(now);
        send(&peer, &[7; SIZE + 9], SendFlags::NOSIGNAL).unwrap();
        let message = socket.receive(0).unwrap();
        assert_eq!(message.bytes().len(), SIZE + 1, "too long, and seen to be");
        message.answer(Answer::Malformed);
        let mut answer = [0; 2];
        assert_eq!(recv(&peer, &mut answer, RecvFlags::DONTWAIT).unwrap().0, 1);
        assert_eq!(answer[0], Answer::Malformed.encode());
    }
}
