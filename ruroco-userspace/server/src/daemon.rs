//! The running program: candidates and keys from the [`Source`] go to the [`Server`], until a signal ends it.

use ruroco_daemon::clock::Now;
use std::{fmt, time::Instant};

use anyhow::Context;
use ruroco_config::Config;
use ruroco_daemon::{
    event_loop::{Daemon, EventLoop, Watched},
    wait::wait,
};
use ruroco_ipc::boot_clock;
use ruroco_keys::named_key::NamedKey;

use super::{
    floor_file::FloorFile,
    pauses::Pauses,
    refusal_log,
    reload::NotAdopted,
    sandbox::{self, Needs, Policy},
    server::Server,
    source::{self, Arrival, NewRing, Source},
};

/// Arrivals taken in one go, so that a flood does not keep the loop from a signal.
const BATCH: usize = 256;

/// Runs the server until a signal ends it. With a gate, the gate hands over the keys; without a gate, these
/// keys apply.
///
/// # Errors
/// Why it cannot start or continue.
pub fn run(config: Config, keys: Vec<NamedKey>, policy: Policy) -> anyhow::Result<()> {
    let event_loop = EventLoop::begin()?;
    if let Some(problem) = config.check_floors_left_behind() {
        return Err(problem.into());
    }
    let ids = keys.iter().map(|named| named.key.id);
    let floors = FloorFile::open(&config.state_dir, ids, Now::read().epoch)?;
    let source = source::open(&config)?;
    let record = refusal_log::open_or_warn(&config.state_dir);
    sandbox::enter(policy, &Needs::of(&config, source.network_socket()))?;

    let mut server = Server::new(config, keys, floors);
    if let Some(record) = record {
        server = server.recording(record);
    }
    event_loop.run(&mut ServerDaemon::new(source, server))?;
    tracing::info!("ending");
    Ok(())
}

/// The server with what it reads from.
pub struct ServerDaemon {
    /// Where candidates and keys come from.
    pub source: Box<dyn Source>,
    /// What becomes of them.
    pub server: Server,
    pauses: Pauses,
}

/// What the server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The gate hands over, or has gone.
    Gate,
    /// Candidates have come.
    Candidates,
    /// The commander reports its slots, or has gone.
    Commander,
}

impl ServerDaemon {
    /// Puts it together; nothing happens yet.
    pub fn new(source: Box<dyn Source>, server: Server) -> Self {
        Self { source, server, pauses: Pauses::starting(Instant::now()) }
    }

    /// Takes what has come, up to a batch. The descriptors tell of what is left then: both a socket and a
    /// ring can be read for as long as there is something in them (for the ring: `ringbuf_map_poll_kern`,
    /// kernel/bpf/ringbuf.c), whether or not anything more comes.
    ///
    /// # Errors
    /// Those after which the source is of no more use.
    pub fn take_batch(&mut self, now: Now) -> anyhow::Result<()> {
        for _ in 0..BATCH {
            match self.source.next(now)? {
                Some(Arrival::Candidate(candidate)) => {
                    self.server.take(now, candidate.as_ref().map_err(|refusal| *refusal));
                }
                Some(Arrival::Handover { ring, keys }) => self.adopt(now, ring, keys)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Goes on with these keys and their ring. Where that fails, the gate is asked again later.
    fn adopt(&mut self, now: Now, ring: NewRing, keys: Vec<NamedKey>) -> anyhow::Result<()> {
        match self.server.adopt(now, keys) {
            Ok(keys) => {
                self.source.change_to(ring);
                tracing::info!(source = %"xdp", keys, "ready");
            }
            Err(NotAdopted::Floors(error)) => self.source.retry(now, &error.into()),
            Err(NotAdopted::Configuration(error)) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Daemon<3> for ServerDaemon {
    type Event = Event;

    fn watched(&self, _: Instant) -> [Watched<'_, Event>; 3] {
        let [gate, candidates] = self.source.descriptors();
        [
            (Event::Gate, gate),
            (Event::Candidates, candidates),
            (Event::Commander, self.server.commander()),
        ]
    }

    fn next_wake(&self, _: Instant) -> Option<Instant> {
        let due = self.source.next_attempt().into_iter().chain(self.server.next_due()).min();
        due.and_then(boot_clock::to_instant)
    }

    fn on(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Gate | Event::Candidates => self.take_batch(Now::read()),
            Event::Commander => {
                self.server.hear_commander();
                Ok(())
            }
        }
    }

    fn tend(&mut self) -> anyhow::Result<()> {
        let now = Now::read();
        if self.source.next_attempt().is_some_and(|at| at <= now.boot) {
            self.take_batch(now)?;
        }
        self.server.tidy(now);
        if let Some(end) = self.pauses.take(Instant::now()) {
            wait([], Some(end)).context("could not pause")?;
        }
        Ok(())
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        self.server.reload(Now::read(), self.source.passed_port())
    }

    fn summarise(&self, line: &mut dyn fmt::Write) -> fmt::Result {
        let (has_source, keys) = (self.source.is_there(), self.server.keys_in_force());
        if has_source {
            let plural = if keys == 1 { "" } else { "s" };
            write!(line, "verifying candidates, {keys} key{plural}")?;
        }
        let Some(why) = self.source.waits_because() else { return Ok(()) };
        let before = if has_source { "; " } else { "" };
        write!(line, "{before}waiting for the gate: {why}")
    }
}
