//! The result of a check, for people and for programs.

use std::fmt;

use ruroco_messages::problems::{Level, Problems};
use rustix::process::geteuid;
use serde_json::{Value, json};

/// The result of a check.
#[derive(Debug)]
pub struct Report {
    problems: Problems,
    /// The checks that could not be done, and why.
    unseen: Vec<String>,
}

impl Report {
    pub(super) fn new(problems: Problems, mut unseen: Vec<String>) -> Self {
        if !geteuid().is_root() {
            unseen.push(
                "the files as root reads them, as gate and commander do: `ruroco check` did not run as root"
                    .to_owned(),
            );
        }
        Self { problems, unseen }
    }

    /// Of one daemon, as itself.
    pub(super) fn of_one(problems: Problems) -> Self {
        Self { problems, unseen: Vec::new() }
    }

    /// All problems, by file and line.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// The checks that could not be done, and why.
    pub fn unseen(&self) -> impl Iterator<Item = &str> {
        self.unseen.iter().map(String::as_str)
    }

    /// Whether every daemon would start; with `strict` also whether there is nothing to be warned of.
    pub fn is_good(&self, strict: bool) -> bool {
        match strict {
            true => self.problems.is_empty(),
            false => self.problems.count(Level::Error) == 0,
        }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let problems = self.problems.iter().map(|problem| {
            json!({
                "level": problem.level().name(),
                "file": problem.path().to_string_lossy(),
                "line": problem.line(),
                "message": problem.message(),
            })
        });
        json!({
            "ok": self.is_good(false),
            "errors": self.problems.count(Level::Error),
            "warnings": self.problems.count(Level::Warning),
            "problems": problems.collect::<Vec<_>>(),
            "unseen": self.unseen,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter() {
            writeln!(f, "{:<7}  {problem}", problem.level().name())?;
        }
        for unseen in &self.unseen {
            writeln!(f, "unseen   {unseen}")?;
        }
        let [errors, warnings] =
            [Level::Error, Level::Warning].map(|level| self.problems.count(level));
        match (errors, warnings) {
            (0, 0) => writeln!(f, "ok       configuration, commands and keys"),
            (0, _) => writeln!(f, "ok       the daemons will start; warnings: {warnings}"),
            _ => writeln!(f, "failed   errors: {errors}, warnings: {warnings}"),
        }
    }
}
