//! `ruroco doctor`: checks the host for reasons why knocks do not work or the gate is not silent, and reports
//! the remedies.
//!
//! It begins with the results of [`check`] about the files, and goes on with the host, one subject after the
//! other. It changes nothing on the host. The last check, [`silence`], tests the program itself, on
//! interfaces and in network namespaces that it creates for the test and removes with it. It reports checks
//! that it could not do.

pub(crate) mod clock;
mod doors;
mod ethtool;
pub(crate) mod files;
mod finding;
mod interface;
mod kernel;
pub(crate) mod link;
mod netdev;
mod port;
mod program;
mod running;
pub mod silence;

use std::{fmt, path::Path};

use ruroco_config::{Config, Source};
use ruroco_messages::problems::{Level, Problems};
use serde_json::{Value, json};

pub use self::finding::{Finding, State};
use super::check;

/// All that was found.
#[derive(Debug)]
pub struct Report(Vec<Finding>);

/// Does all checks.
pub fn examine(config: &Path, commands: &Path) -> Report {
    let mut findings = files(config, commands);
    // What is wrong with it is among the findings now.
    let readable = Problems::default().good_of(Config::read(config));
    findings.extend(kernel::findings());
    if let Some(config) = &readable {
        findings.extend(files::findings(config));
        findings.extend(port::findings(config));
        findings.extend(running::findings(config));
        if config.source == Source::Udp {
            findings.push(files::pins_left_behind(&config.gate.pin_dir));
        } else {
            findings.push(kernel::bpf_file_system(&config.gate.pin_dir));
            findings.extend(kernel::closed_doors(config));
            findings.push(program::finding(config));
            let interfaces = config.gate.interfaces.iter();
            findings.extend(interfaces.flat_map(|name| interface::findings(name, &config.gate)));
        }
        findings.extend(doors::findings(config));
    }
    findings.push(silence::finding());
    Report(findings)
}

/// The errors in the files.
fn files(config: &Path, commands: &Path) -> Vec<Finding> {
    const NAME: &str = "check";
    let report = check::check(config, commands);
    let finding = |problem: &ruroco_messages::problems::Problem| {
        let place = match problem.line() {
            Some(line) => format!("{}:{line}", problem.path().display()),
            None => problem.path().display().to_string(),
        };
        match problem.level() {
            Level::Error => Finding::problem(NAME, place, problem.message()),
            Level::Warning => Finding::warning(NAME, place, problem.message()),
        }
    };
    let mut findings: Vec<Finding> = report.problems().iter().map(finding).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(NAME, "configuration, commands and keys"));
    }
    findings.extend(report.unseen().map(|unseen| Finding::unknown(NAME, unseen)));
    findings
}

impl Report {
    /// Whether there is no problem. Warnings do not count.
    pub fn is_good(&self) -> bool {
        self.0.iter().all(|finding| finding.state() != State::Problem)
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.0.iter().map(Finding::to_json).collect();
        json!({ "ok": self.is_good(), "findings": findings })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        let count = |state| self.0.iter().filter(|finding| finding.state() == state).count();
        let [problems, warnings, unknown] =
            [State::Problem, State::Warning, State::Unknown].map(count);
        writeln!(f, "problems: {problems}, warnings: {warnings}, not checked: {unknown}")
    }
}
