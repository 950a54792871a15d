//! Waiting for a port: the options of all commands that wait, and their messages.

use std::{
    io::{self, IsTerminal},
    net::TcpStream,
    num::NonZero,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use clap::Args;

use super::{exit::Exit, leases, print_note, remedy, target::Target};
use crate::{
    advice,
    attempt::{Attempt, Observation, Outcome, Progress},
    effect::{DEFAULT_LIMIT, Effect},
    folder::Folder,
    knock::{self, Knock},
};

#[derive(Args)]
pub(super) struct Waiting {
    /// Total time for the address look-up, the knocks and the waiting [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Send up to N knocks until the port opens. The command may run N times [default: 1]
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

    /// Whether any of these options was passed.
    pub(super) fn is_requested(&self) -> bool {
        self.timeout.is_some() || self.tries.is_some()
    }
}

/// A time in seconds, at most a day, so that adding it to a time cannot overflow.
fn seconds(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(86_400);
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.filter(|time| !time.is_zero() && *time <= DAY);
    seconds.ok_or_else(|| "use a number of seconds, more than 0 and at most 86400".to_owned())
}

/// Makes the attempt, and saves what it opened and closed.
///
/// # Errors
/// If no knock was sent.
pub(super) fn knock(
    attempt: &Attempt,
    target: &Target,
    folder: &Folder,
    report: &mut dyn FnMut(Progress),
) -> anyhow::Result<(Outcome, leases::Result)> {
    let mut sent = SystemTime::now();
    let mut noting = |progress: Progress| {
        if matches!(progress, Progress::Sent(_)) {
            sent = SystemTime::now();
        }
        report(progress);
    };
    let counter = folder.counter().map_err(knock::Error::from);
    let outcome = counter.and_then(|counter| attempt.make(&counter, &mut noting, &|| false));
    let outcome = outcome.context("nothing was sent")?;
    let result = leases::Result::note(target, &outcome, sent, folder);
    Ok((outcome, result))
}

/// Runs `then` if the port is open; otherwise prints why it did not open. The knock has been sent, so no
/// failure here is reported as [`Exit::Failed`].
pub(super) fn once_open(
    outcome: Outcome,
    knock: &Knock,
    then: impl FnOnce(TcpStream) -> anyhow::Result<Exit>,
) -> Exit {
    let exit = Exit::from(&outcome.effect);
    let Observation::Opened { connection, .. } = outcome.effect else {
        for unsent in &outcome.sent.not_to {
            print_note(&format!("cannot send to {unsent}"));
        }
        print_not_opened(&outcome, knock);
        return exit;
    };
    exit_of(then(connection))
}

/// The exit code of what is done with an open port. Prints the error, if it failed.
pub(super) fn exit_of(done: anyhow::Result<Exit>) -> Exit {
    done.unwrap_or_else(|error| {
        print_note(&format!("Error: {error:#}"));
        Exit::FailedAfterwards
    })
}

/// Prints the progress if standard error is a terminal.
pub(super) fn print_progress(progress: &Progress, limit: Duration) {
    if let Progress::Waiting(at) = progress
        && io::stderr().is_terminal()
    {
        print_note(&format!("waiting up to {limit:?} for {at} to open"));
    }
}

/// The result of waiting in one sentence; none if the program did not wait.
pub(super) fn sentence(observation: &Observation) -> Option<String> {
    match observation {
        Observation::NotChecked => None,
        Observation::Opened { at, was_open: true, .. } => {
            Some(format!("{at} is open, and was already open before the knock"))
        }
        Observation::Opened { at, after, .. } => {
            Some(format!("{at} is open, {} ms after the knock", after.as_millis()))
        }
        Observation::NotOpened { at, limit, error } => {
            Some(format!("{at} did not open within {limit:?}: {error}"))
        }
        Observation::GivenUp => Some("stopped waiting for the port".to_owned()),
    }
}

/// Prints that the port did not open, and what to check.
pub(super) fn print_not_opened(outcome: &Outcome, knock: &Knock) {
    print_note(&format!("Error: {}", sentence(&outcome.effect).unwrap_or_default()));
    advice(outcome, knock).iter().for_each(|advice| print_note(&format!("- {advice}")));
}

/// Prints advice as warnings, after a knock that may have worked.
pub(super) fn print_warnings(advice: &[String]) {
    advice.iter().for_each(|advice| print_note(&format!("Warning: {advice}")));
}

/// What to check after a knock.
pub(super) fn advice(outcome: &Outcome, knock: &Knock) -> Vec<String> {
    let advice = advice::on(outcome, knock.key());
    advice.iter().map(|advice| advice.text_with(remedy::words)).collect()
}
