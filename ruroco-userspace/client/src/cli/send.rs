//! `ruroco-client send`: a knock and, if it is to open a port, the look at it.

use std::num::NonZero;

use anyhow::Context;
use clap::Args;

use super::{
    exit::{self, Exit},
    note, remedy,
    report::Report,
    say,
    target::{Asked, Target},
    waiting::{self, Waiting},
};
use crate::{
    attempt::{Attempt, Observation, Outcome, Progress},
    folder::Folder,
    rehearsal::Rehearsal,
};

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Wait for this TCP port to open [default: the host's `wait` port]. Hosts with a `wait` port are
    /// waited for automatically when you send their default command
    #[arg(long, value_name = "PORT", num_args = 0..=1, conflicts_with = "no_wait")]
    #[arg(value_parser = ruroco_command_line::port)]
    wait: Option<Option<NonZero<u16>>>,
    /// Do not wait for a port
    #[arg(long, conflicts_with_all = ["timeout", "tries"])]
    no_wait: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Check everything and print what would be sent, but send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object, even on failure
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
        let said = report.to_json().and_then(|line| say(&line));
        if report.is_about_a_sent_knock() { regardless(said) } else { said? }
    }
    ended
}

fn send(arguments: Arguments, folder: &Folder, report: &mut Report) -> anyhow::Result<Exit> {
    let Arguments { target, wait, no_wait, waiting, dry_run, json } = arguments;
    let is_confirmed = target.is_confirmed();
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
            let lines = rehearsal.lines(&asked.called(), remedy::words);
            lines.iter().try_for_each(|line| say(line))?;
        }
        return Ok(Exit::Done);
    }
    if !is_confirmed {
        asked.confirm()?;
    }
    let attempt = Attempt { knock, effect };
    let mut progress = |progress: Progress| match &progress {
        Progress::Sent(to) if !json => {
            regardless(say(&format!("sent {} to {to}", asked.command)));
        }
        Progress::LookingUp | Progress::Sent(_) | Progress::Waiting(_) => {
            effect.iter().for_each(|effect| waiting::show(&progress, effect.limit))
        }
    };
    let outcome = waiting::knock(&attempt, folder, &mut progress)?;
    report.made(&outcome, &attempt);
    if !json {
        tell(&outcome, &attempt);
    }
    Ok(Exit::from(&outcome.effect))
}

/// A knock that was sent is not undone because that could not be said: who reads exit codes is not to
/// knock again.
fn regardless(said: anyhow::Result<()>) {
    if let Err(error) = said {
        note(&format!("Warning: the knock was sent; {error:#}"));
    }
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

fn tell(outcome: &Outcome, attempt: &Attempt) {
    for unsent in &outcome.sent.not_to {
        regardless(say(&format!("could not send to {unsent}")));
    }
    match &outcome.effect {
        Observation::Shut { .. } => waiting::tell_not_opened(outcome, &attempt.knock),
        seen @ (Observation::NotLooked | Observation::Opened { .. } | Observation::GivenUp) => {
            waiting::sentence(seen).iter().for_each(|sentence| regardless(say(sentence)));
            waiting::warn(&waiting::advice(outcome, &attempt.knock));
        }
    }
}
