//! The connection to the commander: one message for each accepted order; on the way back, reports of
//! its [`slots`].

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ruroco_common::datagram::KeyId;
use ruroco_daemon::wait::wait;
use ruroco_ipc::{
    order,
    private_socket::connect,
    slots::{self, SlotReport},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::{account::Account, floor_file::AcceptedOrder};

/// How long the first report of a commander is waited for, once for each connection: longer than it
/// takes a commander that is well, and so short that candidates can wait as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most reports that are read in one go.
const BATCH: usize = 256;

/// Where the commander listens, and the connection if there is one.
#[derive(Debug)]
pub struct Commander {
    path: PathBuf,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    account: Account,
    /// Whether its first report was waited for.
    has_waited: bool,
}

impl Commander {
    /// The commander that listens in this directory. Nothing is connected yet.
    pub fn new(socket_dir: &Path) -> Self {
        Self { path: socket_dir.join(order::SOCKET), connection: None }
    }

    /// Readable when there is something to [hear](Commander::hear).
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(|connection| connection.socket.as_fd())
    }

    /// Reads the reports that have come, and notices when the commander has gone.
    pub fn hear(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = connection.hear()
        {
            tracing::debug!("the commander closed the connection: {error}");
            self.connection = None;
        }
    }

    /// Makes sure that there is a connection and that its slots are known. Asked before a counter is
    /// used up: an order that could not be delivered would be a knock lost.
    ///
    /// # Errors
    /// If the commander is not there, does not report, or does not take orders fast enough.
    pub fn reach(&mut self) -> io::Result<()> {
        self.hear();
        let connected = self.connection.take().filter(Connection::takes_orders);
        let mut connection = match connected {
            Some(connection) => connection,
            None => Connection::new(connect(&self.path)?),
        };
        let known = connection.wait_for_first_report(&self.path);
        self.connection = Some(connection);
        known
    }

    /// Whether an order of this key is sure to get a slot of the commander's.
    pub fn has_room_for(&self, key: KeyId) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.account.has_room_for(key))
    }

    /// Forwards the order. Whether or not this succeeds, the order is spent, because its counter is used up.
    /// If the commander is killed before it has read the order, the order is lost, and no process can detect
    /// it. If the commander hangs, it later checks [how old the order is](order::has_expired).
    ///
    /// # Errors
    /// If the commander went away since [`Commander::reach`].
    pub fn forward(&mut self, accepted: AcceptedOrder) -> io::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let order = accepted.into_order();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(&connection.socket, &order.encode(), flags) {
            Ok(_) => {
                connection.account.sent(order.key);
                Ok(())
            }
            Err(error) => {
                self.connection = None;
                Err(error.into())
            }
        }
    }
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, account: Account::default(), has_waited: false }
    }

    /// Reads the reports that have come.
    fn hear(&mut self) -> io::Result<()> {
        // One byte more than the longest report, so that one which is too long does not look right.
        let mut buffer = [0; slots::MAX_SIZE + 1];
        for _ in 0..BATCH {
            let length = match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((length, _)) => length,
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(error) => return Err(error.into()),
            };
            let report = SlotReport::decode(buffer.get(..length).unwrap_or_default());
            self.account.update(report.map_err(io::Error::other)?);
        }
        Ok(())
    }

    /// Whether the peer is there and there is room for another message.
    fn takes_orders(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&at_once)).is_ok()
            && fds.iter().all(|fd| fd.revents() == PollFlags::OUT)
    }

    /// Waits for the first report, if that was not done before.
    fn wait_for_first_report(&mut self, path: &Path) -> io::Result<()> {
        let has_waited = mem::replace(&mut self.has_waited, true);
        if self.account.is_known() {
            return Ok(());
        }
        let heard = match has_waited {
            true => Ok(()),
            false => {
                wait([Some(self.socket.as_fd())], Instant::now().checked_add(PATIENCE))?;
                self.hear()
            }
        };
        let heard = match heard {
            Ok(()) if self.account.is_known() => return Ok(()),
            Ok(()) => io::Error::from(io::ErrorKind::TimedOut),
            Err(error) => error,
        };
        if !has_waited {
            let path = path.display();
            tracing::warn!(
                "ruroco-commander at {path} does not report its free slots ({heard}). Until it does, knocks are \
                rejected (commander_away). If it is of another release than ruroco-server, install the same release of \
                both and run: systemctl restart ruroco-commander ruroco-server"
            );
        }
        Err(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_daemon::shares::Shares;
    use ruroco_ipc::{private_socket::PrivateListener, slots::SLOTS};
    use rustix::process::geteuid;

    #[test]
    fn a_commander_that_does_not_report_is_waited_for_once_and_gets_no_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(order::SOCKET);
        let key = KeyId([1; 8]);
        let mut commander = Commander::new(dir.path());
        assert_eq!(commander.reach().unwrap_err().kind(), io::ErrorKind::NotFound);

        let listener = PrivateListener::listen(&path, geteuid().as_raw()).unwrap();
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(commander.reach().unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(!commander.has_room_for(key));
        }
        assert!(start.elapsed() < PATIENCE * 10, "it was waited for each time");

        let peer = listener.accept().unwrap().unwrap();
        let send = |report: &[u8]| send(&peer, report, SendFlags::NOSIGNAL).unwrap();
        let mut slots = Shares::new(SLOTS, 1);
        send(&slots::encode(0, slots.taken()));
        commander.reach().unwrap();
        assert!(commander.has_room_for(key));
        (0..SLOTS / 2).for_each(|_| slots.take(key));
        send(&slots::encode(0, slots.taken()));
        commander.reach().unwrap();
        assert!(!commander.has_room_for(key) && commander.has_room_for(KeyId([2; 8])));

        // Of another release: it gets no order either, and the connection to it is not used any more.
        send(&[slots::VERSION + 1; 9]);
        assert!(commander.reach().is_err());
        assert!(!commander.has_room_for(key));
    }
}
