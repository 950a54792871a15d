//! What was looked at, how it is, and what to do about it.

use std::fmt;

use serde_json::{Value, json};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and could be better, or will not always.
    Warning,
    /// It does not work, or is not silent.
    Problem,
    /// Nobody could look.
    Unknown,
}

impl State {
    /// The one name of this state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    name: &'static str,
    state: State,
    detail: String,
    /// Always there for a warning and for a problem.
    remedy: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Ok, detail: detail.into(), remedy: None }
    }

    /// It works, but.
    pub(super) fn warning(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { name, state: State::Warning, detail: detail.into(), remedy }
    }

    /// It does not work.
    pub(super) fn problem(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { name, state: State::Problem, detail: detail.into(), remedy }
    }

    /// It could not be looked at: why.
    pub(super) fn unknown(name: &'static str, why: impl fmt::Display) -> Self {
        let detail = format!("could not look: {why}");
        Self { name, state: State::Unknown, detail, remedy: None }
    }

    /// What was looked at.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The finding as a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "state": self.state.name(),
            "detail": self.detail,
            "remedy": self.remedy,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  {:<16} {}", self.state.name(), self.name, self.detail)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n{:<25} -> {remedy}", "")?;
        }
        Ok(())
    }
}
