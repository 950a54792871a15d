//! What is promised of doors, and whether this run bears it out.

use std::fmt::Write as _;

use super::{
    Doors,
    cost::{FLOW, PacketCost, SESSION, SYN},
    logins::{Closed, Logins, Meanwhile},
};
use crate::{
    claims::{at_least, at_most},
    numbers::number,
    report::Claim,
};

/// All of them.
pub(super) fn check(doors: &Doors) -> Vec<Claim> {
    let at_door = |packet| doors.cost.at_door.iter().filter(move |of| of.packet == packet);
    let mut claims = vec![
        above("SYN at a closed door, above an empty program", 30.0, at_door(SYN)),
        above("packet of a live TCP session, above an empty program", 75.0, at_door(SESSION)),
        above("packet of a live UDP flow, above an empty program", 45.0, at_door(FLOW)),
        above(
            "packet to a port without a door, above the program without doors",
            3.0,
            doors.cost.elsewhere.iter(),
        ),
        throughput(doors),
    ];
    claims.extend(of_logins(&doors.logins));
    claims
}

/// The worst of both families.
fn above<'a>(what: &'static str, limit: f64, costs: impl Iterator<Item = &'a PacketCost>) -> Claim {
    let costs: Vec<_> = costs.collect();
    let worst = costs.iter().map(|of| of.above.median).max_by(f64::total_cmp);
    let mut claim = at_most(what, limit, " ns", worst);
    let each = costs.iter().map(|of| format!("{} {}", of.family, number(of.above.median)));
    if let Some(measured) = &mut claim.measured {
        let _ = write!(measured, " ({})", each.collect::<Vec<_>>().join(", "));
    }
    claim
}

fn throughput(doors: &Doors) -> Claim {
    let [without, empty] = [&doors.throughput.to_without, &doors.throughput.to_empty];
    let what = "one TCP connection through a door, as a share of that without a gate";
    let mut claim = at_least(what, 0.97, "", Some(without.median));
    if let Some(measured) = &mut claim.measured {
        let _ = write!(
            measured,
            " (quartiles {} and {}); as a share of that with an empty program {} ({} and {})",
            number(without.lower),
            number(without.upper),
            number(empty.median),
            number(empty.lower),
            number(empty.upper)
        );
    }
    claim
}

fn of_logins(logins: &[Logins]) -> Vec<Claim> {
    let at = |meanwhile: Meanwhile| {
        logins.iter().find(|of| of.closed == Closed::Door && of.meanwhile == meanwhile)
    };
    let floods: Vec<_> =
        [Meanwhile::Syns, Meanwhile::SynsAndForged].into_iter().filter_map(at).collect();
    let share = |count: fn(&Logins) -> usize| {
        let (all, of): (usize, usize) = floods
            .iter()
            .fold((0, 0), |(all, of), logins| (all + logins.attempts, of + count(logins)));
        (all > 0).then(|| 100.0 * of as f64 / all as f64)
    };
    let p99 = |of: &Logins| of.login_ms.map(|ms| ms.p99);
    let worst = floods.iter().filter_map(|of| p99(of)).max_by(f64::total_cmp);
    let idle = at(Meanwhile::Nothing).and_then(p99);
    let mut slower = at_most(
        "p99 of an ssh login under the worst flood at a closed door, as a multiple of the idle one",
        2.0,
        "",
        worst.zip(idle).map(|(worst, idle)| worst / idle),
    );
    let busy = at(Meanwhile::BusyCpu).and_then(p99).zip(idle).map(|(busy, idle)| busy / idle);
    if let Some((measured, busy)) = slower.measured.as_mut().zip(busy) {
        let _ = write!(measured, "; with one CPU busy and no packet {}", number(busy));
    }
    vec![
        at_least(
            "knocks that opened the door during the floods",
            100.0,
            " %",
            share(|of| of.opened.unwrap_or_default()),
        ),
        at_least("ssh logins that succeeded during them", 100.0, " %", share(|of| of.succeeded)),
        slower,
    ]
}
