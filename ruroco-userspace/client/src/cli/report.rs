//! The JSON object that `knock --json` prints. Scripts depend on its names.

use std::{net::SocketAddr, time::SystemTime};

use jiff::Timestamp;
use ruroco_common::command::CommandHash;
use serde::Serialize;

use super::{leases, remedy, target::Target, waiting};
use crate::{
    attempt::{Attempt, Observation, Outcome},
    knock::{Knock, Unsent},
    lease::Lease,
    rehearsal::Rehearsal,
};

/// The object. Unknown fields are left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    result: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    from: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_to: Vec<NotTo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    knocks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    was_open: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doors: Vec<Opened>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advice: Vec<String>,
}

/// A door that the knock should have opened.
#[derive(Debug, Serialize)]
struct Opened {
    door: String,
    port: String,
    /// Whether the port was seen to open.
    seen_open: bool,
    /// The end of the lease (RFC 3339).
    until: String,
    seconds_left: u64,
}

impl Opened {
    fn new(lease: &Lease, now: SystemTime) -> Option<Self> {
        Some(Self {
            door: lease.door.to_string(),
            port: lease.port.to_string(),
            seen_open: lease.is_seen,
            until: Timestamp::try_from(lease.until)
                .ok()?
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            seconds_left: lease.left(now).unwrap_or_default().as_secs(),
        })
    }
}

/// The value of `result`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// The knock was not sent. `error` contains the reason.
    #[default]
    Failed,
    /// The knock could be sent, but --dry-run was passed.
    DryRun,
    /// The knock was sent.
    Sent,
    /// The knock was sent, and the port is open.
    Opened,
    /// The knock was sent, but the port did not open. `error` contains the last connection error.
    NotOpened,
}

#[derive(Debug, Serialize)]
struct NotTo {
    address: SocketAddr,
    error: String,
}

impl From<&Unsent> for NotTo {
    fn from(unsent: &Unsent) -> Self {
        Self { address: unsent.to, error: unsent.error.to_string() }
    }
}

impl Report {
    pub(super) fn target(&mut self, target: &Target) {
        self.host = Some(target.label());
        self.command = Some(target.command.clone());
        self.command_hash = Some(CommandHash::of(&target.command).to_string());
    }

    pub(super) fn knock(&mut self, knock: &Knock) {
        self.key_id = Some(knock.key().id.to_string());
        self.cipher = Some(knock.key().cipher.name());
    }

    pub(super) fn failed(&mut self, error: &anyhow::Error) {
        self.error = Some(format!("{error:#}"));
    }

    pub(super) fn rehearsed(&mut self, rehearsal: &Rehearsal) {
        self.result = Kind::DryRun;
        self.from = rehearsal.paths.iter().map(|path| path.from).collect();
        self.to = rehearsal.paths.iter().map(|path| path.to).collect();
        self.not_to = rehearsal.not_to.iter().map(NotTo::from).collect();
        self.port = rehearsal.effect.map(|effect| effect.port.get());
        self.advice
            .extend(rehearsal.warning.iter().map(|warning| warning.text_with(remedy::words)));
    }

    pub(super) fn made(&mut self, outcome: &Outcome, attempt: &Attempt) {
        self.to = outcome.sent.all().collect();
        self.not_to = outcome.sent.not_to.iter().map(NotTo::from).collect();
        self.knocks = Some(outcome.knocks);
        self.port = attempt.effect.map(|effect| effect.port.get());
        self.advice = waiting::advice(outcome, &attempt.knock);
        self.result = match &outcome.effect {
            Observation::NotChecked => Kind::Sent,
            Observation::Opened { was_open, after, .. } => {
                self.was_open = Some(*was_open);
                let after = u64::try_from(after.as_millis()).ok();
                self.opened_after_ms = after.filter(|_| !was_open);
                Kind::Opened
            }
            Observation::NotOpened { error, .. } => {
                self.error = Some(error.to_string());
                Kind::NotOpened
            }
            Observation::GivenUp => Kind::NotOpened,
        };
    }

    pub(super) fn opened(&mut self, result: &leases::Result) {
        let now = SystemTime::now();
        self.doors = result.leases.iter().filter_map(|lease| Opened::new(lease, now)).collect();
    }

    /// Whether a knock was sent.
    pub(super) fn is_sent(&self) -> bool {
        match self.result {
            Kind::Failed | Kind::DryRun => false,
            Kind::Sent | Kind::Opened | Kind::NotOpened => true,
        }
    }

    pub(super) fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}
