//! What `ruroco-gate status` shows: the gate's answer, how fast its counters rise, and the last
//! knocks.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use ruroco_common::verdict::Verdict;
use serde::Serialize;

use super::{
    confinement::Confinement,
    knocks::{Knock, Trail},
    status::{InterfaceStatus, Status},
};
use crate::visible::is_hidden;

/// Everything there is to be shown. As JSON it is one object, with the fields of [`Status`].
#[derive(Debug, Serialize)]
pub struct Report {
    /// What the gate says.
    #[serde(flatten)]
    pub status: Status,
    /// How far the server is confined, if there is one.
    pub server_confinement: Option<Confinement>,
    /// Packets in a second by the verdict's name, if the gate was asked twice.
    pub rates: Option<BTreeMap<String, f64>>,
    /// The last knocks, the latest first.
    pub knocks: Vec<Knock>,
    /// How many knocks have come to which end, see [`Trail::totals`].
    pub knock_totals: BTreeMap<String, u64>,
    /// Why there is nothing about knocks.
    pub audit_problem: Option<String>,
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
    /// Puts together what was found out; `before` is what the gate said some time ago.
    pub fn new(status: Status, before: Option<&Status>, trail: anyhow::Result<Trail>) -> Self {
        let rates = before.and_then(|before| rates(before, &status));
        let (trail, problem) = match trail {
            Ok(trail) => (trail, None),
            Err(error) => (Trail::default(), Some(format!("{error:#}"))),
        };
        let Trail { knocks, totals } = trail;
        let server_confinement = status.server_pid.and_then(Confinement::of);
        Self {
            status,
            server_confinement,
            rates,
            knocks,
            knock_totals: totals,
            audit_problem: problem,
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
        let status = &self.status;
        let state = if status.closed { "closed" } else { "OPEN on some interface" };
        let seconds = status.since_ms.checked_div(1000).unwrap_or_default();
        writeln!(f, "gate        {state} since {} ({})", status.since, span(seconds))?;
        writeln!(f, "guards      UDP port {} of {}", status.port, status.ips.join(", "))?;
        writeln!(f, "appearance  {}", status.appearance)?;
        for interface in &status.interfaces {
            match &interface.device {
                None => write!(f, "interface   {}: ", interface.name)?,
                Some(device) => write!(f, "interface   {} ({device}): ", interface.name)?,
            }
            writeln!(f, "{}", state_of(interface))?;
        }
        for problem in status.addresses.iter().filter_map(|address| address.problem.as_ref()) {
            writeln!(f, "address     {problem}")?;
        }
        match (status.server_connected, &self.server_confinement) {
            (true, Some(confinement)) => writeln!(f, "server      connected, {confinement}")?,
            (true, None) => writeln!(f, "server      connected")?,
            (false, _) => writeln!(f, "server      away")?,
        }
        let tag = status.program.tag.as_deref().unwrap_or("unknown");
        let kibibytes = status.program.map_memory_bytes.div_ceil(1024);
        writeln!(f, "version     {}, program {tag}, maps of {kibibytes} KiB", status.version)?;
        for verdict in Verdict::ALL.map(Verdict::name) {
            let count = status.verdicts.get(verdict).copied().unwrap_or_default();
            write!(f, "verdict     {verdict:<13} {count:>14}")?;
            match self.rates.as_ref().and_then(|rates| rates.get(verdict)) {
                Some(rate) => writeln!(f, " {rate:>12.1}/s")?,
                None => writeln!(f)?,
            }
        }
        self.write_knocks(f)?;
        match keys {
            Keys::Count => writeln!(f, "keys        {}", status.keys.len()),
            Keys::Each => status
                .keys
                .iter()
                .try_for_each(|key| writeln!(f, "key         {} {}", key.id, harmless(&key.name))),
        }
    }

    fn write_knocks(&self, f: &mut String) -> fmt::Result {
        if let Some(problem) = &self.audit_problem {
            return writeln!(f, "knock       unknown: {problem}");
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
        Ok(())
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
        let more = count.saturating_sub(before.verdicts.get(verdict).copied().unwrap_or_default());
        (verdict.clone(), to_f64(more) * 1000.0 / to_f64(millis))
    };
    Some(after.verdicts.iter().map(rate).collect())
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "only to be looked at")]
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gate::status::{KeyStatus, ProgramStatus};

    pub(in crate::gate) fn status() -> Status {
        let interface = |name: &str, mode: Option<&str>, problem: Option<&str>| InterfaceStatus {
            name: name.to_owned(),
            device: None,
            attached: mode.is_some(),
            mode: mode.map(str::to_owned),
            problem: problem.map(str::to_owned),
        };
        Status {
            version: "0.1.0".to_owned(),
            program: ProgramStatus {
                tag: Some("0123456789abcdef".to_owned()),
                map_memory_bytes: 3 << 20,
            },
            start_time_seconds: 1_767_225_600,
            uptime_ms: 100_000,
            closed: false,
            since: "2026-01-01T00:00:00.000000Z".to_owned(),
            since_ms: 90_061_000,
            interfaces: vec![
                interface("eth0", Some("native"), None),
                interface("eth1", None, Some("there is no such interface; waiting for it")),
            ],
            port: 80,
            ips: vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()],
            addresses: Vec::new(),
            appearance: "filtered".to_owned(),
            keys: vec![KeyStatus { name: "laptop".to_owned(), id: "0001020304050607".to_owned() }],
            server_connected: true,
            server_pid: None,
            verdicts: Verdict::ALL
                .into_iter()
                .map(|verdict| (verdict.name().to_owned(), u64::from(verdict.index()) * 1000))
                .collect(),
        }
    }

    pub(in crate::gate) fn trail() -> Trail {
        let knock = |command: &str, result: Option<&str>| Knock {
            time: "2026-01-01T00:01:00.000000Z".to_owned(),
            key: "laptop".to_owned(),
            command: command.to_owned(),
            ip: "192.0.2.9".to_owned(),
            counter: "17".to_owned(),
            result: result.map(str::to_owned),
            duration_ms: result.map(|_| 12),
        };
        Trail {
            knocks: vec![knock("sly\u{1b}[2J", None), knock("open_ssh", Some("exit:0"))],
            totals: [("succeeded".to_owned(), 3), ("failed".to_owned(), 1)].into(),
        }
    }

    #[test]
    fn one_screen_shows_it_all() {
        let mut before = status();
        before.uptime_ms -= 2_000;
        before.verdicts.insert("forged".to_owned(), 1);
        let mut report = Report::new(status(), Some(&before), Ok(trail()));
        report.server_confinement =
            Some(Confinement { no_new_privileges: true, seccomp: false, no_capabilities: true });
        let expected = "\
gate        OPEN on some interface since 2026-01-01T00:00:00.000000Z (1 d 1 h)
guards      UDP port 80 of 192.0.2.1, 2001:db8::1
appearance  filtered
interface   eth0: attached, native
interface   eth1: there is no such interface; waiting for it
server      connected, WITHOUT seccomp, no-new-privs, an empty capability bounding set
version     0.1.0, program 0123456789abcdef, maps of 3072 KiB
verdict     not_ours                   0          0.0/s
verdict     malformed               1000          0.0/s
verdict     fragment                2000          0.0/s
verdict     wrong_length            3000          0.0/s
verdict     unknown_key             4000          0.0/s
verdict     replayed                5000          0.0/s
verdict     throttled               6000          0.0/s
verdict     forged                  7000       3499.5/s
verdict     over_share              8000          0.0/s
verdict     candidate               9000          0.0/s
verdict     ring_full              10000          0.0/s
knock       2026-01-01T00:01:00.000000Z laptop sly\u{fffd}[2J 192.0.2.9 running
knock       2026-01-01T00:01:00.000000Z laptop open_ssh 192.0.2.9 exit:0 12 ms
key         0001020304050607 laptop
";
        assert_eq!(report.to_text(Keys::Each), expected);
        assert!(report.to_text(Keys::Count).ends_with("\nkeys        1\n"));
    }

    #[test]
    fn no_rate_is_made_of_two_gates_or_of_no_time() {
        let mut before = status();
        assert_eq!(Report::new(status(), Some(&before), Ok(trail())).rates, None);
        before.uptime_ms -= 1;
        assert!(Report::new(status(), Some(&before), Ok(trail())).rates.is_some());
        before.start_time_seconds -= 1;
        assert_eq!(Report::new(status(), Some(&before), Ok(trail())).rates, None);
    }

    #[test]
    fn a_trail_that_cannot_be_read_is_said_to_be_so() {
        let report = Report::new(status(), None, Err(anyhow::anyhow!("could not read it")));
        assert!(report.to_text(Keys::Each).contains("\nknock       unknown: could not read it\n"));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["audit_problem"], "could not read it");
        assert_eq!(json["rates"], serde_json::Value::Null);
    }

    #[test]
    fn times_are_told_in_their_greatest_units() {
        for (seconds, told) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3_599, "59 min 59 s"),
            (86_399, "23 h 59 min"),
            (86_400 * 400, "400 d 0 h"),
        ] {
            assert_eq!(span(seconds), told);
        }
    }
}
