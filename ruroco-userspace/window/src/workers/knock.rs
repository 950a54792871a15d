//! One knock, made by the same [`Attempt`] as on the command line, and its entry in the history.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ruroco_client::{
    attempt::{Attempt, Progress},
    effect::Effect,
    knock::{self, Knock},
    lease,
    profiles::Host,
};
use ruroco_keys::name::Name;

use super::Worker;
use crate::{
    history::{self, Entry},
    knocking::{self, Ended, Step},
    task::Report,
};

/// A knock and its reports.
pub(super) struct KnockTask<'a> {
    pub(super) worker: &'a Worker,
    pub(super) host: Name,
    pub(super) command: String,
    pub(super) number: u64,
    pub(super) stop: Arc<AtomicBool>,
}

/// The entry in the history.
struct Record {
    entry: Entry,
    /// Whether the entry was added to the history.
    is_kept: bool,
}

impl KnockTask<'_> {
    pub(super) fn make(&self, at: &Host) {
        let entry = Entry {
            at: history::now(),
            host: self.host.to_string(),
            command: self.command.clone(),
            address: None,
            result: history::Result::Sent,
        };
        let mut record = Record { entry, is_kept: false };
        let ended = self.knock(at, &mut record);
        self.step(Step::Ended(ended));
        self.note(&mut record);
    }

    fn knock(&self, at: &Host, record: &mut Record) -> Ended {
        let knock = match Knock::at(at, &self.command, &self.worker.folder.keys()) {
            Ok(knock) => knock,
            Err(error) => {
                record.entry.result = history::Result::NotSent { why: error.to_string() };
                return Ended::without_key(&error, &self.host);
            }
        };
        let port = if at.doors.is_empty() { at.wait } else { at.port_of(&self.command) };
        let effect = port.map(Effect::of);
        let attempt = Attempt { knock, effect };
        let mut sent = self.worker.platform.now();
        let mut report = |progress| match progress {
            Progress::LookingUp => self.step(Step::LookingUp),
            Progress::Sent(to) => {
                sent = self.worker.platform.now();
                self.step(Step::Sent(to));
                record.entry.address.get_or_insert(to.to_string());
                // Saved now, so that the entry exists even if the window is closed.
                self.note(record);
            }
            Progress::Waiting(at) => self.step(Step::Waiting(at)),
        };
        let give_up = || self.stop.load(Ordering::Relaxed);
        let counter = self.worker.folder.counter().map_err(knock::Error::from);
        let outcome = counter.and_then(|counter| attempt.make(&counter, &mut report, &give_up));
        match outcome {
            Ok(outcome) => {
                record.entry.address = Some(knocking::addresses(&outcome.sent));
                record.entry.result = knocking::result(&outcome);
                let ended = Ended::of(&outcome, attempt.knock.key(), self.worker.platform.now());
                let (file, host) = (self.worker.folder.leases(), self.host.as_str());
                let leases = file.note(host, at, &self.command, sent, &outcome.effect);
                ended.with_leases(leases).with_closings(&lease::closings(at, &self.command))
            }
            Err(error) => {
                record.entry.result = match &error {
                    knock::Error::GivenUp => history::Result::Cancelled,
                    knock::Error::Resolve(_)
                    | knock::Error::Counter(_)
                    | knock::Error::Seal(_)
                    | knock::Error::Unsent(_) => {
                        history::Result::NotSent { why: error.to_string() }
                    }
                };
                Ended::not_sent(&error)
            }
        }
    }

    fn step(&self, step: Step) {
        self.worker.report(Report::Knock(self.number, step));
    }

    fn note(&self, record: &mut Record) {
        let (history, entry) = (&self.worker.history, record.entry.clone());
        let written = if record.is_kept { history.replace(entry) } else { history.add(entry) };
        match written {
            Ok(entries) => {
                record.is_kept = true;
                self.worker.report(Report::History(entries));
            }
            Err(error) => self.worker.report_failure("The history was not saved", &error),
        }
    }
}
