//! The commander's one loop: signals, connections and orders, whichever comes first.
//!
//! Nothing in it blocks but the wait itself. In a turn it accepts one connection and reads a few
//! messages from each, so that a server which never stops talking keeps neither a signal nor a
//! second server waiting.
//!
//! Whenever it has read something, or a slot has become free, it [reports](ruroco_ipc::slots) to all that are
//! connected. A report never waits: a server that does not read knows less, and misses nothing else, as
//! the next report says everything again.

use std::{
    array, io, mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_daemon::{
    logging,
    notices::{Due, Notices},
    service_manager::ServiceManager,
    shares::Shares,
    signals::{Request, Signals},
    wait::wait,
};
use ruroco_ipc::{
    boot_clock, order,
    private_socket::PrivateListener,
    slots::{self, SLOTS},
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::{audit::Audit, permit::Rules, queue::Queue, runs::Runs, status::StatusSocket};

/// Most connections at the same time. The server needs one; a second is there when it restarts.
const MAX_CONNECTIONS: usize = 4;

/// How soon a report is sent again to a server that had no room for the last one.
const REPORT_AGAIN: Duration = Duration::from_millis(500);

/// What it does, in a line for the service manager.
const READY: &str = "waiting for orders";

/// The running commander.
#[derive(Debug)]
pub struct Service {
    listener: PrivateListener,
    status: StatusSocket,
    connections: Vec<Connection>,
    rules: Rules,
    queue: Queue,
    runs: Runs,
    /// Whether the last report does not say any more how it is.
    has_news: bool,
    refusals: Notices,
    audit: Audit,
    service_manager: ServiceManager,
}

impl Service {
    /// Puts it together; nothing happens yet.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new(
        listener: PrivateListener,
        status: StatusSocket,
        rules: Rules,
        audit: Audit,
    ) -> io::Result<Self> {
        Ok(Self {
            listener,
            status,
            connections: Vec::new(),
            queue: Queue::new(rules.max_per_second),
            rules,
            runs: Runs::new(audit.clone())?,
            has_news: false,
            refusals: Notices::default(),
            audit,
            service_manager: ServiceManager::of_environment(),
        })
    }

    /// Carries out orders until a signal ends this, then ends all runs and removes the socket. When
    /// another signal asks for it, `reload` reads the rules that are in the files then, or says why it
    /// cannot. Runs go on as they were begun; those that wait are judged by the new rules.
    ///
    /// # Errors
    /// If the kernel cannot go on waiting or accepting. The runs are ended then, too.
    pub fn run(
        mut self,
        signals: &mut Signals,
        reload: impl FnMut() -> anyhow::Result<Rules>,
    ) -> anyhow::Result<()> {
        self.service_manager.ready(READY);
        let result = self.until_ended(signals, reload);
        self.service_manager.stopping();
        tracing::info!(running = self.runs.slots().taken().count(), "stopping");
        // The server is to see at once that nobody takes its orders any more.
        drop(self.connections);
        drop(self.listener);
        drop(self.status);
        for refusal in self.queue.judge_again(|waiting| Err(waiting.refuse_at_stop())) {
            self.refusals.note(refusal.name(), &refusal);
        }
        for due in self.refusals.rest(Instant::now()) {
            tell(&self.audit, &due);
        }
        self.runs.end();
        result
    }

    fn until_ended(
        &mut self,
        signals: &mut Signals,
        mut reload: impl FnMut() -> anyhow::Result<Rules>,
    ) -> anyhow::Result<()> {
        loop {
            let started = self
                .queue
                .due()
                .and_then(|due| Instant::now().checked_add(due.saturating_sub(boot_clock::now())));
            let is_behind = self.connections.iter().any(|connection| connection.is_behind);
            let again = is_behind.then(|| Instant::now().checked_add(REPORT_AGAIN)).flatten();
            let alive = self.service_manager.next_sign_of_life();
            let wake = [self.refusals.next(), alive, started, again];
            let wake = wake.into_iter().flatten().min();
            let [_, connecting, asked, freed, talking @ ..] =
                wait(self.descriptors(signals), wake).context("could not wait for orders")?;
            self.service_manager.give_sign_of_life(Instant::now());
            match signals.next_request() {
                Some(Request::End) => return Ok(()),
                Some(Request::Reload) => self.reload(&mut reload),
                None => {}
            }
            if freed {
                self.runs.count_freed();
                self.has_news = true;
            }
            let mut talking = talking.into_iter();
            let mut connections = mem::take(&mut self.connections);
            connections.retain_mut(|connection| {
                let is_talking = talking.next().unwrap_or(false);
                !is_talking || self.receive(connection)
            });
            self.connections = connections;
            // After what others have sent before: the first report to a new server has all of it.
            if connecting {
                self.connect();
            }
            if asked {
                self.tell_status();
            }
            self.start_runs();
            if mem::take(&mut self.has_news) || is_behind {
                let slots = self.runs.slots();
                self.connections.iter_mut().for_each(|connection| connection.report(slots));
            }
            for due in self.refusals.due(Instant::now()) {
                tell(&self.audit, &due);
            }
        }
    }

    fn reload(&mut self, reload: &mut impl FnMut() -> anyhow::Result<Rules>) {
        self.service_manager.reloading();
        match reload() {
            Ok(rules) => {
                self.queue.change(rules.max_per_second);
                self.rules = rules;
                self.judge_waiting();
                self.service_manager.ready(READY);
            }
            Err(error) => {
                logging::not_reloaded(&error);
                self.service_manager.ready(&format!("{READY}; not reloaded: {error:#}"));
            }
        }
    }

    /// Drops the waiting runs that the rules refuse now, as it does orders.
    fn judge_waiting(&mut self) {
        let now = boot_clock::now();
        for refusal in self.queue.judge_again(|waiting| self.rules.judge_again(now, waiting)) {
            self.refusals.note(refusal.name(), &refusal);
        }
    }

    /// What to wait for: first signals, then new connections of the server's and of the operator's, before
    /// those that exist. So the commander meets a new server before everything that its predecessor has sent.
    fn descriptors<'a>(
        &'a self,
        signals: &'a Signals,
    ) -> [Option<BorrowedFd<'a>>; 4 + MAX_CONNECTIONS] {
        let own = [signals.as_fd(), self.listener.as_fd(), self.status.as_fd(), self.runs.as_fd()];
        let connections = self.connections.iter().map(|connection| connection.socket.as_fd());
        let mut all = own.into_iter().chain(connections);
        array::from_fn(|_| all.next())
    }

    /// Takes one connection at a time, so that many of them do not keep orders waiting.
    fn connect(&mut self) {
        match self.listener.accept() {
            Ok(Some(connection)) if self.connections.len() < MAX_CONNECTIONS => {
                tracing::debug!("server connected");
                self.connections.push(Connection { socket: connection, read: 0, is_behind: false });
                self.has_news = true;
            }
            Ok(Some(_)) => {
                let detail = format_args!("{MAX_CONNECTIONS} are there already");
                self.refusals.note("too_many_connections", detail);
            }
            Ok(None) => {}
            Err(error) => self.pause_without_connection(error),
        }
    }

    fn tell_status(&mut self) {
        if let Err(error) =
            self.status.answer(self.runs.slots().taken().count(), self.connections.len())
        {
            self.pause_without_connection(error);
        }
    }

    /// No descriptors or no memory left: it passes, and until then it shall not be asked for at full
    /// speed.
    fn pause_without_connection(&mut self, error: io::Error) {
        self.refusals.note("no_connection", error);
        thread::sleep(Duration::from_millis(100));
    }

    /// Reads some messages and does what they ask. Says whether the connection stays.
    fn receive(&mut self, connection: &mut Connection) -> bool {
        // As many as a sound server has on the way at most.
        for _ in 0..SLOTS {
            // One byte more than an order, so that one which is too long does not look right.
            let mut buffer = [0; order::SIZE + 1];
            match connection.receive(&mut buffer) {
                Ok([]) => {
                    tracing::debug!("server disconnected");
                    return false;
                }
                Ok(message) => {
                    self.has_news = true;
                    self.obey(message);
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                // The peer has gone and has not read all reports. What it has sent is still to come.
                Err(Errno::CONNRESET) => {}
                Err(error) => {
                    self.refusals.note("broken_connection", error);
                    return false;
                }
            }
        }
        true
    }

    fn obey(&mut self, message: &[u8]) {
        match self.rules.judge(boot_clock::now(), message, self.runs.slots()) {
            Ok(permitted) => {
                let slot = self.runs.take_slot(permitted.key_id());
                self.queue.push(permitted, slot);
            }
            Err(refusal) => self.refusals.note(refusal.name(), &refusal),
        }
    }

    fn start_runs(&mut self) {
        let now = boot_clock::now();
        while let Some((permitted, slot)) = self.queue.next(now) {
            if let Err(refusal) = permitted.check_age(now) {
                self.refusals.note(refusal.name(), &refusal);
            } else if let Err(error) = self.runs.start(permitted, slot) {
                self.refusals.note("no_thread", error);
            }
        }
    }
}

/// A connected server.
#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    /// How many messages have come from it.
    read: u64,
    /// Whether there was no room for the last report: the server would go by an old one.
    is_behind: bool,
}

impl Connection {
    /// The next message, without waiting for it.
    ///
    /// Descriptors that came with a message are closed by the kernel, as `recv` has no place for
    /// them. An empty message cannot be told from the end and is one.
    fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let (length, _) = recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT)?;
        self.read = self.read.saturating_add(1);
        Ok(buffer.get(..length).unwrap_or_default())
    }

    /// Reports the slots. A server that has gone is noticed when the commander reads from it.
    fn report(&mut self, slots: &Shares) {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = send(&self.socket, &slots::encode(self.read, slots.taken()), flags);
        self.is_behind = matches!(sent, Err(Errno::AGAIN));
    }
}

/// Tells of orders that were refused.
fn tell(audit: &Audit, due: &Due<'_>) {
    let Due { kind, count, total, detail } = due;
    tracing::warn!(reason = %kind, count, total, %detail, "refused");
    audit.refused(due);
}
