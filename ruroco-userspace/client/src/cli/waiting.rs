//! How a port that is to open is waited for: flags that all actions have that wait, and what they tell
//! about it.

use std::{
    io::{self, IsTerminal},
    net::TcpStream,
    num::NonZero,
    time::Duration,
};

use anyhow::Context;
use clap::Args;

use super::{exit::Exit, note, remedy};
use crate::{
    advice,
    attempt::{Attempt, Observation, Outcome, Progress},
    effect::{DEFAULT_LIMIT, Effect},
    folder::Folder,
    knock::{self, Knock},
};

#[derive(Args)]
pub(super) struct Waiting {
    /// How long all of it may take: finding the address, knocking and waiting [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Knock up to N times in this time, as long as the port stays shut; the command may run N times
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = ruroco_command_line::count)]
    tries: Option<NonZero<u32>>,
}

impl Waiting {
    pub(super) fn effect(&self, port: NonZero<u16>) -> Effect {
        let usual = Effect::of(port);
        Effect {
            limit: self.timeout.unwrap_or(DEFAULT_LIMIT),
            tries: self.tries.unwrap_or(usual.tries),
            ..usual
        }
    }

    /// Whether anything was said of waiting.
    pub(super) fn is_asked_for(&self) -> bool {
        self.timeout.is_some() || self.tries.is_some()
    }
}

/// A time in seconds. A day is more than anybody waits for, and less than any clock can count.
fn seconds(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(86_400);
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.filter(|time| !time.is_zero() && *time <= DAY);
    seconds.ok_or_else(|| "write a number of seconds, from a fraction of one to 86400".to_owned())
}

/// Makes the attempt.
///
/// # Errors
/// If no knock is on its way.
pub(super) fn knock(
    attempt: &Attempt,
    folder: &Folder,
    report: &mut dyn FnMut(Progress),
) -> anyhow::Result<Outcome> {
    let counter = folder.counter().map_err(knock::Error::from);
    counter
        .and_then(|counter| attempt.make(&counter, report, &|| false))
        .context("nothing was sent")
}

/// Does what needs the open port, or says that the port did not open. Whatever fails now, the knock
/// was sent, and the exit says so.
pub(super) fn once_open(
    outcome: Outcome,
    knock: &Knock,
    then: impl FnOnce(TcpStream) -> anyhow::Result<Exit>,
) -> Exit {
    let exit = Exit::from(&outcome.effect);
    let Observation::Opened { connection, .. } = outcome.effect else {
        for unsent in &outcome.sent.not_to {
            note(&format!("could not send to {unsent}"));
        }
        tell_not_opened(&outcome, knock);
        return exit;
    };
    then(connection).unwrap_or_else(|error| {
        note(&format!("Error: {error:#}"));
        Exit::FailedAfterwards
    })
}

/// Shows a person at a terminal, and nobody else, how far an attempt is.
pub(super) fn show(progress: &Progress, limit: Duration) {
    if let Progress::Waiting(at) = progress
        && io::stderr().is_terminal()
    {
        note(&format!("waiting for {at} to open, {limit:?} at most"));
    }
}

/// What has come of looking, in one sentence; nothing if nobody has.
pub(super) fn sentence(observation: &Observation) -> Option<String> {
    match observation {
        Observation::NotLooked => None,
        Observation::Opened { at, was_open: true, .. } => {
            Some(format!("{at} is open, and was before the knock"))
        }
        Observation::Opened { at, after, .. } => {
            Some(format!("{at} is open, {} ms after the knock", after.as_millis()))
        }
        Observation::Shut { at, limit, error } => {
            Some(format!("{at} did not open within {limit:?}: {error}"))
        }
        Observation::GivenUp => Some("nobody waited for the port any longer".to_owned()),
    }
}

/// Says that the port did not open, and what to look at.
pub(super) fn tell_not_opened(outcome: &Outcome, knock: &Knock) {
    note(&format!("Error: {}", sentence(&outcome.effect).unwrap_or_default()));
    advice(outcome, knock).iter().for_each(|advice| note(&format!("- {advice}")));
}

/// Says what to look at, where nothing is known to be wrong.
pub(super) fn warn(advice: &[String]) {
    advice.iter().for_each(|advice| note(&format!("Warning: {advice}")));
}

/// What to look at after a knock.
pub(super) fn advice(outcome: &Outcome, knock: &Knock) -> Vec<String> {
    let advice = advice::on(outcome, knock.key());
    advice.iter().map(|advice| advice.told(remedy::words)).collect()
}
