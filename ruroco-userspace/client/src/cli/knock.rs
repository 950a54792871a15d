//! `ruroco-client knock`: sends a knock and, if it opens a port, waits for the port.

use std::num::NonZero;

use anyhow::Context;
use clap::Args;

use super::{
    exit::{self, Exit},
    print_line, print_note, remedy,
    report::Report,
    target::{Target, TargetArguments},
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
    target: TargetArguments,
    /// Wait for this TCP port to open [default: the host's `wait` port]. Without this option, the program waits
    /// for the `wait` port if you send the host's default command, and for the port of the door that another
    /// command opens
    #[arg(long, value_name = "PORT", num_args = 0..=1, conflicts_with = "no_wait")]
    #[arg(value_parser = ruroco_command_line::port)]
    wait: Option<Option<NonZero<u16>>>,
    /// Do not wait for a port
    #[arg(long, conflicts_with_all = ["timeout", "tries"])]
    no_wait: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Check everything and print what would be sent, without sending it
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
        let said = report.to_json().and_then(|line| print_line(&line));
        if report.is_sent() { warn_if_not_printed(said) } else { said? }
    }
    ended
}

fn send(arguments: Arguments, folder: &Folder, report: &mut Report) -> anyhow::Result<Exit> {
    let Arguments { target, wait, no_wait, waiting, dry_run, json } = arguments;
    let is_confirmed = target.is_confirmed();
    let target = target.resolve(folder)?;
    report.target(&target);
    let port = if no_wait { None } else { port(wait, &target, &waiting)? };
    let effect = port.map(|port| waiting.effect(port));
    let knock = target.knock(folder)?;
    report.knock(&knock);
    if dry_run {
        let rehearsal = Rehearsal::of(&knock, effect, &folder.counter()?)?;
        report.rehearsed(&rehearsal);
        if !json {
            let lines = rehearsal.lines(&target.label(), remedy::words);
            lines.iter().try_for_each(|line| print_line(line))?;
        }
        return Ok(Exit::Done);
    }
    if !is_confirmed {
        target.confirm()?;
    }
    let attempt = Attempt { knock, effect };
    let mut progress = |progress: Progress| match &progress {
        Progress::Sent(to) if !json => {
            warn_if_not_printed(print_line(&format!("sent {} to {to}", target.command)));
        }
        Progress::LookingUp | Progress::Sent(_) | Progress::Waiting(_) => {
            effect.iter().for_each(|effect| waiting::print_progress(&progress, effect.limit))
        }
    };
    let (outcome, result) = waiting::knock(&attempt, &target, folder, &mut progress)?;
    report.made(&outcome, &attempt);
    report.opened(&result);
    if !json {
        print_outcome(&outcome, &attempt);
        result.sentences().for_each(|sentence| warn_if_not_printed(print_line(&sentence)));
    }
    Ok(Exit::from(&outcome.effect))
}

/// Turns a failure to print into a warning: the knock was sent, so the exit code must not report
/// failure, or a script would send it again.
fn warn_if_not_printed(said: anyhow::Result<()>) {
    if let Err(error) = said {
        print_note(&format!("Warning: the knock was sent, but {error:#}"));
    }
}

/// The port to wait for, if any.
fn port(
    wait: Option<Option<NonZero<u16>>>,
    target: &Target,
    waiting: &Waiting,
) -> anyhow::Result<Option<NonZero<u16>>> {
    match wait {
        Some(Some(port)) => Ok(Some(port)),
        // Options about waiting imply --wait.
        None if !waiting.is_requested() => {
            // A command that opens no door may close the port.
            Ok(target.host.port_of(&target.command))
        }
        _ => needed_port(target).map(Some),
    }
}

/// The port that the command opens, or the host's `wait` port.
///
/// # Errors
/// If the host has none.
pub(super) fn needed_port(target: &Target) -> anyhow::Result<NonZero<u16>> {
    let Target { host, command, .. } = target;
    host.port_of(command).or(host.wait).with_context(|| {
        let host = target.label();
        format!("no port is set for {host}. Pass --wait PORT, or set `wait` in client.toml")
    })
}

fn print_outcome(outcome: &Outcome, attempt: &Attempt) {
    for unsent in &outcome.sent.not_to {
        warn_if_not_printed(print_line(&format!("cannot send to {unsent}")));
    }
    match &outcome.effect {
        Observation::NotOpened { .. } => waiting::print_not_opened(outcome, &attempt.knock),
        seen @ (Observation::NotChecked | Observation::Opened { .. } | Observation::GivenUp) => {
            waiting::sentence(seen)
                .iter()
                .for_each(|sentence| warn_if_not_printed(print_line(sentence)));
            waiting::print_warnings(&waiting::advice(outcome, &attempt.knock));
        }
    }
}
