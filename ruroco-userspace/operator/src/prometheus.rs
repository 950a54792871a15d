//! The status in Prometheus' text format, for node_exporter's textfile collector, so that no program of
//! ruroco listens for requests.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write},
};

use ruroco_gate::status::Status;

use super::{
    health::{self, COMMANDER, SERVER},
    report::Report,
};

/// The exposition of what was found.
pub fn exposition(report: &Report) -> String {
    let mut text = Text(String::new());
    // A string takes everything.
    let _ = text.write(report);
    text.0
}

struct Text(String);

impl Text {
    fn write(&mut self, report: &Report) -> fmt::Result {
        self.parts(report)?;
        let Some(status) = &report.status else { return Ok(()) };
        self.gate(status)?;
        self.interfaces(status)?;
        self.doors(status, &report.door_sessions)?;
        self.counters(status)
    }

    /// What can be said whether or not the gate answers.
    fn parts(&mut self, report: &Report) -> fmt::Result {
        // A part may have several findings: it is good if all of them are.
        let mut parts: BTreeMap<&str, bool> = BTreeMap::new();
        for part in &report.parts {
            *parts.entry(part.name()).or_insert(true) &= health::is_good(part);
        }
        let is_up = |name| parts.get(name).copied().unwrap_or_default();
        for (name, help, value) in [
            ("ruroco_ready", "Whether a knock would work now.", report.ready),
            ("ruroco_gate_up", "Whether the gate replies.", report.status.is_some()),
            ("ruroco_server_up", "Whether the server runs and reads knocks.", is_up(SERVER)),
            ("ruroco_commander_up", "Whether the commander accepts orders.", is_up(COMMANDER)),
        ] {
            self.family(name, "gauge", help)?;
            self.sample(name, &[], u8::from(value))?;
        }
        let name = "ruroco_part_ok";
        self.family(name, "gauge", "Whether a part that knocks need has no problem.")?;
        for (part, is_good) in parts {
            self.sample(name, &[("part", part)], u8::from(is_good))?;
        }
        let name = "ruroco_unguarded_interfaces";
        self.family(
            name,
            "gauge",
            "Interfaces through which packets reach the host without passing the gate.",
        )?;
        for (from, is_problem) in [("network", true), ("other", false)] {
            let of = report.unguarded.iter().filter(|one| one.from.is_problem() == is_problem);
            self.sample(name, &[("from", from)], of.count())?;
        }
        if let Some(commander) = &report.commander {
            let name = "ruroco_commands_running";
            self.family(name, "gauge", "How many commands are running.")?;
            self.sample(name, &[], commander.running)?;
        }
        if report.knock_totals.is_empty() {
            return Ok(());
        }
        let name = "ruroco_knocks_total";
        self.family(name, "counter", "Orders to the commander, by result.")?;
        for (result, count) in &report.knock_totals {
            self.sample(name, &[("result", result)], count)?;
        }
        Ok(())
    }

    fn gate(&mut self, status: &Status) -> fmt::Result {
        self.family("ruroco_build_info", "gauge", "Version of the gate, tag of its XDP program.")?;
        let tag = status.front.program.tag.as_deref().unwrap_or_default();
        let labels = [("version", status.version.as_str()), ("program_tag", tag)];
        self.sample("ruroco_build_info", &labels, 1)?;
        let accepted = status.keys.iter().filter(|key| !key.expired).count();
        for (name, help, value) in [
            (
                "ruroco_start_time_seconds",
                "When the gate was started, in seconds since 1970.",
                status.start_time_seconds,
            ),
            (
                "ruroco_attached",
                "Whether the XDP program is attached to all configured interfaces.",
                status.front.attached.into(),
            ),
            (
                "ruroco_server_connected",
                "Whether a server has received the ring.",
                status.front.server_connected.into(),
            ),
            (
                "ruroco_ring_waiting_bytes",
                "Bytes in the ring that the server has not read yet.",
                status.front.ring.waiting_bytes,
            ),
            (
                "ruroco_keys",
                "How many keys the gate accepts; expired keys do not count.",
                u64::try_from(accepted).unwrap_or(u64::MAX),
            ),
            (
                "ruroco_map_memory_bytes",
                "Memory of the XDP program's maps.",
                status.front.program.map_memory_bytes,
            ),
        ] {
            self.family(name, "gauge", help)?;
            self.sample(name, &[], value)?;
        }
        Ok(())
    }

    fn interfaces(&mut self, status: &Status) -> fmt::Result {
        let name = "ruroco_interface_attached";
        self.family(
            name,
            "gauge",
            "Whether the XDP program is attached to the interface, and in which mode.",
        )?;
        status.front.interfaces.iter().try_for_each(|interface| {
            let mode = interface.mode.as_deref().unwrap_or("none");
            let labels = [("interface", interface.name.as_str()), ("mode", mode)];
            self.sample(name, &labels, u8::from(interface.attached))
        })
    }

    fn doors(&mut self, status: &Status, sessions: &BTreeMap<String, usize>) -> fmt::Result {
        if status.doors.is_empty() {
            return Ok(());
        }
        let name = "ruroco_doors_armed";
        self.family(name, "gauge", "Whether doors are closed to everyone without a lease.")?;
        self.sample(name, &[], u8::from(status.arming.armed))?;
        let name = "ruroco_door_leases";
        self.family(name, "gauge", "For how many addresses the door is open.")?;
        for door in &status.doors {
            self.sample(name, &[("door", door.name.as_str())], door.leases.len())?;
        }
        let name = "ruroco_door_sessions";
        self.family(name, "gauge", "TCP sessions of this host and flows through the door now.")?;
        for door in &status.doors {
            for (kind, count) in [
                ("tcp", sessions.get(&door.name).and_then(|count| u64::try_from(*count).ok())),
                ("flow", door.flows),
            ] {
                let labels = [("door", door.name.as_str()), ("kind", kind)];
                count.map_or(Ok(()), |count| self.sample(name, &labels, count))?;
            }
        }
        let name = "ruroco_door_admitted_total";
        self.family(name, "counter", "Connections and flows that leases of the door admitted.")?;
        status.doors.iter().try_for_each(|door| {
            self.sample(name, &[("door", door.name.as_str())], door.admitted)
        })?;
        let Some(table) = &status.nftables else { return Ok(()) };
        let name = "ruroco_nftables_in_force";
        self.family(name, "gauge", "Whether the table of doors is in force in nftables.")?;
        self.sample(name, &[], u8::from(table.problem.is_none()))?;
        let name = "ruroco_nftables_restored_total";
        self.family(name, "counter", "How many times the gate has restored this table.")?;
        self.sample(name, &[], table.restored)
    }

    fn counters(&mut self, status: &Status) -> fmt::Result {
        let name = "ruroco_packets_total";
        self.family(name, "counter", "Packets by the verdict of the XDP program.")?;
        status
            .front
            .verdicts
            .iter()
            .try_for_each(|(verdict, count)| self.sample(name, &[("verdict", verdict)], count))
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> fmt::Result {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            write!(self.0, "{label}=\"{}\"", escape(value))?;
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        writeln!(self.0, " {value}")
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::{
        health::Health,
        report::tests::{health, refused, trail},
    };
    use super::*;
    use openmetrics_parser::{
        PrometheusMetricFamily, PrometheusType, prometheus::parse_prometheus,
    };
    use proptest::prelude::*;
    use std::{collections::HashMap, io};

    fn report() -> Report {
        Report::new(health(), None, Ok(trail()), Ok(refused()))
    }

    /// The families by name, read by an independent parser.
    fn parse(text: &str) -> HashMap<String, PrometheusMetricFamily> {
        parse_prometheus(text).unwrap_or_else(|e| panic!("{e:?} in:\n{text}")).families
    }

    #[test]
    fn another_reader_reads_it() {
        let text = exposition(&report());
        let families = parse(&text);
        assert_eq!(families.len(), text.matches("# TYPE").count());
        for (name, family) in &families {
            let is_counter = name.ends_with("_total");
            let kind = if is_counter { PrometheusType::Counter } else { PrometheusType::Gauge };
            assert_eq!(family.family_type, kind, "{name}");
            assert!(!family.help.is_empty(), "{name}");
        }
        for line in [
            "ruroco_ready 0",
            "ruroco_gate_up 1",
            "ruroco_server_up 1",
            "ruroco_commander_up 0",
            "ruroco_part_ok{part=\"server\"} 1",
            "ruroco_part_ok{part=\"unguarded\"} 0",
            "ruroco_unguarded_interfaces{from=\"network\"} 1",
            "ruroco_unguarded_interfaces{from=\"other\"} 1",
            "ruroco_commands_running 2",
            "ruroco_ring_waiting_bytes 152",
            "ruroco_build_info{version=\"0.1.0\",program_tag=\"0123456789abcdef\"} 1",
            "ruroco_start_time_seconds 1767225600",
            "ruroco_attached 0",
            "ruroco_server_connected 1",
            "ruroco_keys 1",
            "ruroco_map_memory_bytes 3145728",
            "ruroco_interface_attached{interface=\"eth0\",mode=\"native\"} 1",
            "ruroco_interface_attached{interface=\"eth1\",mode=\"none\"} 0",
            "ruroco_door_leases{door=\"ssh\"} 1",
            "ruroco_door_sessions{door=\"ssh\",kind=\"tcp\"} 1",
            "ruroco_door_sessions{door=\"ssh\",kind=\"flow\"} 2",
            "ruroco_door_admitted_total{door=\"ssh\"} 7",
            "ruroco_packets_total{verdict=\"forged\"} 7000",
            "ruroco_knocks_total{result=\"succeeded\"} 3",
        ] {
            assert!(text.lines().any(|is| is == line), "no {line} in:\n{text}");
        }
    }

    #[test]
    fn of_a_gate_that_does_not_answer_nothing_is_said_but_that() {
        let away = io::Error::from(io::ErrorKind::NotFound);
        let health = Health { status: Some(Err(away.into())), ..health() };
        let text = exposition(&Report::new(health, None, Ok(trail()), Ok(refused())));
        let families = parse(&text);
        assert!(
            text.contains("\nruroco_gate_up 0\n") && text.contains("\nruroco_ready 0\n"),
            "{text}"
        );
        for unknown in ["ruroco_attached", "ruroco_packets_total", "ruroco_interface_attached"] {
            assert!(!families.contains_key(unknown), "{text}");
        }
        assert!(families.contains_key("ruroco_commander_up"), "{text}");
    }

    #[test]
    fn of_knocks_nothing_is_said_that_nobody_knows() {
        let unreadable = Err(anyhow::anyhow!("unreadable"));
        let report = Report::new(health(), None, unreadable, Ok(Vec::new()));
        assert!(!exposition(&report).contains("ruroco_knocks_total"));
    }

    proptest! {
        #[test]
        fn no_name_of_an_interface_breaks_it(name in "[\"\\\\{}=,#a\u{e9}]{1,15}") {
            let mut report = report();
            let status = report.status.as_mut().unwrap();
            status.front.interfaces.truncate(1);
            status.front.interfaces[0].name = name;
            let text = exposition(&report);
            prop_assert_eq!(parse(&text).len(), text.matches("# TYPE").count());
        }
    }
}
