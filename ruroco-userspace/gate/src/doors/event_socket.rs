//! The socket on which the commander learns what has become of leases, for its audit trail.
//!
//! The gate never waits for the commander. Events wait in a queue of bounded length until the commander reads them, or
//! until the next commander connects. Events that find the queue full are counted, and the commander receives their
//! number in their place.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use ruroco_daemon::listener::Listener;
use ruroco_ipc::{
    boot_clock,
    door_event::{DoorEvent, SOCKET},
    private_socket::has_gone,
};
use rustix::{
    io::Errno,
    net::{SendFlags, send},
    process::geteuid,
};

/// Most events that wait for the commander, besides those in the kernel's buffer of the connection.
const QUEUE: usize = 256;

/// When to try again if the kernel's buffer is full.
const AGAIN: Duration = Duration::from_secs(1);

/// The socket, its only connection and the events that wait.
#[derive(Debug)]
pub(crate) struct EventSocket {
    listener: Listener,
    /// The commander that connected last.
    commander: Option<OwnedFd>,
    queue: VecDeque<DoorEvent>,
    /// Events that found the queue full since the last one that did not.
    lost: u64,
}

impl EventSocket {
    /// Listens in `socket_dir` for processes of the gate's own user, which is root.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub(super) fn listen(socket_dir: &Path) -> anyhow::Result<Self> {
        let listener = Listener::listen(&socket_dir.join(SOCKET), geteuid().as_raw())?;
        Ok(Self { listener, commander: None, queue: VecDeque::new(), lost: 0 })
    }

    /// Where a commander connects.
    pub(crate) fn descriptor(&self, now: Instant) -> Option<BorrowedFd<'_>> {
        self.listener.descriptor(now)
    }

    /// Readable when the connected commander has gone.
    pub(crate) fn commander(&self) -> Option<BorrowedFd<'_>> {
        self.commander.as_ref().map(AsFd::as_fd)
    }

    /// When to [flush](EventSocket::flush), or to wait for connections again.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let waits = self.commander.is_some() && !self.is_empty();
        let again = waits.then(|| now.checked_add(AGAIN)).flatten();
        again.into_iter().chain(self.listener.next_wake(now)).min()
    }

    /// Accepts a commander, in the place of an earlier one.
    pub(crate) fn accept(&mut self, now: Instant) {
        match self.listener.accept(now) {
            Ok(Some(commander)) => {
                self.commander = Some(commander);
                self.flush();
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("could not accept a connection for door events: {error}"),
        }
    }

    /// Notices that the commander has gone.
    pub(crate) fn notice_end(&mut self) {
        if self.commander.as_ref().is_some_and(|commander| has_gone(commander.as_fd())) {
            self.commander = None;
        }
    }

    /// Reports an event, now or as soon as there is a commander that reads.
    pub(super) fn report(&mut self, event: DoorEvent) {
        if self.queue.len() >= QUEUE {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.report_lost();
        self.queue.push_back(event);
        self.flush();
    }

    /// Sends what waits, as far as the kernel has room.
    pub(super) fn flush(&mut self) {
        while let (Some(commander), Some(event)) = (&self.commander, self.queue.front()) {
            match send(commander, &event.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(_) => _ = self.queue.pop_front(),
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => self.commander = None,
            }
            if self.queue.is_empty() {
                self.report_lost();
            }
        }
    }

    /// Puts the number of lost events in their place.
    fn report_lost(&mut self) {
        if self.lost > 0 {
            tracing::warn!(
                count = self.lost,
                "door events are missing from the audit trail: too many waited"
            );
            self.queue.push_back(DoorEvent::Lost { count: self.lost, at: boot_clock::now() });
            self.lost = 0;
        }
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.lost == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::{address::Address, datagram::KeyId, doors::DoorName};
    use ruroco_ipc::{
        door_event::{Happened, LeaseEvent, SIZE},
        private_socket::connect,
    };
    use rustix::net::{RecvFlags, recv};

    /// The event with this number.
    fn event(number: u64) -> DoorEvent {
        DoorEvent::Lease(LeaseEvent {
            happened: Happened::Expired,
            door: DoorName::new("ssh").unwrap(),
            address: Address::from_ipv4([192, 0, 2, 1]),
            prefix: 32,
            key: KeyId([1; 8]),
            counter: 1,
            at: Duration::ZERO,
            until: Duration::ZERO,
            connections: number,
        })
    }

    /// What has come: numbers of events, and how many were lost as negative numbers.
    fn received(commander: &OwnedFd) -> Vec<i64> {
        let mut numbers = Vec::new();
        let mut message = [0; SIZE + 1];
        while let Ok((length, _)) = recv(commander, &mut message, RecvFlags::DONTWAIT) {
            if length == 0 {
                break; // the gate has closed it
            }
            match DoorEvent::decode(&message[..length]).unwrap() {
                DoorEvent::Lease(event) => numbers.push(event.connections.try_into().unwrap()),
                DoorEvent::Lost { count, .. } => numbers.push(-i64::try_from(count).unwrap()),
            }
        }
        numbers
    }

    #[test]
    fn events_wait_for_the_next_commander_and_the_number_of_the_others_is_in_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut socket = EventSocket::listen(dir.path()).unwrap();
        let most = u64::try_from(QUEUE).unwrap();
        (0..most + 5).for_each(|number| socket.report(event(number)));
        assert_eq!(socket.next_wake(now), None, "nothing to do without a commander");

        let connect = || connect(&dir.path().join(SOCKET)).unwrap();
        let first = connect();
        socket.accept(now);
        let mut all = received(&first);
        for _ in 0..QUEUE {
            socket.flush();
            all.extend(received(&first));
        }
        let expected: Vec<i64> = (0..i64::try_from(most).unwrap()).chain([-5]).collect();
        assert_eq!(all, expected);
        assert_eq!(socket.next_wake(now), None);

        // The next one takes over.
        let second = connect();
        socket.accept(now);
        socket.report(event(1));
        assert_eq!((received(&first), received(&second)), (vec![], vec![1]));
        drop(second);
        socket.notice_end();
        assert!(socket.commander().is_none());
        socket.report(event(2));
        let third = connect();
        socket.accept(now);
        assert_eq!(received(&third), [2]);
    }

    #[test]
    fn a_commander_that_does_not_read_delays_nothing_and_every_event_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut socket = EventSocket::listen(dir.path()).unwrap();
        let commander = connect(&dir.path().join(SOCKET)).unwrap();
        socket.accept(now);
        let sent = 5000;
        (0..sent).for_each(|number| socket.report(event(number)));
        assert!(socket.queue.len() <= QUEUE + 1 && socket.lost > 0);
        assert_eq!(socket.next_wake(now), Some(now + AGAIN));
        let mut all = Vec::new();
        while !socket.is_empty() {
            all.extend(received(&commander));
            socket.flush();
        }
        all.extend(received(&commander));
        let whole: i64 = all.iter().map(|number| if *number < 0 { -number } else { 1 }).sum();
        assert_eq!(whole, i64::try_from(sent).unwrap());
    }
}
