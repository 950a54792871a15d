//! The running commander: it accepts servers, reads their orders, and starts runs, whichever comes first.
//!
//! Nothing in it blocks. In a turn of the loop, it accepts one connection and reads a few messages from each,
//! so that a server that sends all the time delays neither a signal nor a second server.
//!
//! Whenever it has read a message, or a slot has become free, it [reports](ruroco_ipc::slots) to all
//! connected servers.

use std::{
    array, fmt, mem,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ruroco_commands::{approved::Approved, commands::Commands};
use ruroco_config::{Config, Source};
use ruroco_daemon::{
    clock::Now,
    event_loop::{Daemon, Watched},
    listener::Listener,
    logging,
    notices::{Due, Notices},
};
use ruroco_ipc::{
    boot_clock, lease,
    order::{self, SOCKET},
    slots::SLOTS,
};
use rustix::io::Errno;

use super::{
    audit::Audit,
    connection::Connection,
    gate_events::GateEvents,
    key_names::KeyNames,
    notify::Notifier,
    queue::Queue,
    refusal::{Reason, Refusal},
    rules::Rules,
    runs::Runs,
    status::StatusSocket,
};

/// Most connections at the same time. The server needs one; a second is there when it restarts.
const MAX_CONNECTIONS: usize = 4;

/// How many events the commander waits for: four, and messages on each connection.
const EVENTS: usize = 4 + MAX_CONNECTIONS;

/// How soon a report is sent again to a server that had no room for the last one.
const REPORT_AGAIN: Duration = Duration::from_millis(500);

/// The running commander.
#[derive(Debug)]
pub struct Service {
    config: Config,
    /// The uid of `server_user`.
    server_uid: u32,
    commands_file: PathBuf,
    listener: Listener,
    status: StatusSocket,
    /// Each has its place as long as it lasts.
    connections: [Option<Connection>; MAX_CONNECTIONS],
    rules: Rules,
    queue: Queue,
    runs: Runs,
    /// Whether the last report is out of date.
    has_news: bool,
    refusals: Notices<Reason>,
    audit: Audit,
    /// Where the gate reports what becomes of leases, if there is a gate.
    gate: Option<GateEvents>,
    names: KeyNames,
    notifier: Notifier,
}

/// What the commander waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run is over, and its slot is free.
    SlotFreed,
    /// A server has connected.
    ServerConnecting,
    /// The server in this place has sent something, or has gone.
    Message(usize),
    /// The operator asks for the status.
    StatusQuestion,
    /// The gate reports an event, or has gone.
    GateEvent,
}

impl Service {
    /// Begins to listen, with the commands in `commands_file` as they were approved. The caller holds a lock
    /// that makes sure that there is no other commander.
    ///
    /// # Errors
    /// If a socket cannot be made, or there are no descriptors left.
    pub fn listen(
        approved: Approved,
        commands_file: &Path,
        audit: Audit,
        notifier: Notifier,
    ) -> anyhow::Result<Self> {
        let command_names = approved.command_names();
        let Approved { config, server_uid, keys, commands } = approved;
        let path = config.socket_dir.join(SOCKET);
        let listener = Listener::listen(&path, server_uid)?;
        let status = StatusSocket::listen(&config.socket_dir, commands_file)?;
        let mut names = KeyNames::default();
        names.learn(&keys);
        notifier.change(commands.notify().cloned());
        let gate = has_gate(&config).then(|| GateEvents::new(&config.socket_dir));
        let rules = Rules::of(&config, commands, keys);
        let service = Self {
            server_uid,
            commands_file: commands_file.to_owned(),
            listener,
            status,
            connections: array::from_fn(|_| None),
            queue: Queue::new(rules.max_per_second),
            rules,
            runs: Runs::new(&config.socket_dir.join(lease::SOCKET), audit.clone())?,
            has_news: false,
            refusals: Notices::default(),
            audit,
            gate,
            names,
            notifier,
            config,
        };
        let (socket, user) = (path.display(), &service.config.server_user);
        let notify = program_of(&service.rules.commands);
        tracing::info!(%socket, %user, commands = %command_names, notify, "listening");
        Ok(service)
    }

    /// Ends all runs and removes the sockets.
    pub fn end(mut self) {
        tracing::info!(running = self.runs.slots().taken().count(), "stopping");
        // The server is to see at once that nobody takes its orders any more.
        drop(self.connections);
        drop(self.listener);
        drop(self.status);
        for refusal in self.queue.judge_again(|waiting| Err(waiting.refuse_at_stop())) {
            self.refusals.note(refusal.reason(), &refusal);
        }
        self.refusals.rest(Instant::now()).for_each(|due| report_refusals(&self.audit, &due));
        self.runs.end();
    }

    /// Accepts one connection at a time, so that many of them do not keep orders waiting.
    fn connect(&mut self) {
        match self.listener.accept(Instant::now()) {
            Ok(Some(socket)) => match self.connections.iter_mut().find(|place| place.is_none()) {
                Some(place) => {
                    tracing::debug!("server connected");
                    *place = Some(Connection::new(socket));
                    self.has_news = true;
                }
                None => {
                    let detail =
                        format_args!("the commander has {MAX_CONNECTIONS} connections already");
                    self.refusals.note(Reason::TooManyConnections, detail);
                }
            },
            Ok(None) => {}
            Err(error) => self.refusals.note(Reason::NoConnection, error),
        }
    }

    fn answer_status(&mut self) {
        let connections = self.connections.iter().flatten().count();
        let running = self.runs.slots().taken().count();
        let notify = program_of(&self.rules.commands);
        let answered = self.status.answer(Instant::now(), running, connections, notify);
        if let Err(error) = answered {
            self.refusals.note(Reason::NoConnection, error);
        }
    }

    /// Reads some messages from the server in this place and does what they ask, or notices that it has gone.
    fn receive(&mut self, place: usize) {
        let Some(mut connection) = self.connections.get_mut(place).and_then(Option::take) else {
            return;
        };
        if self.obey_some(&mut connection)
            && let Some(place) = self.connections.get_mut(place)
        {
            *place = Some(connection);
        }
    }

    /// Does what a few messages ask. Says whether the connection stays.
    fn obey_some(&mut self, connection: &mut Connection) -> bool {
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
                    self.refusals.note(Reason::BrokenConnection, error);
                    return false;
                }
            }
        }
        true
    }

    fn obey(&mut self, message: &[u8]) {
        match self.rules.judge(Now::read(), message, self.runs.slots()) {
            Ok(permitted) => {
                let slot = self.runs.take_slot(permitted.key_id());
                self.queue.push(permitted, slot);
            }
            Err(refusal) => self.note(&refusal),
        }
    }

    fn start_runs(&mut self) {
        let now = Now::read();
        while let Some((permitted, slot)) = self.queue.next(now.boot) {
            // It may have waited, and its key may have expired meanwhile.
            match self.rules.judge_again(now, &permitted) {
                Err(refusal) => self.note(&refusal),
                Ok(permitted) => {
                    if let Err(error) = self.runs.start(permitted, slot) {
                        self.refusals.note(Reason::NoThread, error);
                    }
                }
            }
        }
    }

    fn note(&mut self, refusal: &Refusal) {
        self.refusals.note(refusal.reason(), refusal);
    }

    /// Whether some server would go by an old report.
    fn is_behind(&self) -> bool {
        self.connections.iter().flatten().any(Connection::is_behind)
    }
}

impl Daemon<EVENTS> for Service {
    type Event = Event;

    fn watched(&self, now: Instant) -> [Watched<'_, Event>; EVENTS] {
        let message = |place: usize| {
            let connection = self.connections.get(place).and_then(Option::as_ref);
            (Event::Message(place), connection.map(AsFd::as_fd))
        };
        [
            (Event::SlotFreed, Some(self.runs.as_fd())),
            (Event::ServerConnecting, self.listener.descriptor(now)),
            (Event::StatusQuestion, self.status.listener.descriptor(now)),
            (Event::GateEvent, self.gate.as_ref().and_then(GateEvents::descriptor)),
            message(0),
            message(1),
            message(2),
            message(3),
        ]
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let wakes = [
            self.refusals.next(),
            self.queue.due().and_then(boot_clock::to_instant),
            self.is_behind().then(|| now.checked_add(REPORT_AGAIN)).flatten(),
            self.listener.next_wake(now),
            self.status.listener.next_wake(now),
            self.gate.as_ref().and_then(GateEvents::next_wake),
        ];
        wakes.into_iter().flatten().min()
    }

    fn on(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::SlotFreed => {
                self.runs.count_freed();
                self.has_news = true;
            }
            Event::ServerConnecting => {
                // What others have sent before comes first: the first report to a new server has all of it.
                (0..MAX_CONNECTIONS).for_each(|place| self.receive(place));
                self.connect();
            }
            Event::Message(place) => self.receive(place),
            Event::StatusQuestion => self.answer_status(),
            Event::GateEvent => {
                if let Some(gate) = &mut self.gate {
                    gate.receive(&self.names, &self.audit);
                }
            }
        }
        Ok(())
    }

    fn tend(&mut self) -> anyhow::Result<()> {
        self.start_runs();
        if let Some(gate) = &mut self.gate {
            gate.tend(Instant::now());
        }
        if mem::take(&mut self.has_news) || self.is_behind() {
            let slots = self.runs.slots();
            self.connections.iter_mut().flatten().for_each(|connection| connection.report(slots));
        }
        self.refusals.due(Instant::now()).for_each(|due| report_refusals(&self.audit, &due));
        Ok(())
    }

    /// Runs go on as they were begun; those that wait are judged by the new rules.
    fn reload(&mut self) -> anyhow::Result<()> {
        let approved = Approved::read_anew(&self.config, self.server_uid, &self.commands_file);
        let approved = logging::or_refuse(approved)?;
        let names = approved.command_names();
        let Approved { config, keys, commands, .. } = approved;
        self.notifier.change(commands.notify().cloned());
        self.names.learn(&keys);
        self.rules = Rules::of(&config, commands, keys);
        if has_gate(&config) != self.gate.is_some() {
            self.gate = has_gate(&config).then(|| GateEvents::new(&config.socket_dir));
        }
        self.config = config;
        let notify = program_of(&self.rules.commands);
        tracing::info!(commands = %names, notify, "reloaded");
        self.queue.change(self.rules.max_per_second);
        let now = Now::read();
        for refusal in self.queue.judge_again(|waiting| self.rules.judge_again(now, waiting)) {
            self.refusals.note(refusal.reason(), &refusal);
        }
        Ok(())
    }

    fn summarise(&self, line: &mut dyn fmt::Write) -> fmt::Result {
        line.write_str("waiting for orders")
    }
}

/// Whether a gate runs on this host: without XDP, it does only for doors.
fn has_gate(config: &Config) -> bool {
    config.source == Source::Xdp || !config.doors.is_empty()
}

/// The program that is notified of events, for the log.
fn program_of(commands: &Commands) -> Option<&str> {
    commands.notify().map(|notify| notify.program.path.as_str())
}

/// Logs orders that were refused, also in the audit trail.
fn report_refusals(audit: &Audit, due: &Due<'_, Reason>) {
    let Due { kind, count, total, detail } = due;
    tracing::warn!(reason = %kind.name(), count, total, %detail, "refused");
    audit.refused(due);
}
