//! The steps of a candidate: the server verifies it, persists its floor, and forwards its order, in this
//! order.

use ruroco_daemon::clock::Now;
use std::{os::fd::BorrowedFd, time::Duration};

use ruroco_common::candidate::Candidate;
use ruroco_config::Config;
use ruroco_daemon::notices::Notices;
use ruroco_keys::named_key::NamedKey;
use tracing::field;

use super::{
    commander::Commander,
    evidence::{Compared, Evidence, Explained, LastEvidence, Refused},
    floor_file::{self, FloorFile},
    refusal::Refusal,
    refusal_log::{self, RefusalLog},
    verifier::Verifier,
};

/// What a candidate meets between its source and the commander.
pub struct Server {
    pub(super) config: Config,
    /// All that there are. Those in the verifier are in force.
    pub(super) keys: Vec<NamedKey>,
    pub(super) verifier: Verifier,
    pub(super) floors: FloorFile,
    commander: Commander,
    refusals: Notices<Refusal, Duration>,
    evidence: LastEvidence,
    /// Where refused knocks of known keys are recorded for the operator.
    record: Option<RefusalLog>,
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
            refusals: Notices::of(Refusal::ALL),
            evidence: LastEvidence::default(),
            not_persisted: None,
            record: None,
        }
    }

    /// The same server, which from now on records refused knocks of known keys.
    pub fn recording(self, record: RefusalLog) -> Self {
        Self { record: Some(record), ..self }
    }

    /// How many keys candidates are judged by.
    pub fn keys_in_force(&self) -> usize {
        self.verifier.len()
    }

    /// Carries out a candidate, or counts its rejection. The same applies to a packet that is not a
    /// candidate.
    pub fn take(&mut self, now: Now, candidate: Result<&Candidate, Refusal>) {
        let outcome = candidate.map_err(Refused::from);
        if let Err(refused) = outcome.and_then(|candidate| self.carry_out(now, candidate)) {
            let reason = refused.reason;
            self.refusals.note(reason, "");
            if let (Ok(candidate), Some(record)) = (candidate, &mut self.record)
                && reason.is_of_a_key_holder()
            {
                record.note(now, candidate.datagram.key_id, reason, candidate.source);
            }
            self.evidence.keep(refused);
        }
    }

    fn carry_out(&mut self, now: Now, candidate: &Candidate) -> Result<(), Refused> {
        let permit = self.verifier.judge(now, self.floors.floors(), candidate)?;
        self.commander.reach().map_err(|error| {
            tracing::debug!("could not reach the commander: {error}");
            Refusal::CommanderAway
        })?;
        let key = permit.order().key;
        if !self.commander.has_room_for(key) {
            let evidence = Some(Evidence { key, compared: Compared::Slots });
            return Err(Refused { reason: Refusal::TooManyRunning, evidence });
        }
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

    /// The connection to the commander, readable when there is something to
    /// [hear](Server::hear_commander).
    pub fn commander(&self) -> Option<BorrowedFd<'_>> {
        self.commander.descriptor()
    }

    /// Reads what the commander reports, and notices when it has gone.
    pub fn hear_commander(&mut self) {
        self.commander.hear();
    }

    /// Does the work for which no candidate must wait.
    pub fn tidy(&mut self, now: Now) {
        for due in self.refusals.due(now.boot) {
            let is_disk = due.kind == Refusal::FloorNotPersisted;
            let problem = is_disk.then(|| self.not_persisted.take()).flatten();
            let evidence = self.evidence.take(due.kind);
            let key = evidence.and_then(|evidence| self.verifier.name(evidence.key));
            let detail = evidence.map(|evidence| {
                let (key, config) = (key.unwrap_or_default(), &self.config);
                Explained { compared: evidence.compared, key, config }.to_string()
            });
            let detail = detail.or(problem.map(|error| error.to_string()));
            let (key, detail) = (key.map(field::display), detail.map(field::display));
            tracing::warn!(reason = %due.kind.name(), count = due.count, total = due.total, key, detail, "refused");
        }
        if let Some((path, error)) = self.record.as_ref().and_then(RefusalLog::problem) {
            refusal_log::warn_without(path, error);
            self.record = None;
        }
        if let Err(error) = self.floors.compact_if_due() {
            tracing::warn!("could not write the log of the floors again: {error}");
        }
    }

    /// When there will be something to tidy up, on the boot clock.
    pub fn next_due(&self) -> Option<Duration> {
        self.refusals.next()
    }
}
