//! The benchmark behind `cargo xtask bench`: what the gate's program costs, how large it is, who
//! gets through while others flood, and what grows with what.
//!
//! It first says how it measures ([`method`]) and on what ([`machine`]). Then come [`cost`],
//! [`singles`], [`two_cpus`] and [`program_size`], for which the program is run without a network;
//! then the [`client`] alone, and [`campaign`]: each [`peer`] in turn is laid siege to ([`flood`]) by a [`generator`] while a
//! real client [`knocks`]; then [`growth`] and [`doors`]. [`claims`] says whether all of it is as promised, and
//! [`output`] writes it down, as JSON, as Markdown and as a curve ([`svg`]).
//!
//! It is a program of its own, because it is to be built as a release is. It fails if it could not
//! measure, and not if what it measured is bad.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a developer's terminal, which reckons with measurements"
)]

mod campaign;
mod claims;
mod client;
mod cost;
mod cpu;
mod crates;
mod doors;
mod flood;
#[allow(dead_code, unreachable_pub, reason = "it belongs to the generator, which uses the rest")]
#[path = "../../flood-ebpf/src/frame.rs"]
mod frame;
#[cfg(test)]
mod frame_tests;
mod fwknop;
mod generator;
mod growth;
mod kernel;
mod knocks;
mod machine;
mod markdown;
mod method;
mod numbers;
mod output;
mod packets;
mod paths;
mod peer;
mod program_size;
mod report;
mod scale;
mod singles;
mod statistics;
mod svg;
mod two_cpus;

use std::{
    panic,
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
    time::Instant,
};

use anyhow::Result;
use clap::Parser;
use ruroco_lab::interrupt;
use rustix::process::{Signal, getpid, kill_process};

use crate::{
    campaign::Campaign,
    growth::Growth,
    machine::Machine,
    paths::Paths,
    report::{Claim, Report, Run},
    scale::Scale,
};

/// Measures cost, size, floods and growth. To be started by `cargo xtask bench`.
#[derive(Parser)]
struct Arguments {
    /// The checkout that all of it was built from.
    #[arg(long)]
    workspace: PathBuf,
    /// In less than two minutes.
    #[arg(long)]
    quick: bool,
    /// Only doors.
    #[arg(long)]
    doors: bool,
    /// Put the result into docs/evaluate/benchmarks.md.
    #[arg(long)]
    write_docs: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    interrupt::leave_nothing_behind();
    end_by_signal_on_panic();
    let scale = if arguments.quick { Scale::QUICK } else { Scale::FULL };
    let paths = Paths(arguments.workspace);

    let run = look(&paths, arguments.quick);
    println!("{}", run.describe());
    if arguments.doors {
        let doors = doors::measure(&paths, &scale)?;
        println!("\n{}", output::write_doors(&paths, &run, &doors, arguments.write_docs)?);
        print_claims(&doors.claims);
        return Ok(());
    }
    let report = measure(&paths, &scale, run)?;
    println!("\n{}", output::write(&paths, &report)?);
    if arguments.write_docs {
        output::write_docs(&paths, &report)?;
    }
    print_claims(&report.claims);
    print_claims(&report.doors.claims);
    println!("\nThe report is in {}.", paths.output("").display());
    Ok(())
}

fn print_claims(claims: &[Claim]) {
    for claim in claims {
        let measured = claim.measured.as_deref().unwrap_or("?");
        println!("{:<12} {}: {measured}, {}", claim.verdict(), claim.what, claim.limit);
    }
}

fn look(paths: &Paths, quick: bool) -> Run {
    let date = said_by(Command::new("date").args(["--utc", "+%Y-%m-%d"]));
    let mut git = Command::new("git");
    git.arg("-C").arg(&paths.0).args(["describe", "--always", "--dirty", "--abbrev=10"]);
    Run {
        quick,
        date,
        sources: format!("sources: {}", said_by(&mut git)),
        machine: Machine::look(),
    }
}

fn measure(paths: &Paths, scale: &Scale, run: Run) -> Result<Report> {
    let begun = Instant::now();
    let step = |what: &str| println!("== {:>5.1} s  {what}", begun.elapsed().as_secs_f64());
    let method = method::describe(scale);
    println!("{}\n", method.join("\n\n"));

    step("cost by verdict");
    let cost = cost::measure(paths, scale)?;
    step("one by one");
    let singles = singles::all(paths, scale)?;
    step("two CPUs at once");
    let two_cpus = two_cpus::measure(scale)?;
    step("size of the program");
    let program = program_size::measure(scale)?;
    step("growth with the number of keys");
    let keys = growth::of_keys(paths)?;
    step("start of the client");
    let client = client::measure(paths, scale)?;
    step("floods");
    let Campaign { floods, peers, sources } = Campaign::run(paths, scale)?;
    step("a flood at a server with 10,000 keys");
    let many_keys = growth::many_keys(paths, scale.knocks)?;
    step("doors");
    let doors = doors::measure(paths, scale)?;
    step("done");

    let mut report = Report {
        run,
        method,
        cost,
        singles,
        two_cpus,
        program,
        client,
        floods,
        peers,
        growth: Growth { keys, sources, many_keys },
        claims: Vec::new(),
        doors,
    };
    report.claims = claims::check(&report);
    Ok(report)
}

/// What a command prints; "unknown" if it does not work.
fn said_by(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".to_owned())
}

/// A release does not unwind, so the lab would be left behind by what it panics about; what a
/// signal ends is tidied up.
fn end_by_signal_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        report(panic);
        if kill_process(getpid(), Signal::TERM).is_ok() {
            loop {
                thread::park();
            }
        }
    }));
}
