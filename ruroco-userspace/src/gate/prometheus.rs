//! The status in Prometheus' text format, for node_exporter's textfile collector: no program of ours
//! listens for anybody who wants to know.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{self, Display, Write};

use super::report::Report;

/// The exposition of a gate that answered, or of none.
pub fn exposition(report: Option<&Report>) -> String {
    let mut text = Text(String::new());
    // A string takes everything.
    let _ = text.write(report);
    text.0
}

struct Text(String);

impl Text {
    fn write(&mut self, report: Option<&Report>) -> fmt::Result {
        self.family("ruroco_gate_up", "gauge", "Whether the gate answers.")?;
        self.sample("ruroco_gate_up", &[], u8::from(report.is_some()))?;
        let Some(report) = report else { return Ok(()) };
        self.gate(report)?;
        self.interfaces(report)?;
        self.counters(report)
    }

    fn gate(&mut self, report: &Report) -> fmt::Result {
        let status = &report.status;
        self.family("ruroco_build_info", "gauge", "Version of the gate, tag of its XDP program.")?;
        let tag = status.program.tag.as_deref().unwrap_or_default();
        let labels = [("version", status.version.as_str()), ("program_tag", tag)];
        self.sample("ruroco_build_info", &labels, 1)?;
        for (name, help, value) in [
            (
                "ruroco_start_time_seconds",
                "When the gate was started, in seconds since 1970.",
                status.start_time_seconds,
            ),
            (
                "ruroco_closed",
                "Whether the XDP program is on all configured interfaces.",
                status.closed.into(),
            ),
            (
                "ruroco_server_connected",
                "Whether a server has the ring.",
                status.server_connected.into(),
            ),
            (
                "ruroco_keys",
                "How many keys the gate knows.",
                u64::try_from(status.keys.len()).unwrap_or(u64::MAX),
            ),
            (
                "ruroco_map_memory_bytes",
                "Memory of the XDP program's maps.",
                status.program.map_memory_bytes,
            ),
        ] {
            self.family(name, "gauge", help)?;
            self.sample(name, &[], value)?;
        }
        Ok(())
    }

    fn interfaces(&mut self, report: &Report) -> fmt::Result {
        let name = "ruroco_interface_attached";
        self.family(name, "gauge", "Whether the XDP program is on the interface, and how.")?;
        report.status.interfaces.iter().try_for_each(|interface| {
            let mode = interface.mode.as_deref().unwrap_or("none");
            let labels = [("interface", interface.name.as_str()), ("mode", mode)];
            self.sample(name, &labels, u8::from(interface.attached))
        })
    }

    fn counters(&mut self, report: &Report) -> fmt::Result {
        let name = "ruroco_packets_total";
        self.family(name, "counter", "Packets by the verdict of the XDP program.")?;
        for (verdict, count) in &report.status.verdicts {
            self.sample(name, &[("verdict", verdict)], count)?;
        }
        if report.knock_totals.is_empty() {
            return Ok(());
        }
        let name = "ruroco_knocks_total";
        self.family(name, "counter", "Orders to the commander by what became of them.")?;
        for (result, count) in &report.knock_totals {
            self.sample(name, &[("result", result)], count)?;
        }
        Ok(())
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
    use super::{
        super::report::tests::{status, trail},
        *,
    };
    use openmetrics_parser::{
        PrometheusMetricFamily, PrometheusType, prometheus::parse_prometheus,
    };
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn report() -> Report {
        Report::new(status(), None, Ok(trail()))
    }

    /// Read by a parser of somebody else's: families by name.
    fn parse(text: &str) -> HashMap<String, PrometheusMetricFamily> {
        parse_prometheus(text).unwrap_or_else(|e| panic!("{e:?} in:\n{text}")).families
    }

    #[test]
    fn another_reader_reads_it() {
        let text = exposition(Some(&report()));
        let families = parse(&text);
        assert_eq!(families.len(), text.matches("# TYPE").count());
        for (name, family) in &families {
            let is_counter = name.ends_with("_total");
            let kind = if is_counter { PrometheusType::Counter } else { PrometheusType::Gauge };
            assert_eq!(family.family_type, kind, "{name}");
            assert!(!family.help.is_empty(), "{name}");
        }
        for line in [
            "ruroco_gate_up 1",
            "ruroco_build_info{version=\"0.1.0\",program_tag=\"0123456789abcdef\"} 1",
            "ruroco_start_time_seconds 1767225600",
            "ruroco_closed 0",
            "ruroco_server_connected 1",
            "ruroco_keys 1",
            "ruroco_map_memory_bytes 3145728",
            "ruroco_interface_attached{interface=\"eth0\",mode=\"native\"} 1",
            "ruroco_interface_attached{interface=\"eth1\",mode=\"none\"} 0",
            "ruroco_packets_total{verdict=\"forged\"} 7000",
            "ruroco_knocks_total{result=\"succeeded\"} 3",
        ] {
            assert!(text.lines().any(|is| is == line), "no {line} in:\n{text}");
        }
    }

    #[test]
    fn a_gate_that_does_not_answer_is_no_closed_one() {
        let text = exposition(None);
        assert_eq!(parse(&text).len(), 1);
        assert!(text.ends_with("\nruroco_gate_up 0\n"));
    }

    #[test]
    fn of_knocks_nothing_is_said_that_nobody_knows() {
        let report = Report::new(status(), None, Err(anyhow::anyhow!("unreadable")));
        assert!(!exposition(Some(&report)).contains("ruroco_knocks_total"));
    }

    proptest! {
        #[test]
        fn no_name_of_an_interface_breaks_it(name in "[\"\\\\{}=,#a\u{e9}]{1,15}") {
            let mut report = report();
            report.status.interfaces.truncate(1);
            report.status.interfaces[0].name = name;
            let text = exposition(Some(&report));
            prop_assert_eq!(parse(&text).len(), text.matches("# TYPE").count());
        }
    }
}
