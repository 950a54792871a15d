//! The report for people.

use std::fmt::Write as _;

use crate::{
    client::Client,
    cost::Cost,
    flood::{Flood, RECEIVER},
    growth::Growth,
    numbers::{milliseconds, number, rate},
    program_size::ProgramSize,
    report::{Claim, Report},
    singles::Single,
    statistics::Summary,
    two_cpus::TwoCpus,
};

/// The whole report, with headings of the third level, so that it fits into a section.
pub(crate) fn write(report: &Report) -> String {
    let mut text = report.run.describe();
    for (heading, content) in [
        ("What is promised", claims(&report.claims)),
        ("Cost of a packet by verdict", verdicts(&report.cost)),
        ("The same refusal in user space", crates(&report.cost)),
        ("One by one, no two packets alike", singles(&report.singles)),
        ("Two CPUs at once", two_cpus(&report.two_cpus)),
        ("The program", program(&report.program)),
        ("The client", client(&report.client)),
        ("Knocks during floods", floods(&report.floods)),
        ("Growth", growth(&report.growth)),
    ] {
        let _ = write!(text, "\n### {heading}\n\n{content}");
    }
    for (peer, configuration) in &report.peers {
        let _ = writeln!(text, "\n{peer}: {configuration}.");
    }
    text
}

/// Promises with what came of them.
pub(crate) fn claims(claims: &[Claim]) -> String {
    let rows = claims.iter().map(|claim| {
        vec![
            claim.what.to_owned(),
            claim.limit.clone(),
            claim.measured.clone().unwrap_or_default(),
            claim.verdict().to_owned(),
        ]
    });
    table(&["", "limit", "measured", ""], rows)
}

fn verdicts(cost: &Cost) -> String {
    let rows = cost.verdicts.iter().map(|of| {
        let mut row = vec![format!("`{}`", of.verdict), of.packet.to_owned()];
        row.extend([&of.floor, &of.cost, &of.above].map(|of| number(of.median)));
        row.push(number(of.above.min));
        row
    });
    let head = ["verdict", "packet", "empty program", "ruroco", "above", "above, least"];
    let mut text = table(&head, rows);
    text.push_str("\nNanoseconds, medians of all rounds.");
    if !cost.missing.is_empty() {
        let _ = write!(text, " No packet was {}.", cost.missing.join(", "));
    }
    text + "\n"
}

fn crates(cost: &Cost) -> String {
    let rows = cost.crates.iter().map(|of| {
        let ratio = of.kernel_ratio.filter(|_| of.refusal.starts_with("chacha"));
        let ratio = ratio.map(|ratio| number(ratio.median)).unwrap_or_default();
        vec![of.refusal.to_owned(), of.build.to_owned(), number(of.cost.median), ratio]
    });
    table(&["crate", "build", "ns", "forged in the kernel, as a share"], rows)
}

fn singles(singles: &[Single]) -> String {
    let rows = singles.iter().map(|of| {
        vec![
            format!("`{}`", of.packets),
            number(of.floor.median),
            number(of.cost.median),
            number(of.above),
        ]
    });
    table(&["verdict", "empty program, ns", "ruroco, ns", "above"], rows)
}

fn two_cpus(all: &[TwoCpus]) -> String {
    let rows = all.iter().map(|of| {
        vec![
            format!("`{}`", of.packet),
            number(of.alone.median),
            number(of.together.median),
            number(of.factor),
        ]
    });
    table(&["verdict", "one CPU, ns", "each of two, ns", "factor"], rows)
}

fn program(program: &ProgramSize) -> String {
    let mut rows = vec![
        vec!["instructions verified".to_owned(), program.verified_instructions.to_string()],
        vec!["translated".to_owned(), format!("{} bytes", program.translated_bytes)],
        vec!["compiled".to_owned(), format!("{} bytes", program.jited_bytes)],
        vec!["loaded, with maps and a key, in".to_owned(), milliseconds(&program.load_ms)],
    ];
    let maps = program.maps.iter().map(|(name, bytes)| (format!("map `{name}`"), *bytes));
    for (name, bytes) in maps.chain([("all maps".to_owned(), program.maps_bytes)]) {
        rows.push(vec![name, format!("{bytes} bytes")]);
    }
    table(&["", ""], rows.into_iter())
}

fn client(client: &Client) -> String {
    let row = |what: &str, of: &Summary| {
        vec![what.to_owned(), number(of.min), number(of.median), number(of.p99)]
    };
    let rows = [
        row("`true`, to its end", &client.nothing_ms),
        row("`ruroco-client --version`, to its end", &client.version_ms),
        row("`ruroco-client knock home`, to its packet on the wire", &client.packet_ms),
        row("`ruroco-client knock home`, to its end", &client.send_ms),
        row("16 bytes written over others on the disk, as the counter is", &client.counter_ms),
    ];
    let table = table(&["", "least, ms", "median, ms", "p99, ms"], rows.into_iter());
    format!(
        "{table}\nEach {} times, in turn, from before the process is started; the folder is on {}. The \
         program has {} bytes.\n",
        client.packet_ms.count,
        client.file_system,
        number(client.bytes as f64)
    )
}

fn floods(floods: &[Flood]) -> String {
    let rows = floods.iter().map(|flood| {
        let latency = |of: fn(&Summary) -> f64| {
            flood.knocks.latency_ms.as_ref().map(|ms| number(of(ms))).unwrap_or_default()
        };
        let percent = |name: &str| {
            let share = flood.cpu.processes.get(name).copied().unwrap_or_default();
            number(100.0 * share)
        };
        let softirq: Vec<String> =
            flood.cpu.softirq.iter().map(|share| number(100.0 * share)).collect();
        vec![
            flood.peer.to_owned(),
            flood.title(),
            rate(flood.offered),
            rate(flood.achieved),
            format!("{} of {}", flood.knocks.ran, flood.knocks.sent),
            latency(|ms| ms.median),
            latency(|ms| ms.p99),
            softirq.join(" + "),
            percent(RECEIVER),
            percent("server"),
            percent("commander"),
            number(flood.server_us_per_knock),
            number(flood.server_resident.1 as f64 / 1024.0),
            flood.candidates.map(|candidates| candidates.to_string()).unwrap_or_default(),
        ]
    });
    let head = [
        "server",
        "flood",
        "offered/s",
        "arrived/s",
        "knocks that ran",
        "p50 ms",
        "p99 ms",
        "softirq, % of each CPU",
        "receiving thread %",
        "server %",
        "commander %",
        "server µs per knock",
        "server MiB",
        "ring records",
    ];
    table(&head, rows)
}

fn growth(growth: &Growth) -> String {
    let keys = growth.keys.iter().map(|of| {
        vec![
            of.keys.to_string(),
            number(of.single.floor.median),
            number(of.single.cost.median),
            number(of.single.above),
            of.maps_bytes.to_string(),
        ]
    });
    let head = ["keys", "empty program, ns", "forged, ns", "above", "all maps, bytes"];
    let mut text = table(&head, keys);
    let sources = growth.sources.iter().map(|of| {
        vec![
            of.sources.to_string(),
            number(of.packets),
            number(of.receiver_ns),
            of.gate_bpf_bytes.to_string(),
            of.server_resident_kib.to_string(),
        ]
    });
    text.push('\n');
    let head = [
        "sources",
        "packets",
        "receiving thread, ns per packet",
        "BPF memory, bytes",
        "server KiB",
    ];
    text.push_str(&table(&head, sources));
    text.push_str("\nIn a flood at a server with 10,000 keys:\n\n");
    let many_keys = growth.many_keys.iter().map(|of| {
        let latency =
            |pick: fn(&Summary) -> f64| of.flood.knocks.latency_ms.map_or(f64::NAN, |ms| pick(&ms));
        vec![
            of.forged.to_string(),
            rate(of.flood.achieved),
            number(of.flood.receiver_ns()),
            format!("{} of {}", of.flood.knocks.ran, of.flood.knocks.sent),
            number(latency(|ms| ms.median)),
            number(latency(|ms| ms.p99)),
            number(of.flood.server_us_per_knock),
            number(of.flood.server_resident.1 as f64 / 1024.0),
        ]
    });
    let head = [
        "forged under so many keys",
        "arrived/s",
        "receiving thread, ns per packet",
        "knocks that ran",
        "p50 ms",
        "p99 ms",
        "server µs per knock",
        "server MiB",
    ];
    text + &table(&head, many_keys)
}

/// A table with a head and rows of as many cells.
pub(crate) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    text.push_str(&line(vec!["---".to_owned(); head.len()]));
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_head_a_line_and_rows() {
        let rows = [["1", "2"], ["3", "4"]].map(|row| row.map(str::to_owned).to_vec());
        let table = table(&["a", "b"], rows.into_iter());
        assert_eq!(table, "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n");
    }
}
