//! The part of the report that is about doors.

use std::fmt::Write as _;

use super::{Doors, cost::PacketCost, host::Received, logins::Logins, throughput::Throughput};
use crate::{
    markdown::{claims, table},
    numbers::{number, rate},
    statistics::Summary,
};

/// With headings of the third level.
pub(crate) fn write(doors: &Doors) -> String {
    let mut text = String::new();
    let [before, after] = &doors.load;
    let _ = writeln!(text, "One minute's load was {before} before and {after} after.\n");
    let _ = writeln!(text, "{}", doors.method.join("\n\n"));
    for (heading, content) in [
        ("What is promised of doors", claims(&doors.claims)),
        ("A packet to a door", costs(&doors.cost.at_door, "empty program, ns", "ruroco, ns")),
        (
            "A packet to a port without a door",
            costs(&doors.cost.elsewhere, "without doors, ns", "with doors, ns"),
        ),
        ("Receiving a packet", received(&doors.received)),
        ("One TCP connection", throughput(&doors.throughput)),
        ("Logins during floods", logins(&doors.logins)),
    ] {
        let _ = write!(text, "\n### {heading}\n\n{content}");
    }
    text
}

fn costs(costs: &[PacketCost], floor: &str, cost: &str) -> String {
    let rows = costs.iter().map(|of| {
        let mut row = vec![of.packet.to_owned(), of.family.to_owned(), format!("`{}`", of.verdict)];
        row.extend([&of.floor, &of.cost, &of.above].map(|of| number(of.median)));
        row.push(number(of.above.min));
        row
    });
    table(&["packet", "", "verdict", floor, cost, "above", "above, least"], rows)
}

fn received(received: &[Received]) -> String {
    let rows = received.iter().flat_map(|of| {
        of.guards.iter().zip(&of.rates).map(|((guard, ns), (_, packets))| {
            vec![
                of.packet.to_owned(),
                guard.name().to_owned(),
                number(ns.median),
                number(ns.min),
                rate(packets.median),
            ]
        })
    });
    let head = ["packet", "guard", "receiving thread, ns per packet", "least", "received/s"];
    table(&head, rows)
}

fn throughput(of: &Throughput) -> String {
    let row = |what: &str, bytes: &Summary| {
        vec![what.to_owned(), gigabits(bytes.median), gigabits(bytes.min)]
    };
    let rows = [
        row("no program", &of.without),
        row("empty program", &of.empty),
        row("door", &of.door),
        row("no program, and packets of 64 KiB that no wire would carry", &of.joined),
    ];
    let text = table(&["", "Gbit/s", "least"], rows.into_iter());
    let ratio = |of: &super::throughput::Ratio| {
        format!("{} (quartiles {} and {})", number(of.median), number(of.lower), number(of.upper))
    };
    format!(
        "{text}\nThrough a door, as a share of that without a program: {}; with an empty one: {}.\n",
        ratio(&of.to_without),
        ratio(&of.to_empty)
    )
}

fn gigabits(bytes: f64) -> String {
    number(bytes * 8.0 / 1e9)
}

fn logins(all: &[Logins]) -> String {
    let rows = all.iter().map(|of| {
        let ms = |summary: &Option<Summary>, pick: fn(&Summary) -> f64| {
            summary.as_ref().map(|ms| number(pick(ms))).unwrap_or_default()
        };
        vec![
            of.closed.name().to_owned(),
            of.meanwhile.name().to_owned(),
            rate(of.offered),
            of.judged.map(rate).unwrap_or_default(),
            of.opened.map(|opened| format!("{opened} of {}", of.attempts)).unwrap_or_default(),
            format!("{} of {}", of.succeeded, of.attempts),
            ms(&of.knock_ms, |ms| ms.median),
            ms(&of.knock_ms, |ms| ms.p99),
            ms(&of.login_ms, |ms| ms.median),
            ms(&of.login_ms, |ms| ms.p99),
        ]
    });
    let head = [
        "port 22 closed by",
        "meanwhile",
        "offered/s",
        "judged/s",
        "knocks that opened it",
        "logins",
        "knock, p50 ms",
        "p99 ms",
        "login, p50 ms",
        "p99 ms",
    ];
    table(&head, rows)
}
