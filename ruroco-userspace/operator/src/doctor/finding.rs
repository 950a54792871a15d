//! A finding: what was checked, its state, and the remedy.

use std::fmt;

use ruroco_messages::plain_error::Plain;
use serde::Serialize;
use serde_json::{Value, json};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and could be better, or will not always.
    Warning,
    /// It does not work, or is not silent.
    Problem,
    /// The check could not be done.
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

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    name: &'static str,
    state: State,
    detail: String,
    /// Always there for a warning and for a problem.
    remedy: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub(crate) fn ok(name: &'static str, detail: impl fmt::Display) -> Self {
        Self::new(name, State::Ok, detail, None)
    }

    /// It works, but.
    pub(crate) fn warning(
        name: &'static str,
        detail: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, State::Warning, detail, Some(remedy.into()))
    }

    /// It does not work.
    pub(crate) fn problem(
        name: &'static str,
        detail: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, State::Problem, detail, Some(remedy.into()))
    }

    /// The check could not be done: why.
    pub(crate) fn unknown(name: &'static str, why: impl fmt::Display) -> Self {
        Self::new(name, State::Unknown, format_args!("could not check: {why}"), None)
    }

    /// What the kernel says of an error is shown without its number.
    fn new(
        name: &'static str,
        state: State,
        detail: impl fmt::Display,
        remedy: Option<String>,
    ) -> Self {
        Self { name, state, detail: Plain(detail).to_string(), remedy }
    }

    /// The name of the check.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The details of the result.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What to do about it, for a warning and for a problem.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
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
