//! One run of one fuzz target, and what libFuzzer's own words about it mean.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Seconds for one input. What takes longer is a finding, too.
const TIMEOUT: u32 = 10;

/// Lines of a report that are shown; the log has all of it.
const SHOWN_LINES: usize = 4;

/// A target, and where its things are.
#[derive(Debug)]
pub(crate) struct Target {
    name: String,
    program: PathBuf,
    /// What the fuzzer starts from; committed.
    seeds: PathBuf,
    /// What it has learnt; its own.
    corpus: PathBuf,
    /// Input that breaks something.
    artifacts: PathBuf,
    dictionary: PathBuf,
    log: PathBuf,
}

impl Target {
    /// The target of this name, whose program is in `programs`.
    ///
    /// # Errors
    /// If its folders cannot be made.
    pub(crate) fn new(workspace: &Workspace, programs: &Path, name: String) -> Result<Self> {
        let (sources, own) = (workspace.fuzz(), workspace.fuzz_target());
        let target = Self {
            program: programs.join(&name),
            seeds: sources.join("corpus").join(&name),
            corpus: own.join("corpus").join(&name),
            artifacts: own.join("artifacts").join(&name),
            dictionary: sources.join("dictionaries").join(format!("{name}.dict")),
            log: own.join(format!("{name}.log")),
            name,
        };
        for folder in [&target.corpus, &target.artifacts] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(target)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it prints.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Runs it until `seconds` are over or it has found something.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn run(&self, seconds: u32) -> Result<Outcome> {
        let log = File::create(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = Command::new(&self.program);
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={TIMEOUT}"));
        command.arg("-print_final_stats=1");
        command.arg(format!("-artifact_prefix={}/", self.artifacts.display()));
        if self.dictionary.exists() {
            command.arg(format!("-dict={}", self.dictionary.display()));
        }
        // It writes into the first folder and only reads the second.
        command.args([&self.corpus, &self.seeds]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let status = command.status();
        let status = status.with_context(|| format!("cannot run {}", self.program.display()))?;
        let printed = fs::read(&self.log);
        let printed = printed.with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(Outcome {
            name: self.name.clone(),
            program: self.program.clone(),
            log: self.log.clone(),
            status,
            report: Report::read(&String::from_utf8_lossy(&printed)),
        })
    }
}

/// How a run came out.
#[derive(Debug)]
pub(crate) struct Outcome {
    name: String,
    program: PathBuf,
    log: PathBuf,
    status: ExitStatus,
    report: Report,
}

impl Outcome {
    /// The target's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What was found, if anything was: the reason, and how to see it again.
    pub(crate) fn finding(&self, workspace: &Workspace) -> Option<String> {
        let shown = |path: &Path| workspace.relative(path).display().to_string();
        let (program, log) = (shown(&self.program), shown(&self.log));
        let again = match &self.report.artifact {
            Some(artifact) => format!("again: {program} {}", shown(artifact)),
            None if self.status.success() => return None,
            None => format!("{program} ended with {} and left no input", self.status),
        };
        let reason: String =
            self.report.reason.iter().map(|line| format!("    {line}\n")).collect();
        Some(format!("{}: {again}\n{reason}    all of it: {log}", self.name))
    }
}

/// What libFuzzer prints.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    executions: u64,
    /// Executions a second, on average.
    speed: u64,
    /// Branches and calls that were taken.
    coverage: u64,
    /// The same, told apart by how often and after what.
    features: u64,
    /// Inputs that each take a way no other does.
    corpus: u64,
    /// Those of them that were not there before.
    new: u64,
    /// The input that broke something.
    artifact: Option<PathBuf>,
    /// The first lines about that.
    reason: Vec<String>,
}

impl Report {
    fn read(printed: &str) -> Self {
        let mut report = Self::default();
        for line in printed.lines() {
            let statistic =
                |name| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':');
            let number = |name| statistic(name).and_then(leading_number);
            let status = |name| line.starts_with('#').then(|| value_of(line, name))?;
            update(&mut report.executions, number("number_of_executed_units"));
            update(&mut report.speed, number("average_exec_per_sec"));
            update(&mut report.new, number("new_units_added"));
            update(&mut report.coverage, status("cov:"));
            update(&mut report.features, status("ft:"));
            update(&mut report.corpus, status("corp:"));
            if let Some((_, path)) = line.split_once("Test unit written to ") {
                report.artifact = Some(PathBuf::from(path.trim()));
            }
        }
        let begins = |line: &&str| line.contains(" panicked at ") || line.contains("ERROR: ");
        let lines = printed.lines().skip_while(|line| !begins(line)).take(SHOWN_LINES);
        report.reason = lines.map(str::to_owned).collect();
        report
    }
}

fn update(field: &mut u64, value: Option<u64>) {
    *field = value.unwrap_or(*field);
}

/// The number behind `name` in a line such as `#8 INITED cov: 53 ft: 54 corp: 3/5b`.
fn value_of(line: &str, name: &str) -> Option<u64> {
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    leading_number(words.nth(1)?)
}

fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// All outcomes, one to a line.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut table = format!(
        "{:<15}{:>12}{:>9}{:>7}{:>7}{:>8}{:>6}  found\n",
        "target", "executions", "a second", "cov", "ft", "corpus", "new"
    );
    for Outcome { name, status, report, .. } in outcomes {
        let Report { executions, speed, coverage, features, corpus, new, artifact, .. } = report;
        let found = match artifact {
            Some(_) => "1",
            None if status.success() => "0",
            None => "failed",
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "{name:<15}{executions:>12}{speed:>9}{coverage:>7}{features:>7}{corpus:>8}{new:>6}  {found}"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
INFO: Running with entropic power schedule (0xFF, 100).
#8\tINITED cov: 53 ft: 54 corp: 3/5b exec/s: 0 rss: 40Mb
#2097152\tpulse  cov: 1067 ft: 3290 corp: 568/21Kb lim: 4096 exec/s: 174762 rss: 45Mb
";
    const STATISTICS: &str = "\
stat::number_of_executed_units: 2100000
stat::average_exec_per_sec:     35000
stat::new_units_added:          565
stat::slowest_unit_time_sec:    0
";

    #[test]
    fn the_last_numbers_are_those_that_count() {
        let report = Report::read(&format!("{PRINTED}{STATISTICS}"));
        let expected = Report {
            executions: 2_100_000,
            speed: 35_000,
            coverage: 1067,
            features: 3290,
            corpus: 568,
            new: 565,
            ..Report::default()
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn a_finding_is_shown_with_its_reason_and_how_to_see_it_again() {
        let panic = "
thread '<unnamed>' (7) panicked at fuzz/src/order.rs:50:5:
assertion `left == right` failed
  left: 1
 right: 2
stack backtrace:
==7== ERROR: libFuzzer: deadly signal
artifact_prefix='/w/target/fuzz/artifacts/order/'; Test unit written to /w/target/fuzz/artifacts/order/crash-1
";
        let outcome = Outcome {
            name: "order".to_owned(),
            program: PathBuf::from("target/order"),
            log: PathBuf::from("target/fuzz/order.log"),
            status: ExitStatus::default(),
            report: Report::read(&format!("{PRINTED}{panic}{STATISTICS}")),
        };
        let finding = outcome.finding(&Workspace::of_this_build().unwrap()).unwrap();
        for part in ["order.rs:50:5", " left: 1", "target/order /w/target", "crash-1", "order.log"]
        {
            assert!(finding.contains(part), "{part} in {finding}");
        }
        assert!(table(&[outcome]).ends_with(" 1\n"));
    }
}
