//! Knocks by a real client at even intervals, and what became of each.
//!
//! Every knock claims another address, which its command writes down; so it is known which of them
//! ran and which did not, and how long each took.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ruroco_lab::{send_times::SendTimes, wait};
use serde::Serialize;

use crate::{peer::Peer, statistics::Summary};

/// Between two knocks.
const INTERVAL: Duration = Duration::from_millis(18);

/// How long a command may be waited for after the last knock.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of a number of knocks.
#[derive(Debug, Serialize)]
pub(crate) struct Knocks {
    pub(crate) sent: usize,
    pub(crate) ran: usize,
    /// Milliseconds from the packet on the client's interface to the first thing the command does,
    /// for those that ran.
    pub(crate) latency_ms: Option<Summary>,
    /// From the first knock to the last.
    pub(crate) seconds: f64,
}

/// Knocks so many times; `first` sets the knocks of one measurement apart from those of another.
pub(crate) fn knock(peer: &dyn Peer, wire: &SendTimes, count: usize, first: u32) -> Result<Knocks> {
    drop(wire.take());
    let numbers = first..first + u32::try_from(count)?;
    let begun = Instant::now();
    for (place, number) in (0_u32..).zip(numbers.clone()) {
        let due = INTERVAL.saturating_mul(place);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        peer.knock(address(number))?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let sent = wire.take();
    ensure!(sent.len() == count, "{} packets were sent for {count} knocks", sent.len());
    let wanted: BTreeMap<Ipv4Addr, u128> = numbers.map(address).zip(sent).collect();

    let ran = || runs(peer, &wanted);
    wait::poll(PATIENCE, || ran().is_ok_and(|runs| runs.len() >= count).then_some(()));
    let latencies: Vec<f64> = ran()?.into_values().collect();
    let latency_ms = Summary::of(latencies.iter().copied());
    Ok(Knocks { sent: count, ran: latencies.len(), latency_ms, seconds })
}

/// The address that a knock claims: one for benchmarks (RFC 2544, appendix C.2.2).
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + number)
}

/// Milliseconds that each of these knocks took, as far as they have run. The first run counts, and a line
/// without an end does not: it is still being written.
fn runs(peer: &dyn Peer, wanted: &BTreeMap<Ipv4Addr, u128>) -> Result<BTreeMap<Ipv4Addr, f64>> {
    let text = fs::read_to_string(peer.record()).unwrap_or_default();
    let mut runs = BTreeMap::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let parts = line.split_once(' ').and_then(|(time, address)| {
            Some((time.parse::<u128>().ok()?, address.parse::<Ipv4Addr>().ok()?))
        });
        let Some((started, address)) = parts else { continue };
        let Some(sent) = wanted.get(&address) else { continue };
        let took = started.checked_sub(*sent).context("a command ran before its knock was sent")?;
        runs.entry(address).or_insert(took as f64 / 1e6);
    }
    Ok(runs)
}
