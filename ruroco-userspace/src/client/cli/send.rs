//! `ruroco-client send`: a knock and, if it is to open a port, the look at it.

use std::num::NonZero;

use anyhow::Context;
use clap::Args;

use super::{
    exit::{self, Exit},
    report::Report,
    say,
    target::{Asked, Target},
    waiting::{self, Waiting},
};
use crate::client::{
    attempt::{Attempt, Observation, Outcome, Progress},
    folder::Folder,
    rehearsal::Rehearsal,
};

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Wait until this TCP port of the host opens: by default the host's `wait`. Without this flag a
    /// host that has one is waited for if its first command is asked for
    #[arg(long, value_name = "PORT", num_args = 0..=1, conflicts_with = "no_wait")]
    wait: Option<Option<NonZero<u16>>>,
    /// Wait for nothing
    #[arg(long, conflicts_with_all = ["timeout", "tries"])]
    no_wait: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Check all and say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object, also about what fails
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments, folder: &Folder) -> anyhow::Result<Exit> {
    let json = arguments.json;
    let mut report = Report::default();
    let ended = send(arguments, folder, &mut report);
    if json {
        if let Err(error) = &ended {
            report.failed(error);
        }
        say(&report.to_json()?)?;
    }
    ended
}

fn send(arguments: Arguments, folder: &Folder, report: &mut Report) -> anyhow::Result<Exit> {
    let Arguments { target, wait, no_wait, waiting, dry_run, json } = arguments;
    let asked = target.asked(folder)?;
    report.asked(&asked);
    let port = if no_wait { None } else { port(wait, &asked, &waiting)? };
    let effect = port.map(|port| waiting.effect(port));
    let knock = asked.knock(folder)?;
    report.knock(&knock);
    if dry_run {
        let rehearsal = Rehearsal::of(&knock, effect, &folder.counter()?)?;
        report.rehearsed(&rehearsal);
        if !json {
            rehearsal.lines(&asked.called()).iter().try_for_each(|line| say(line))?;
        }
        return Ok(Exit::Done);
    }
    let attempt = Attempt { knock, effect };
    let mut said = Ok(());
    let mut progress = |progress: Progress| match &progress {
        Progress::Sent(to) if !json => {
            let line = format!("sent {} to {to}", asked.command);
            said = std::mem::replace(&mut said, Ok(())).and_then(|()| say(&line));
        }
        Progress::LookingUp | Progress::Sent(_) | Progress::Waiting(_) => {
            effect.iter().for_each(|effect| waiting::show(&progress, effect.limit))
        }
    };
    let outcome = attempt.make(&folder.counter()?, &mut progress, &|| false)?;
    said?;
    report.made(&outcome, &attempt);
    if json { Ok(exit(&outcome)) } else { tell(&outcome, &attempt) }
}

/// The port to wait for, if there is one.
fn port(
    wait: Option<Option<NonZero<u16>>>,
    asked: &Asked,
    waiting: &Waiting,
) -> anyhow::Result<Option<NonZero<u16>>> {
    match wait {
        Some(Some(port)) => Ok(Some(port)),
        // Flags about waiting ask for it, too.
        None if !waiting.is_asked_for() => {
            // Another command of the host's may be the one that shuts the port.
            Ok(asked.host.wait.filter(|_| asked.command == asked.host.command))
        }
        _ => needed_port(asked).map(Some),
    }
}

/// The port that the host is known to open.
///
/// # Errors
/// If it is not.
pub(super) fn needed_port(asked: &Asked) -> anyhow::Result<NonZero<u16>> {
    asked.host.wait.with_context(|| {
        let host = asked.called();
        format!("no port is known that {host} opens: name it with --wait PORT, or in client.toml")
    })
}

fn tell(outcome: &Outcome, attempt: &Attempt) -> anyhow::Result<Exit> {
    for unsent in &outcome.sent.not_to {
        say(&format!("could not send to {unsent}"))?;
    }
    match &outcome.effect {
        Observation::Shut { .. } => waiting::tell_not_opened(outcome, &attempt.knock),
        seen @ (Observation::NotLooked | Observation::Opened { .. } | Observation::GivenUp) => {
            waiting::sentence(seen).iter().try_for_each(|sentence| say(sentence))?;
            waiting::warn_of_clock(outcome);
        }
    }
    Ok(exit(outcome))
}

/// How this program ends whose attempt came to this.
pub(super) fn exit(outcome: &Outcome) -> Exit {
    match outcome.effect {
        Observation::NotLooked | Observation::Opened { .. } => Exit::Done,
        Observation::Shut { .. } | Observation::GivenUp => Exit::NotOpened,
    }
}
