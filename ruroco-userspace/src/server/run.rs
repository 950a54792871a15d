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
    floor_file::{self, FloorFile},
    refusal::Refusal,
    sandbox::{self, Needs, Policy},
    source::Source,
    verifier::Verifier,
};
use crate::{
    config::Config,
    key_directory::NamedKey,
    logging,
    notices::Notices,
    service_manager::ServiceManager,
    signals::{Request, Signals},
    wait::wait,
};

/// What the service manager is told.
const READY: &str = "judging candidates";

/// Runs the server until it is told to end. A gate hands over the keys; without one there are these.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub fn run(config: Config, keys: Vec<NamedKey>, policy: Policy) -> anyhow::Result<()> {
    let mut signals = Signals::handle().context("could not handle signals")?;
    let mut service_manager = ServiceManager::of_environment();
    let ids = keys.iter().map(|named| named.key.id);
    let floors = FloorFile::open(&config.blocklist_dir, ids, Now::read().epoch)?;
    let mut source = Source::open(&config)?;
    sandbox::enter(policy, &Needs::of(&config, source.network_socket()))?;

    let mut server = Server::new(config, keys, floors);
    service_manager.ready(READY);

    loop {
        let now = Now::read();
        source.drain(now, &mut server)?;
        server.tidy(now);
        let [one, other] = source.descriptors();
        let fds = [Some(signals.as_fd()), one, other];
        let wake = source.next_attempt().into_iter().chain(server.next_due()).min();
        let wake = wake.and_then(|at| Instant::now().checked_add(at.saturating_sub(now.boot)));
        let wake = wake.into_iter().chain(service_manager.next_sign_of_life()).min();
        wait(fds, wake).context("could not wait for candidates")?;
        service_manager.give_sign_of_life(Instant::now());
        match signals.next_request() {
            Some(Request::End) => {
                tracing::info!("ending");
                service_manager.stopping();
                return Ok(());
            }
            Some(Request::Reload) => {
                service_manager.reloading();
                match server.reload(Now::read()) {
                    Ok(()) => service_manager.ready(READY),
                    Err(error) => {
                        logging::not_reloaded(&error);
                        service_manager.ready(&format!("{READY}; not reloaded: {error:#}"));
                    }
                }
            }
            None => {}
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
    refusals: Notices<Duration>,
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
            refusals: Notices::of(Refusal::ALL.map(Refusal::name)),
            not_persisted: None,
        }
    }

    /// Carries out a candidate, or counts why not; so it does with what is none.
    pub fn take(&mut self, now: Now, candidate: Result<&Candidate, Refusal>) {
        if let Err(refusal) = candidate.and_then(|candidate| self.carry_out(now, candidate)) {
            self.refusals.note(refusal.name(), "");
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
            command_hash = %order.command,
            ip = %order.address,
            counter = order.counter,
            "accepted"
        );
        if let Err(error) = forwarded {
            let counter = order.counter;
            tracing::error!(%key, counter, %error, "the order was lost: the commander went away");
        }
        Ok(())
    }

    /// Does what no candidate has to wait for.
    pub fn tidy(&mut self, now: Now) {
        for due in self.refusals.due(now.boot) {
            let is_disk = due.kind == Refusal::FloorNotPersisted.name();
            let detail = is_disk.then(|| self.not_persisted.take()).flatten();
            let detail = detail.as_ref().map(tracing::field::display);
            tracing::warn!(reason = %due.kind, count = due.count, total = due.total, detail, "refused");
        }
        if let Err(error) = self.floors.compact_if_due() {
            tracing::warn!("the floors could not be written anew, and go on growing: {error}");
        }
    }

    /// When there will be something to tidy up, on the boot clock.
    pub fn next_due(&self) -> Option<Duration> {
        self.refusals.next()
    }
}
