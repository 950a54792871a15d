//! What happens to a candidate: it is judged, its floor is persisted, and its order is forwarded, in
//! that order.

use std::{os::fd::BorrowedFd, time::Duration};

use ruroco_common::candidate::Candidate;

use super::{
    clock::Now,
    commander::Commander,
    floor_file::{self, FloorFile},
    refusal::Refusal,
    verifier::Verifier,
};
use crate::{config::Config, key_directory::NamedKey, notices::Notices};

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

    /// How many keys candidates are judged by.
    pub fn keys_in_force(&self) -> usize {
        self.verifier.len()
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
        if !self.commander.has_room_for(permit.order().key) {
            return Err(Refusal::TooManyRunning);
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

    /// The connection to the commander, readable when [`Server::tidy`] has something to do for it.
    pub fn commander(&self) -> Option<BorrowedFd<'_>> {
        self.commander.descriptor()
    }

    /// Does what no candidate has to wait for.
    pub fn tidy(&mut self, now: Now) {
        self.commander.hear();
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
