//! What ruroco promises of its speed, and whether this run bears it out.
//!
//! Ratios, because machines differ; a promise that was not kept is said as loudly as one that was.

use std::fmt::Write as _;

use crate::{
    client::Client,
    cost::Cost,
    flood::{Flood, RECEIVER},
    numbers::number,
    report::{Claim, Report},
    statistics::Summary,
};

/// All of them.
pub(crate) fn check(report: &Report) -> Vec<Claim> {
    let cost = &report.cost;
    let mut claims = vec![
        at_most(
            "refusing a forged packet, as a share of what the chacha20poly1305 crate takes in user \
             space (generic build, key prepared once)",
            0.30,
            "",
            kernel_ratio(cost, 0),
        ),
        at_most("the same above an empty program", 600.0, " ns", above(cost, "forged")),
        at_most("wrong length above an empty program", 15.0, " ns", above(cost, "wrong_length")),
        at_most("unknown key above an empty program", 30.0, " ns", above(cost, "unknown_key")),
        at_most("replay above an empty program", 80.0, " ns", above(cost, "replayed")),
    ];
    if let Some((claim, portable)) = claims.first_mut().zip(portable_ratio(cost))
        && let Some(measured) = &mut claim.measured
    {
        let _ = write!(measured, "; of its portable build, which is faster here, {portable:.2}");
    }
    claims.push(of_client(&report.client));
    claims.extend(of_floods(report));
    claims.extend(of_growth(report));
    claims
}

/// A ratio, with a part that does not depend on how fast a machine starts programs.
fn of_client(client: &Client) -> Claim {
    let (packet, nothing) = (client.packet_ms.median, client.nothing_ms.median);
    let mut claim = at_most(
        "from the start of `ruroco-client knock` to its packet on the wire, against twice what `true` \
         takes plus 5 ms",
        client.limit_ms(),
        " ms",
        Some(packet),
    );
    if let Some(measured) = &mut claim.measured {
        let counter = number(client.counter_ms.median);
        let _ = write!(
            measured,
            ", {:.2} times `true`; 16 bytes on this disk take {counter} ms",
            packet / nothing
        );
    }
    claim
}

fn of_floods(report: &Report) -> Vec<Claim> {
    let floods: Vec<&Flood> = report.of_gate().chain(report.growth.many_keys()).collect();
    let sent: usize = floods.iter().map(|flood| flood.knocks.sent).sum();
    let ran: usize = floods.iter().map(|flood| flood.knocks.ran).sum();
    let share = (sent > 0).then(|| 100.0 * ran as f64 / sent as f64);
    let achieved = |what, least, kind: &str, verdict: &str| {
        let of_kind = floods.iter().filter(|flood| flood.kind == kind);
        let most = of_kind.max_by(|one, other| one.achieved.total_cmp(&other.achieved));
        // Packets that met another verdict than they were to meet prove nothing.
        let rate = most.map(|flood| flood.achieved * flood.share(verdict));
        let mut claim = at_least(what, least, "", rate);
        // On a busy machine that is less than the whole of it, and says why.
        let busy = most.and_then(|flood| flood.cpu.processes.get(RECEIVER));
        if let Some((measured, busy)) = claim.measured.as_mut().zip(busy) {
            let _ = write!(measured, ", receiver {:.0} % of its CPU", 100.0 * busy);
        }
        claim
    };
    let p99 = |flood: &&Flood| flood.knocks.latency_ms.map(|latency| latency.p99);
    let idle = floods.iter().find(|flood| flood.is_idle());
    let heaviest = floods.iter().filter(|flood| flood.wanted.is_none());
    let worst = heaviest.clone().filter_map(p99).max_by(f64::total_cmp);
    let forged = heaviest.clone().find(|flood| flood.kind == "forged");
    let mut server_time_claim = at_most(
        "the server's CPU time in the heaviest forged flood, beyond that of as many knocks without \
         one, for each forged packet",
        5.0,
        " ns",
        idle.zip(forged).map(|(idle, forged)| server_ns_per_packet(idle, forged)),
    );
    if let Some((measured, (idle, forged))) =
        server_time_claim.measured.as_mut().zip(idle.zip(forged))
    {
        // A knock meets caches that the flood has filled.
        let ratio = forged.server_us_per_knock / idle.server_us_per_knock;
        let _ = write!(measured, "; for each knock {ratio:.2} times that without one");
    }
    let authentic = floods.iter().map(|flood| flood.knocks.sent as u64).sum::<u64>();
    let records = floods.iter().map(|flood| flood.candidates).sum::<Option<u64>>();
    vec![
        at_least("knocks that ran, of all during all floods", 100.0, " %", share),
        achieved("forged packets judged a second", 1e6, "forged", "forged"),
        achieved("packets of wrong length judged a second", 5e6, "wrong length", "wrong_length"),
        at_most(
            "p99 from send to command start under the worst flood, as a multiple of the idle one",
            10.0,
            "",
            worst.zip(idle.and_then(p99)).map(|(worst, idle)| worst / idle),
        ),
        server_time_claim,
        Claim {
            what: "ring records written during all floods, against authentic packets sent",
            limit: format!("exactly {authentic}"),
            measured: records.map(|records| records.to_string()),
            met: records == Some(authentic),
        },
    ]
}

/// What a server that is woken up by forgeries, or looks at them, would spend on each: a thousand or
/// more.
fn server_ns_per_packet(idle: &Flood, flood: &Flood) -> f64 {
    let more_us = flood.server_us_per_knock - idle.server_us_per_knock;
    let packets = flood.achieved * flood.knocks.seconds;
    more_us * 1e3 * flood.knocks.sent as f64 / packets
}

fn of_growth(report: &Report) -> Vec<Claim> {
    let growth = &report.growth;
    let of = |keys| growth.keys.iter().find(|of| of.keys == keys).map(|of| of.single.above);
    let keys = of(crate::growth::MANY).zip(of(1)).map(|(many, one)| many / one);
    let in_flood = |keys| {
        let of = growth.many_keys.iter().filter(|of| of.forged == keys);
        Summary::of(of.map(|of| of.flood.receiver_ns())).map(|times| times.median)
    };
    let memory = |sources: &crate::growth::Sources| sources.gate_bpf_bytes;
    let (first, last) = (growth.sources.first().map(memory), growth.sources.last().map(memory));
    let resident = report.floods.iter().chain(growth.many_keys());
    let resident = resident.filter(|flood| flood.peer == "ruroco, xdp");
    let peak = resident.map(|flood| flood.server_resident.1).max();
    vec![
        at_most("cost with 10,000 keys, as a multiple of that with one", 1.3, "", keys),
        at_most(
            "the receiving thread's time for each packet in a flood, forged under 10,000 keys, as a \
             multiple of that under one",
            1.3,
            "",
            in_flood(crate::growth::MANY).zip(in_flood(1)).map(|(many, one)| many / one),
        ),
        Claim {
            what: "BPF memory after all floods, with millions of possible sources, and before",
            limit: "the same".to_owned(),
            measured: first.zip(last).map(|(first, last)| format!("{last} and {first} bytes")),
            met: first.is_some() && first == last,
        },
        at_most(
            "the server's resident memory at its peak, with 1 and 10,000 keys",
            10.0,
            " MiB",
            peak.map(|kib| kib as f64 / 1024.0),
        ),
    ]
}

fn kernel_ratio(cost: &Cost, place: usize) -> Option<f64> {
    cost.crates.get(place)?.kernel_ratio.map(|ratio| ratio.median)
}

/// The same for the crate's build without vector code.
fn portable_ratio(cost: &Cost) -> Option<f64> {
    let once = cost.crates.first()?.refusal;
    let others = cost.crates.iter().skip(1);
    let portable = others.filter(|of| of.refusal == once).find_map(|of| of.kernel_ratio.as_ref());
    portable.map(|ratio| ratio.median)
}

fn above(cost: &Cost, verdict: &str) -> Option<f64> {
    cost.verdicts.iter().find(|of| of.verdict == verdict).map(|of| of.above.median)
}

pub(crate) fn at_most(what: &'static str, limit: f64, unit: &str, measured: Option<f64>) -> Claim {
    claim(what, "at most", limit, unit, measured, |measured| measured <= limit)
}

pub(crate) fn at_least(what: &'static str, limit: f64, unit: &str, measured: Option<f64>) -> Claim {
    claim(what, "at least", limit, unit, measured, |measured| measured >= limit)
}

fn claim(
    what: &'static str,
    bound: &str,
    limit: f64,
    unit: &str,
    measured: Option<f64>,
    holds: impl Fn(f64) -> bool,
) -> Claim {
    Claim {
        what,
        limit: format!("{bound} {}{unit}", number(limit)),
        measured: measured.map(|measured| format!("{}{unit}", number(measured))),
        // Not a number is not a promise kept.
        met: measured.is_some_and(holds),
    }
}
