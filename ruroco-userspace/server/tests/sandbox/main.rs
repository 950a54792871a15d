//! The server's sandbox, from within: a program that takes the server's place, enters the same
//! sandbox, and tries what somebody would who has taken the server over.
//!
//! Each [attack](attacks) is tried twice, each time by a process of its own: without the sandbox it
//! has to succeed, or the second time would show nothing, and in the sandbox it has to be refused, by
//! the part that is there to refuse it. And each of the server's [needs] has to be met in there.
//!
//! Run as root it shows more: there are attacks that nobody else could make anyway.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "whatever is not as expected has to end the test, and say where"
)]

mod attack;
mod attacks;
mod host;
mod needs;
mod system_call;

use std::{env, io, os::fd::BorrowedFd, process::ExitCode};

use attack::{Attack, NO_SUCH_CALL, Without};
use attacks::ATTACKS;
use host::{Host, Outcome, Wall};
use needs::NEEDS;
use rustix::process::geteuid;

/// Names the row that this process is to try.
const ROW: &str = "RUROCO_SANDBOX_ROW";

fn main() -> ExitCode {
    if let Ok(row) = env::var(ROW) {
        try_row(&row);
        return ExitCode::SUCCESS;
    }
    // As with other tests, words on the command line choose among the rows.
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let mut failures = 0;
    for attack in ATTACKS.iter().filter(|attack| is_chosen(attack.name)) {
        failures += report(attack.name, judge(attack));
    }
    for need in NEEDS.iter().filter(|need| is_chosen(need.name)) {
        failures += report(need.name, needs::judge(need));
    }
    println!("sandbox: {failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(name: &str, verdict: Result<&'static str, String>) -> u32 {
    match verdict {
        Ok(how) => {
            println!("{name}: {how}");
            0
        }
        Err(why) => {
            println!("{name}: FAILED: {why}");
            1
        }
    }
}

/// Makes the attack without the sandbox and in it.
fn judge(attack: &Attack) -> Result<&'static str, String> {
    let host = Host::new();
    let without = host.try_row(attack.name, Wall::Down);
    let is_root = geteuid().is_root();
    let how = match (attack.without, &without) {
        (Without::Anyone | Without::WhereThereIs, Outcome::Done) => "refused",
        (Without::Root, Outcome::Done) if is_root => "refused",
        (Without::Fails(expected), Outcome::Failed(errno)) if is_root && *errno == expected => {
            "refused before it comes that far"
        }
        (Without::Root | Without::Fails(_), _) if !is_root => {
            "refused; WHETHER ROOT COULD IS NOT TESTED"
        }
        (Without::WhereThereIs, Outcome::Failed(_)) => {
            "refused; THIS KERNEL WOULD REFUSE IT IN ANY CASE"
        }
        (_, without) => return Err(format!("without the sandbox: {without:?}")),
    };
    let host = Host::new();
    match host.try_row(attack.name, Wall::Up) {
        Outcome::NoLandlock if attack.refused != NO_SUCH_CALL => {
            Ok("NOT TESTED: this kernel's Landlock does not cover everything")
        }
        Outcome::Failed(errno) if errno == attack.refused => Ok(how),
        other @ (Outcome::Done | Outcome::Failed(_) | Outcome::NoLandlock | Outcome::Ended(_)) => {
            Err(format!("in the sandbox: {other:?}"))
        }
    }
}

/// What a process does that was started for a row.
fn try_row(name: &str) {
    let host = Host::of_environment();
    if let Some(need) = NEEDS.iter().find(|need| need.name == name) {
        (need.meet)(&host);
        return host.tell(Ok(()));
    }
    let attack = ATTACKS.iter().find(|attack| attack.name == name).expect("a row of this name");
    let held = (attack.prepare)(&host);
    // SAFETY: what was prepared stays open until this process ends.
    let network = attack.is_network.then(|| unsafe { BorrowedFd::borrow_raw(held) });
    host.enter(network);
    let outcome: io::Result<()> = (attack.attempt)(&host, held);
    host.tell(outcome);
}
