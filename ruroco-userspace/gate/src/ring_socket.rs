//! Hands the ring of candidates and the keys to the server, and notices whether the server is connected.
//!
//! Only one server can connect: two would take candidates from each other. The gate reads the keys from their
//! files for each server that connects, and does not keep them (decision 0015).
//!
//! After a reload, there is another ring. The gate closes the connection of a server that has the old ring.
//! The server connects again, gets the new ring, and empties the old one before it begins with the new one.
//! While no server is connected, knocks may wait in the old ring: the next server gets the old ring first,
//! and then the new one.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Instant,
};

use anyhow::Context;
use ruroco_common::maps::RING_SIZE;
use ruroco_daemon::{listener::Listener, notices::Notices, rate::TokenBucket, wait::wait};
use ruroco_ipc::{
    handover::{self, Handover, memory},
    order::MAX_WAIT,
    private_socket::{has_gone, send_descriptors},
};
use ruroco_keys::named_key::NamedKey;
use rustix::net::sockopt::socket_peercred;

/// Number of servers that the gate serves in a second: an attacker in the server could otherwise make the
/// gate read keys all the time. A rejected server connects again.
const MAX_PER_SECOND: u32 = 5;

/// The socket that servers connect to, and the server that has.
#[derive(Debug)]
pub struct RingSocket {
    listener: Listener,
    server: Option<OwnedFd>,
    /// The oldest first.
    old_rings: Vec<OldRing>,
    limit: TokenBucket,
    started: Instant,
    notices: Notices<&'static str>,
}

/// A ring that nothing is written to any more.
#[derive(Debug)]
struct OldRing {
    ring: OwnedFd,
    until: Option<Instant>,
}

impl RingSocket {
    /// Listens in `socket_dir` for a process of `user` (a uid).
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(socket_dir: &Path, user: u32) -> anyhow::Result<Self> {
        let listener = Listener::listen(&socket_dir.join(handover::SOCKET), user)?;
        let (limit, notices) = (TokenBucket::new(MAX_PER_SECOND), Notices::default());
        let (old_rings, started) = (Vec::new(), Instant::now());
        Ok(Self { listener, server: None, old_rings, limit, started, notices })
    }

    /// What to wait for at `now`, for servers that come, if anything.
    pub fn descriptor(&self, now: Instant) -> Option<BorrowedFd<'_>> {
        self.listener.descriptor(now)
    }

    /// The connection to the server that has the ring, readable when that has gone.
    pub fn server(&self) -> Option<BorrowedFd<'_>> {
        self.server.as_ref().map(AsFd::as_fd)
    }

    /// Whether a server has the ring.
    pub fn server_is_connected(&self) -> bool {
        self.server.is_some()
    }

    /// The process id of the server that has the ring.
    pub fn server_pid(&self) -> Option<u32> {
        let peer = socket_peercred(self.server.as_ref()?).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    /// Has the server, if there is one, fetch another ring than this one, to which nothing is
    /// written any more. It is kept as long as the server accepts what has waited in it.
    pub fn retire(&mut self, ring: OwnedFd, now: Instant) {
        self.old_rings.push(OldRing { ring, until: now.checked_add(MAX_WAIT) });
        self.server = None;
        self.let_go_of_old_rings(now);
    }

    /// Keeps only the rings that a server would still take something out of.
    fn let_go_of_old_rings(&mut self, now: Instant) {
        self.old_rings.retain(|old| old.until.is_none_or(|until| now < until) && old.is_filled());
    }

    /// Notices that the server has gone, if it has.
    pub fn notice_end(&mut self) {
        if let Some(server) = &self.server
            && has_gone(server.as_fd())
        {
            self.server = None;
            self.notices.note("server disconnected", "the gate stays attached");
        }
    }

    /// Lets go of old rings whose time is up, and logs what is due.
    pub fn tend(&mut self, now: Instant) {
        self.let_go_of_old_rings(now);
        for due in self.notices.due(now) {
            tracing::info!(count = due.count, detail = %due.detail, "{}", due.kind);
        }
    }

    /// Gives the ring, and what `keys` reads, to a server that has come. Takes one connection at a time, so
    /// that many of them do not keep the gate from everything else.
    pub fn accept(
        &mut self,
        now: Instant,
        ring: BorrowedFd<'_>,
        keys: impl FnOnce() -> anyhow::Result<Vec<NamedKey>>,
    ) {
        self.let_go_of_old_rings(now);
        self.notice_end();
        match self.listener.accept(now) {
            Ok(Some(_)) if self.server.is_some() => {
                self.notices.note("rejected a second server", "the first is still connected");
            }
            Ok(Some(server)) if has_gone(server.as_fd()) => {
                self.notices.note("server disconnected", "before it received the ring");
            }
            Ok(Some(_)) if !self.limit.take(now.saturating_duration_since(self.started)) => {
                self.notices.note(
                    "rejected the connection of a server",
                    "more than the limit of connections in one second",
                );
            }
            Ok(Some(server)) => self.hand_over(server, ring, keys),
            Ok(None) => {}
            Err(error) => self.notices.note("could not accept a connection", error),
        }
    }

    fn hand_over(
        &mut self,
        server: OwnedFd,
        ring: BorrowedFd<'_>,
        keys: impl FnOnce() -> anyhow::Result<Vec<NamedKey>>,
    ) {
        let old = self.old_rings.first().map(|old| old.ring.as_fd());
        match (send(server.as_fd(), old.unwrap_or(ring), keys), old) {
            (Ok(()), None) => {
                self.notices.note("server connected", "it received the ring and the keys");
                self.server = Some(server);
            }
            // The connection ends here, so it comes again for the next one.
            (Ok(()), Some(_)) => {
                self.notices
                    .note("server connected", "it receives the ring from before a reload first");
            }
            (Err(error), _) => {
                let why = format!("{error:#}").replace('\n', "; ");
                self.notices.note("could not hand over ring and keys", why);
            }
        }
    }

    /// When to [tend](RingSocket::tend) to something, or to wait for servers again.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let old_ring = self.old_rings.iter().filter_map(|old| old.until).min();
        [self.notices.next(), old_ring, self.listener.next_wake(now)].into_iter().flatten().min()
    }
}

impl OldRing {
    /// Whether there is something in it. A ring can be read for as long as that is so
    /// (`ringbuf_map_poll_kern`, kernel/bpf/ringbuf.c).
    fn is_filled(&self) -> bool {
        wait([Some(self.ring.as_fd())], Some(Instant::now())).is_ok_and(|[filled]| filled)
    }
}

fn send(
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
        memory::wipe(&keys).context("could not wipe the keys that no server received")?;
    }
    sent.context("the server closed the connection")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::geteuid;
    use std::{
        io::{PipeWriter, Write, pipe},
        time::Duration,
    };

    /// What stands for a ring: it can be read while there is something in it.
    fn ring(content: &[u8]) -> (OwnedFd, PipeWriter) {
        let (read, mut write) = pipe().unwrap();
        write.write_all(content).unwrap();
        (read.into(), write)
    }

    #[test]
    fn old_rings_are_let_go_when_they_are_empty_or_their_time_is_up_even_without_a_server() {
        let dir = tempfile::tempdir().unwrap();
        let mut socket = RingSocket::listen(dir.path(), geteuid().as_raw()).unwrap();
        let now = Instant::now();
        let (empty, _end) = ring(b"");
        socket.retire(empty, now);
        assert_eq!((socket.old_rings.len(), socket.next_wake(now)), (0, None));

        let [(first, _a), (second, _b)] = [ring(b"x"), ring(b"x")];
        let later = now + Duration::from_secs(1);
        socket.retire(first, now);
        socket.retire(second, later);
        for (at, left) in [(later, 2), (now + MAX_WAIT, 1), (later + MAX_WAIT, 0)] {
            socket.tend(at);
            assert_eq!(socket.old_rings.len(), left);
            let next = [None, Some(later + MAX_WAIT), Some(now + MAX_WAIT)];
            assert_eq!(socket.next_wake(at), next[left]);
        }
    }
}
