//! One knock, made by the same [`Attempt`] as on the command line, and what the history keeps of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::Desk;
use crate::{
    client::{
        attempt::{Attempt, Progress},
        effect::Effect,
        knock::{self, Knock},
        profiles::Host,
    },
    name::Name,
    window::{
        history::{self, Entry},
        knocking::{self, Ended, Step},
        task::Report,
    },
};

/// One knock, from the click to its end.
pub(super) struct KnockTask<'a> {
    pub(super) desk: &'a Desk,
    pub(super) host: Name,
    pub(super) command: String,
    pub(super) number: u64,
    pub(super) stop: Arc<AtomicBool>,
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
        let (ended, entry) = self.knock(at, entry);
        self.step(Step::Ended(ended));
        self.note(entry);
    }

    fn knock(&self, at: &Host, mut entry: Entry) -> (Ended, Entry) {
        let knock = match Knock::at(at, &self.command, &self.desk.folder.keys()) {
            Ok(knock) => knock,
            Err(error) => {
                entry.result = history::Result::NotSent { why: error.to_string() };
                return (Ended::without_key(&error, &self.host), entry);
            }
        };
        let effect = at.wait.map(Effect::of);
        let attempt = Attempt { knock, effect };
        let mut report = |progress| match progress {
            Progress::LookingUp => self.step(Step::LookingUp),
            Progress::Sent(to) => {
                self.step(Step::Sent(to));
                entry.address.get_or_insert(to.to_string());
                // Now, so that it is there whatever comes.
                self.note(entry.clone());
            }
            Progress::Waiting(at) => self.step(Step::Waiting(at)),
        };
        let give_up = || self.stop.load(Ordering::Relaxed);
        let counter = self.desk.folder.counter().map_err(knock::Error::from);
        let outcome = counter.and_then(|counter| attempt.make(&counter, &mut report, &give_up));
        match outcome {
            Ok(outcome) => {
                entry.address = Some(knocking::addresses(&outcome.sent));
                entry.result = knocking::result(&outcome);
                (Ended::of(&outcome, attempt.knock.key()), entry)
            }
            Err(error) => {
                entry.result = match &error {
                    knock::Error::GivenUp => history::Result::Cancelled,
                    knock::Error::Resolve(_)
                    | knock::Error::Counter(_)
                    | knock::Error::Seal(_)
                    | knock::Error::Unsent(_) => {
                        history::Result::NotSent { why: error.to_string() }
                    }
                };
                (Ended::not_sent(&error), entry)
            }
        }
    }

    fn step(&self, step: Step) {
        let (host, number) = (self.host.clone(), self.number);
        self.desk.report(Report::Knock { host, number, step });
    }

    fn note(&self, entry: Entry) {
        match self.desk.history.put(entry) {
            Ok(entries) => self.desk.report(Report::History(entries)),
            Err(error) => self.desk.tell_failure("The history was not written", &error),
        }
    }
}
