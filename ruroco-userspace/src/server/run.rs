//! The loop: waits for candidates and takes each of them through judging, persisting and
//! forwarding, in that order.

use std::{os::fd::AsFd, time::Instant};

use anyhow::Context;
use ruroco_common::candidate::Candidate;

use super::{
    clock::Now,
    commander::Commander,
    confinement,
    floor_file::FloorFile,
    refusal::{Refusal, RefusalLog},
    source::Source,
    verifier::Verifier,
};
use crate::{config::Config, key_directory, shutdown::Shutdown, wait::wait};

/// Runs the server until it is told to end.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub fn run(config: &Config) -> anyhow::Result<()> {
    confinement::refuse_root()?;
    let mut shutdown = Shutdown::on_signals().context("could not handle signals")?;
    let keys = key_directory::read_configured(config, None)?;
    let ids = keys.iter().map(|named| named.key.id);
    let floors = FloorFile::open(&config.blocklist_dir, ids, Now::read().epoch)?;
    let mut source = Source::open(config)?;
    confinement::confine()?;

    let mut server = Server {
        verifier: Verifier::new(config, &keys),
        floors,
        commander: Commander::new(&config.socket_dir),
        refusals: RefusalLog::default(),
    };
    drop(keys); // the verifier has its own

    loop {
        let now = Now::read();
        source.drain(now, |candidate| server.take(now, candidate))?;
        server.log_refusals(now);
        let fds: Vec<_> =
            [shutdown.as_fd()].into_iter().chain(source.descriptors()).map(Some).collect();
        let wake = source.next_attempt().into_iter().chain(server.refusals.next_due()).min();
        let wake = wake.and_then(|at| Instant::now().checked_add(at.saturating_sub(now.boot)));
        wait(&fds, wake).context("could not wait for candidates")?;
        if shutdown.is_requested() {
            tracing::info!("ending");
            return Ok(());
        }
    }
}

struct Server {
    verifier: Verifier,
    floors: FloorFile,
    commander: Commander,
    refusals: RefusalLog,
}

impl Server {
    fn take(&mut self, now: Now, candidate: Result<&Candidate, Refusal>) {
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
            tracing::error!("{error}");
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

    fn log_refusals(&mut self, now: Now) {
        for line in self.refusals.due(now.boot) {
            tracing::warn!(reason = %line.refusal.name(), total = line.total, "refused");
        }
    }
}
