//! What `ruroco status` shows: whether a knock would work, how each part is, how fast the gate's
//! counters rise, and the last knocks.

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

/// Everything there is to be shown. As JSON it is one object, with the fields of [`Status`] if the gate
/// answers.
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
        let Health { status, commander, unguarded, parts } = health;
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
        let pid = status.as_ref().and_then(|status| status.server_pid);
        Self {
            ready,
            open,
            error,
            status,
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
            self.write_verdicts(f, status)?;
        }
        self.write_knocks(f)?;
        let known = self.status.iter().flat_map(|status| &status.keys);
        match keys {
            Keys::Count => writeln!(f, "keys        {}", known.count()),
            Keys::Each => known
                .into_iter()
                .try_for_each(|key| writeln!(f, "key         {} {}", key.id, harmless(&key.name))),
        }
    }

    fn write_gate(&self, f: &mut String, status: &Status) -> fmt::Result {
        let state = match (status.attached, self.open) {
            (true, false) => "attached",
            (true, true) => "attached, but NOT ON ALL INTERFACES,",
            (false, _) => "OPEN on some interface",
        };
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
        for one in self.unguarded.iter().filter(|one| one.from.is_problem()) {
            writeln!(f, "interface   {}: NOT GUARDED", harmless(&one.interface))?;
        }
        let tag = status.program.tag.as_deref().unwrap_or("unknown");
        let kibibytes = status.program.map_memory_bytes.div_ceil(1024);
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
            let count = status.verdicts.get(verdict).copied().unwrap_or_default();
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
            writeln!(f, "refused     unknown: {problem}")?;
        }
        self.refused.iter().try_for_each(|Refused { time, by, key, reason, ip, detail }| {
            write!(f, "refused     {} {}", harmless(time), harmless(reason))?;
            for known in [key, ip, detail].into_iter().flatten() {
                write!(f, " {}", harmless(known))?;
            }
            writeln!(f, " (by the {by})")
        })
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
    use crate::health::paths::From;
    use ruroco_gate::status::{KeyStatus, ProgramStatus, RingFill};

    pub(crate) fn status() -> Status {
        let interface = |name: &str, mode: Option<&str>, problem: Option<&str>| InterfaceStatus {
            name: name.to_owned(),
            device: None,
            index: mode.map(|_| 2),
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
            attached: false,
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
            ring: RingFill { waiting_bytes: 152, read_up_to: 8000 },
            verdicts: Verdict::ALL
                .into_iter()
                .map(|verdict| (verdict.name().to_owned(), u64::from(verdict.index()) * 1000))
                .collect(),
        }
    }

    pub(crate) fn health() -> Health {
        Health {
            status: Some(Ok(status())),
            commander: Some(CommanderState {
                version: "0.1.0".to_owned(),
                start_time_seconds: 1,
                running: 2,
                max_running: 64,
                connections: 1,
                commands_file: "/etc/ruroco/commands.toml".to_owned(),
            }),
            unguarded: vec![
                Unguarded::alone(From::Network, "eth2", "ether"),
                Unguarded::alone(From::Tunnel, "wg0", "wireguard"),
            ],
            parts: vec![
                Finding::problem("gate", "runs, but is open on eth1", "see the log"),
                Finding::problem("unguarded", "eth2 is up but not guarded", "add it"),
                Finding::warning("unguarded", "wg0 cannot be guarded", "drop them"),
                Finding::ok("server", "connected"),
                Finding::problem("commander", "is not running", "start it"),
            ],
        }
    }

    /// What the server has refused.
    pub(crate) fn refused() -> Vec<Refused> {
        vec![Refused {
            time: "2026-01-01T00:00:50.000000Z".to_owned(),
            by: "server",
            key: Some("laptop".to_owned()),
            reason: "wrong_destination".to_owned(),
            ip: Some("192.0.2.9".to_owned()),
            detail: None,
        }]
    }

    pub(crate) fn trail() -> Trail {
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
            refused: vec![Refused::by_commander(
                "2026-01-01T00:00:30.000000Z".to_owned(),
                "too_many_running".to_owned(),
                "64 commands are running\u{1b} already".to_owned(),
            )],
            knocks: vec![knock("sly\u{1b}[2J", None), knock("open_ssh", Some("exit:0"))],
            totals: [("succeeded".to_owned(), 3), ("failed".to_owned(), 1)].into(),
        }
    }

    fn report(before: Option<&Status>) -> Report {
        Report::new(health(), before, Ok(trail()), Ok(refused()))
    }

    #[test]
    fn one_screen_shows_it_all() {
        let mut before = status();
        before.uptime_ms -= 2_000;
        before.verdicts.insert("forged".to_owned(), 1);
        let report = report(Some(&before));
        let expected = "\
NOT READY   gate, unguarded, commander
gate        OPEN on some interface since 2026-01-01T00:00:00.000000Z (1 d 1 h)
guards      UDP port 80 of 192.0.2.1, 2001:db8::1
appearance  filtered
interface   eth0: attached, native
interface   eth1: there is no such interface; waiting for it
interface   eth2: NOT GUARDED
version     0.1.0, program 0123456789abcdef, maps of 3072 KiB
problem     gate: runs, but is open on eth1
            -> see the log
problem     unguarded: eth2 is up but not guarded
            -> add it
warning     unguarded: wg0 cannot be guarded
            -> drop them
ok          server: connected
problem     commander: is not running
            -> start it
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
refused     2026-01-01T00:00:50.000000Z wrong_destination laptop 192.0.2.9 (by the server)
refused     2026-01-01T00:00:30.000000Z too_many_running 64 commands are running\u{fffd} already (by the commander)
key         0001020304050607 laptop
";
        assert_eq!(report.to_text(Keys::Each), expected);
        assert!(report.to_text(Keys::Count).ends_with("\nkeys        1\n"));
    }

    #[test]
    fn a_gate_that_is_closed_where_it_is_and_missing_elsewhere_is_not_simply_closed() {
        let mut health = health();
        health.status = Some(Ok(Status { attached: true, ..status() }));
        let text = Report::new(health, None, Ok(trail()), Ok(refused())).to_text(Keys::Count);
        assert!(text.starts_with("NOT READY   "), "{text}");
        assert!(
            text.contains("\ngate        attached, but NOT ON ALL INTERFACES, since"),
            "{text}"
        );
    }

    #[test]
    fn what_works_is_ready_in_spite_of_warnings_and_what_nobody_could_look_at_is_not() {
        let mut health = health();
        health.parts.retain(health::is_good);
        health.unguarded.retain(|one| !one.from.is_problem());
        health.status = Some(Ok(Status { attached: true, ..status() }));
        let report = Report::new(health, None, Ok(trail()), Ok(refused()));
        assert!(report.ready && !report.open);
        assert!(report.to_text(Keys::Count).starts_with("ready "));
        let mut health = self::health();
        health.parts = vec![Finding::unknown("gate", "permission denied")];
        assert!(!Report::new(health, None, Ok(trail()), Ok(refused())).ready);
    }

    #[test]
    fn without_a_gate_that_answers_the_other_parts_are_shown() {
        let away = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let health = Health { status: Some(Err(away.into())), ..health() };
        let report = Report::new(health, Some(&status()), Ok(trail()), Ok(refused()));
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["error"].as_str().unwrap().contains("not running"), "{json}");
        assert!(json.get("attached").is_none(), "{json}");
        assert_eq!(json["parts"][4]["name"], "commander");
        assert_eq!(
            (&json["parts"][4]["state"], &json["ready"]),
            (&"problem".into(), &false.into())
        );
        assert!(report.to_text(Keys::Each).contains("\nproblem     commander: "));
    }

    #[test]
    fn no_rate_is_made_of_two_gates_or_of_no_time() {
        let mut before = status();
        assert_eq!(report(Some(&before)).rates, None);
        before.uptime_ms -= 1;
        assert!(report(Some(&before)).rates.is_some());
        before.start_time_seconds -= 1;
        assert_eq!(report(Some(&before)).rates, None);
    }

    #[test]
    fn what_cannot_be_read_of_knocks_is_said_to_be_unknown() {
        let error = || anyhow::anyhow!("could not read it");
        let report = Report::new(health(), None, Err(error()), Err(error()));
        let text = report.to_text(Keys::Each);
        assert!(text.contains("\nknock       unknown: could not read it\n"), "{text}");
        assert!(text.contains("\nrefused     unknown: could not read it\n"), "{text}");
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
