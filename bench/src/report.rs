//! Everything that was measured in one run.

use serde::Serialize;

use crate::{
    client::Client, cost::Cost, doors::Doors, flood::Flood, growth::Growth, machine::Machine,
    program_size::ProgramSize, singles::Single, two_cpus::TwoCpus,
};

/// The content of `report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) run: Run,
    pub(crate) method: Vec<String>,
    pub(crate) cost: Cost,
    pub(crate) singles: Vec<Single>,
    pub(crate) two_cpus: Vec<TwoCpus>,
    pub(crate) program: ProgramSize,
    pub(crate) client: Client,
    pub(crate) floods: Vec<Flood>,
    /// How the peers were configured.
    pub(crate) peers: Vec<(String, String)>,
    pub(crate) growth: Growth,
    pub(crate) claims: Vec<Claim>,
    pub(crate) doors: Doors,
}

/// When, of what and where.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) quick: bool,
    pub(crate) date: String,
    /// The commit, and whether there were changes.
    pub(crate) sources: String,
    pub(crate) machine: Machine,
}

impl Run {
    /// The first lines of a report.
    pub(crate) fn describe(&self) -> String {
        let kind = if self.quick { "a quick run" } else { "a full run" };
        let lines = self.machine.lines().into_iter().map(|line| format!("- {line}\n"));
        let (date, sources) = (&self.date, &self.sources);
        format!("From {kind} on {date} ({sources}), on:\n\n{}", lines.collect::<String>())
    }
}

impl Report {
    /// The floods that the promises are about: at the gate, by a link of the attacker's own.
    pub(crate) fn of_gate(&self) -> impl Iterator<Item = &Flood> {
        self.floods.iter().filter(|flood| flood.peer == "ruroco, xdp" && !flood.shared_link)
    }
}

/// One promise.
#[derive(Debug, Serialize)]
pub(crate) struct Claim {
    pub(crate) what: &'static str,
    pub(crate) limit: String,
    /// None if this run has not measured it.
    pub(crate) measured: Option<String>,
    pub(crate) met: bool,
}

impl Claim {
    /// In one word, or two.
    pub(crate) fn verdict(&self) -> &'static str {
        match (&self.measured, self.met) {
            (None, _) => "not measured",
            (Some(_), true) => "met",
            (Some(_), false) => "NOT met",
        }
    }
}
