//! Which parts of the sandbox are enforced.

use std::fmt;

/// How far one measure was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Wholly.
    Enforced,
    /// In part.
    Partly {
        /// What it does not cover, and what would be needed for that.
        missing: String,
    },
    /// Not at all.
    Not {
        /// Why, and what would be needed.
        why: String,
    },
}

impl State {
    pub(super) fn not(why: impl Into<String>) -> Self {
        Self::Not { why: why.into() }
    }
}

/// A part of the sandbox; in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing that is executed gets new privileges.
    NoNewPrivileges,
    /// Others cannot read the process's memory.
    Memory,
    /// The bounding set is empty: not even root's programs would have a capability.
    BoundingSet,
    /// There is no capability left.
    Capabilities,
    /// Files and directories other than those needed are out of reach (Landlock).
    Files,
    /// No TCP port can be bound or connected to (Landlock).
    Tcp,
    /// Abstract Unix sockets and signals end at the process's own (Landlock).
    Scopes,
    /// System calls other than those needed fail (seccomp).
    SystemCalls,
}

impl Measure {
    /// Its name in logs and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoNewPrivileges => "no_new_privileges",
            Self::Memory => "memory",
            Self::BoundingSet => "bounding_set",
            Self::Capabilities => "capabilities",
            Self::Files => "files",
            Self::Tcp => "tcp",
            Self::Scopes => "scopes",
            Self::SystemCalls => "system_calls",
        }
    }
}

/// Every measure with its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// [`Measure::NoNewPrivileges`]
    pub no_new_privileges: State,
    /// [`Measure::Memory`]
    pub memory: State,
    /// [`Measure::BoundingSet`]
    pub bounding_set: State,
    /// [`Measure::Capabilities`]
    pub capabilities: State,
    /// [`Measure::Files`]
    pub files: State,
    /// [`Measure::Tcp`]
    pub tcp: State,
    /// [`Measure::Scopes`]
    pub scopes: State,
    /// [`Measure::SystemCalls`]
    pub system_calls: State,
}

impl Report {
    /// Each measure and its state.
    pub fn states(&self) -> [(Measure, &State); 8] {
        [
            (Measure::NoNewPrivileges, &self.no_new_privileges),
            (Measure::Memory, &self.memory),
            (Measure::BoundingSet, &self.bounding_set),
            (Measure::Capabilities, &self.capabilities),
            (Measure::Files, &self.files),
            (Measure::Tcp, &self.tcp),
            (Measure::Scopes, &self.scopes),
            (Measure::SystemCalls, &self.system_calls),
        ]
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.states().into_iter().all(|(_, state)| *state == State::Enforced)
    }
}

/// One line: what is enforced, and of the rest what is missing and why.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.states();
        let enforced = states.iter().filter(|(_, state)| **state == State::Enforced);
        let names: Vec<_> = enforced.map(|(measure, _)| measure.name()).collect();
        write!(f, "enforced: {}", names.join(", "))?;
        for (measure, state) in states {
            let name = measure.name();
            match state {
                State::Enforced => {}
                State::Partly { missing } => write!(f, "; {name} partly, without {missing}")?,
                State::Not { why } => write!(f, "; {name} not: {why}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Report {
        Report {
            no_new_privileges: State::Enforced,
            memory: State::Enforced,
            bounding_set: State::Enforced,
            capabilities: State::Enforced,
            files: State::Enforced,
            tcp: State::Enforced,
            scopes: State::Enforced,
            system_calls: State::Enforced,
        }
    }

    #[test]
    fn anything_that_is_missing_shows() {
        assert!(whole().is_whole());
        let files = State::Partly { missing: "truncating files (Linux 6.2)".to_owned() };
        let report = Report { files, tcp: State::not("no Landlock"), ..whole() };
        assert!(!report.is_whole());
        assert_eq!(
            report.to_string(),
            "enforced: no_new_privileges, memory, bounding_set, capabilities, scopes, system_calls; \
             files partly, without truncating files (Linux 6.2); tcp not: no Landlock"
        );
    }
}
