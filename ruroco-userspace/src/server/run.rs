//! The loop: waits for candidates and takes each of them through judging, persisting and
//! forwarding, in that order.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_common::candidate::Candidate;

use super::{
    clock::Now,
    commander::Commander,
    confinement,
    floor_file::{self, FloorFile},
    keys,
    refusal::{Refusal, RefusalLog},
    source::Source,
    verifier::Verifier,
};
use crate::{
    config::{self, Config},
    key_directory::NamedKey,
    shutdown::{Reload, Shutdown},
    wait::wait,
};

/// Runs the server until it is told to end.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub fn run(config: Config) -> anyhow::Result<()> {
    confinement::refuse_root()?;
    let mut shutdown = Shutdown::on_signals().context("could not handle signals")?;
    let mut reload = Reload::on_signal().context("could not handle signals")?;
    let keys = match config.source {
        config::Source::Xdp => Vec::new(), // the gate hands them over
        config::Source::Udp => keys::read(&config)?,
    };
    let ids = keys.iter().map(|named| named.key.id);
    let floors = FloorFile::open(&config.blocklist_dir, ids, Now::read().epoch)?;
    let mut source = Source::open(&config)?;
    confinement::confine()?;

    let mut server = Server::new(config, keys, floors);

    loop {
        let now = Now::read();
        source.drain(now, &mut server)?;
        server.tidy(now);
        let [one, other] = source.descriptors();
        let fds = [Some(shutdown.as_fd()), Some(reload.as_fd()), one, other];
        let wake = source.next_attempt().into_iter().chain(server.next_due()).min();
        let wake = wake.and_then(|at| Instant::now().checked_add(at.saturating_sub(now.boot)));
        wait(fds, wake).context("could not wait for candidates")?;
        if shutdown.is_requested() {
            tracing::info!("ending");
            return Ok(());
        }
        if reload.is_requested() {
            server.reload(Now::read());
        }
    }
}

/// What a candidate meets between its source and the commander.
pub struct Server {
    pub(super) config: Config,
    /// All that there are. Those in the verifier are in force.
    pub(super) keys: Vec<NamedKey>,
    pub(super) verifier: Verifier,
    pub(super) floors: FloorFile,
    commander: Commander,
    refusals: RefusalLog,
    /// Why the last floor that was not persisted was not, until that is logged.
    not_persisted: Option<floor_file::Error>,
}

impl Server {
    /// Puts it together; nothing happens yet. Without keys everything is refused, until some are
    /// [adopted](Server::adopt).
    pub fn new(config: Config, keys: Vec<NamedKey>, floors: FloorFile) -> Self {
        Self {
            verifier: Verifier::new(&config, &keys),
            floors,
            commander: Commander::new(&config.socket_dir),
            config,
            keys,
            refusals: RefusalLog::default(),
            not_persisted: None,
        }
    }

    /// Carries out a candidate, or counts why not; so it does with what is none.
    pub fn take(&mut self, now: Now, candidate: Result<&Candidate, Refusal>) {
        if let Err(refusal) = candidate.and_then(|candidate| self.carry_out(now, candidate)) {
            self.refusals.count(refusal);
        }
    }

    fn carry_out(&mut self, now: Now, candidate: &Candidate) -> Result<(), Refusal> {
        let permit = self.verifier.judge(now, self.floors.floors(), candidate)?;
        self.commander.reach().map_err(|error| {
            tracing::debug!("could not reach the commander: {error}");
            Refusal::CommanderAway
        })?;
        let accepted = self.floors.persist(permit).map_err(|error| {
            self.not_persisted = Some(error);
            Refusal::FloorNotPersisted
        })?;
        // From here on the packet will never be accepted again.
        let order = *accepted.order();
        let forwarded = self.commander.forward(accepted);
        let key = self.verifier.name(order.key).unwrap_or_default();
        tracing::info!(
            %key,
            command = %order.command,
            ip = %order.address,
            counter = order.counter,
            "accepted"
        );
        if let Err(error) = forwarded {
            tracing::error!(
                key,
                counter = order.counter,
                "the order was lost: the commander went away: {error}"
            );
        }
        Ok(())
    }

    /// Does what no candidate has to wait for.
    pub fn tidy(&mut self, now: Now) {
        for line in self.refusals.due(now.boot) {
            if line.refusal == Refusal::FloorNotPersisted
                && let Some(error) = self.not_persisted.take()
            {
                tracing::error!("{error}");
            }
            tracing::warn!(reason = %line.refusal.name(), total = line.total, "refused");
        }
        if let Err(error) = self.floors.compact_if_due() {
            tracing::warn!("the floors could not be written anew, and go on growing: {error}");
        }
    }

    /// When there will be something to tidy up, on the boot clock.
    pub fn next_due(&self) -> Option<Duration> {
        self.refusals.next_due()
    }
}
