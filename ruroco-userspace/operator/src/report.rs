//! The output of `ruroco status`: whether a knock would work, the state of each part, the rates of the gate's
//! counters, and the last knocks.

#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use ruroco_common::verdict::Verdict;
use ruroco_gate::status::{InterfaceStatus, Status};
use ruroco_messages::{plain_error::plain, visible::is_hidden};
use serde::Serialize;

use super::{
    confinement::Confinement,
    doctor::Finding,
    health::{self, CommanderState, Health, Unguarded},
    knocks::{Knock, Trail},
    refused::Refused,
};

/// All that is shown. As JSON it is one object, with the fields of [`Status`] if the gate answers.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether a knock would work now.
    pub ready: bool,
    /// Whether packets reach the host past the gate's program.
    pub open: bool,
    /// Why the gate does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the gate says.
    #[serde(flatten)]
    pub status: Option<Status>,
    /// How many TCP sessions each door has, if the kernel lists them.
    pub door_sessions: BTreeMap<String, usize>,
    /// How each part is, in the order in which a knock meets them.
    pub parts: Vec<Finding>,
    /// Interfaces that lead past the gate.
    pub unguarded: Vec<Unguarded>,
    /// What the commander says.
    pub commander: Option<CommanderState>,
    /// How far the server is confined, if there is one.
    pub server_confinement: Option<Confinement>,
    /// Packets in a second by the verdict's name, if the gate was asked twice.
    pub rates: Option<BTreeMap<String, f64>>,
    /// The last knocks, the latest first.
    pub knocks: Vec<Knock>,
    /// How many knocks have come to which end, see [`Trail::totals`].
    pub knock_totals: BTreeMap<String, u64>,
    /// The last refused knocks of known keys, the latest first.
    pub refused: Vec<Refused>,
    /// Why there is nothing about knocks.
    pub audit_problem: Option<String>,
    /// Why there is nothing about knocks that the server has refused.
    pub refused_problem: Option<String>,
    #[serde(skip)]
    not_ready: Vec<&'static str>,
}

/// How much of the keys is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Each of them.
    Each,
    /// How many there are.
    Count,
}

impl Report {
    /// Puts together what was found out; `before` is what the gate said some time ago, `refused` what the
    /// server has refused.
    pub fn new(
        health: Health,
        before: Option<&Status>,
        trail: anyhow::Result<Trail>,
        refused: anyhow::Result<Vec<Refused>>,
    ) -> Self {
        let (ready, open) = (health.is_ready(), health.is_open());
        let not_ready = health.not_ready();
        let Health { status, door_sessions, commander, unguarded, parts } = health;
        let (status, error) = match status {
            None => (None, None),
            Some(Ok(status)) => (Some(status), None),
            Some(Err(error)) => (None, Some(health::why_no_gate(&error))),
        };
        let rates = status.as_ref().and_then(|status| rates(before?, status));
        let (trail, audit_problem) = or_problem(trail);
        let Trail { knocks, refused: by_commander, totals } = trail;
        let (mut refused, refused_problem) = or_problem(refused);
        refused.extend(by_commander);
        // The same format, in the same zone, sorts as time does.
        refused.sort_by(|one, other| other.time.cmp(&one.time));
        let pid = status.as_ref().and_then(|status| status.front.server_pid);
        Self {
            ready,
            open,
            error,
            status,
            door_sessions,
            parts,
            unguarded,
            commander,
            server_confinement: pid.and_then(Confinement::of),
            rates,
            knocks,
            knock_totals: totals,
            refused,
            audit_problem,
            refused_problem,
            not_ready,
        }
    }

    /// The report for people.
    pub fn to_text(&self, keys: Keys) -> String {
        let mut text = String::new();
        // A string takes everything.
        let _ = self.write(&mut text, keys);
        text
    }

    fn write(&self, f: &mut String, keys: Keys) -> fmt::Result {
        match self.ready {
            true => writeln!(f, "ready       a knock would work now")?,
            false => writeln!(f, "NOT READY   {}", self.not_ready.join(", "))?,
        }
        if let Some(status) = &self.status {
            self.write_gate(f, status)?;
        }
        self.write_parts(f)?;
        if let Some(status) = &self.status {
            write_doors(f, status, &self.door_sessions)?;
            self.write_verdicts(f, status)?;
        }
        self.write_knocks(f)?;
        let known = self.status.iter().flat_map(|status| &status.keys);
        match keys {
            Keys::Count => writeln!(f, "keys        {}", known.count()),
            Keys::Each => known.into_iter().try_for_each(|key| {
                let expired = if key.expired { " (expired)" } else { "" };
                writeln!(f, "key         {} {}{expired}", key.id, harmless(&key.name))
            }),
        }
    }

    fn write_gate(&self, f: &mut String, status: &Status) -> fmt::Result {
        let state = match (status.front.attached, self.open) {
            (true, false) => "attached",
            (true, true) => "attached, but NOT ON ALL INTERFACES,",
            (false, _) => "NOT ATTACHED to some interface",
        };
        let seconds = status.since_ms.checked_div(1000).unwrap_or_default();
        writeln!(f, "gate        {state} since {} ({})", status.since, span(seconds))?;
        let addresses: Vec<_> = status.addresses.iter().map(|on| on.ip.as_str()).collect();
        writeln!(f, "guards      UDP port {} of {}", status.port, addresses.join(", "))?;
        writeln!(f, "appearance  {}", status.appearance)?;
        for interface in &status.front.interfaces {
            match &interface.device {
                None => write!(f, "interface   {}: ", interface.name)?,
                Some(device) => write!(f, "interface   {} ({device}): ", interface.name)?,
            }
            writeln!(f, "{}", state_of(interface))?;
        }
        for problem in status.addresses.iter().filter_map(|address| address.problem.as_ref()) {
            writeln!(f, "address     {problem}")?;
        }
        for one in self.unguarded.iter().filter(|one| one.from.is_problem()) {
            writeln!(f, "interface   {}: NOT GUARDED", harmless(&one.interface))?;
        }
        let tag = status.front.program.tag.as_deref().unwrap_or("unknown");
        let kibibytes = status.front.program.map_memory_bytes.div_ceil(1024);
        writeln!(f, "version     {}, program {tag}, maps of {kibibytes} KiB", status.version)
    }

    fn write_parts(&self, f: &mut String) -> fmt::Result {
        self.parts.iter().try_for_each(|part| {
            let (state, name, detail) = (part.state().name(), part.name(), part.detail());
            writeln!(f, "{state:<11} {name}: {}", harmless(detail))?;
            part.remedy().map_or(Ok(()), |remedy| writeln!(f, "{:<11} -> {}", "", harmless(remedy)))
        })
    }

    fn write_verdicts(&self, f: &mut String, status: &Status) -> fmt::Result {
        Verdict::ALL.map(Verdict::name).into_iter().try_for_each(|verdict| {
            let count = status.front.verdicts.get(verdict).copied().unwrap_or_default();
            write!(f, "verdict     {verdict:<13} {count:>14}")?;
            match self.rates.as_ref().and_then(|rates| rates.get(verdict)) {
                Some(rate) => writeln!(f, " {rate:>12.1}/s"),
                None => writeln!(f),
            }
        })
    }

    fn write_knocks(&self, f: &mut String) -> fmt::Result {
        if let Some(problem) = &self.audit_problem {
            writeln!(f, "knock       unknown: {problem}")?;
        }
        for Knock { time, key, command, ip, result, duration_ms, .. } in &self.knocks {
            let (key, command) = (harmless(key), harmless(command));
            let result = harmless(result.as_deref().unwrap_or("running"));
            write!(f, "knock       {time} {key} {command} {ip} {result}")?;
            match duration_ms {
                Some(duration) => writeln!(f, " {duration} ms")?,
                None => writeln!(f)?,
            }
        }
        if let Some(problem) = &self.refused_problem {
            writeln!(f, "rejected    unknown: {problem}")?;
        }
        self.refused.iter().try_for_each(|Refused { time, by, key, reason, ip, detail }| {
            write!(f, "rejected    {} {}", harmless(time), harmless(reason))?;
            for known in [key, ip, detail].into_iter().flatten() {
                write!(f, " {}", harmless(known))?;
            }
            writeln!(f, " (by the {by})")
        })
    }
}

/// How many addresses each door is open for, and what came through it; `ruroco doors` shows them.
fn write_doors(f: &mut String, status: &Status, sessions: &BTreeMap<String, usize>) -> fmt::Result {
    status.doors.iter().try_for_each(|door| {
        let state = match (status.arming.armed, door.leases.len()) {
            (false, _) => "OPEN TO EVERYONE".to_owned(),
            (true, 0) => "closed".to_owned(),
            (true, 1) => "open for 1 address".to_owned(),
            (true, count) => format!("open for {count} addresses"),
        };
        write!(f, "door        {} ({}): {state}", door.name, crate::doors::shown_ports(door))?;
        if let Some(sessions) = sessions.get(&door.name).filter(|sessions| **sessions > 0) {
            write!(f, ", live sessions: {sessions}")?;
        }
        if let Some(flows) = door.flows.filter(|flows| *flows > 0) {
            write!(f, ", live flows: {flows}")?;
        }
        writeln!(f, ", admitted: {}", door.admitted)
    })?;
    match status.nftables.as_ref().map_or(0, |table| table.restored) {
        0 => Ok(()),
        1 => writeln!(f, "nftables    restored once after another program had removed the table"),
        times => writeln!(
            f,
            "nftables    restored {times} times after other programs had removed the table"
        ),
    }
}

/// What was found, or nothing and why.
fn or_problem<T: Default>(found: anyhow::Result<T>) -> (T, Option<String>) {
    match found {
        Ok(found) => (found, None),
        Err(error) => (T::default(), Some(plain(&error))),
    }
}

fn state_of(interface: &InterfaceStatus) -> String {
    match (&interface.mode, &interface.problem) {
        (Some(mode), None) => format!("attached, {mode}"),
        (Some(mode), Some(problem)) => format!("attached, {mode}; {problem}"),
        (None, Some(problem)) => problem.clone(),
        (None, None) => "not attached".to_owned(),
    }
}

/// How much faster than a second the counters rose from one answer to the next, if both are of the
/// same gate.
fn rates(before: &Status, after: &Status) -> Option<BTreeMap<String, f64>> {
    let is_same = before.start_time_seconds == after.start_time_seconds;
    let millis = after.uptime_ms.checked_sub(before.uptime_ms).filter(|millis| *millis > 0);
    let millis = millis.filter(|_| is_same)?;
    let rate = |(verdict, count): (&String, &u64)| {
        let more =
            count.saturating_sub(before.front.verdicts.get(verdict).copied().unwrap_or_default());
        (verdict.clone(), to_f64(more) * 1000.0 / to_f64(millis))
    };
    Some(after.front.verdicts.iter().map(rate).collect())
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "only for people to read")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

/// A length of time in its two greatest units.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (length, unit) in UNITS {
        let count = rest.checked_div(length).unwrap_or_default();
        rest = rest.checked_rem(length).unwrap_or_default();
        if count > 0 || !parts.is_empty() || unit == "s" {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.truncate(2);
    parts.join(" ")
}

/// A name as it may be shown on a terminal.
fn harmless(name: &str) -> String {
    name.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}
