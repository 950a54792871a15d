//! Leases on the command line: connections that an earlier knock still admits, and what is printed after a knock.

use std::{
    net::TcpStream,
    num::NonZero,
    time::{Duration, SystemTime},
};

use super::target::Target;
use crate::{
    attempt::Outcome,
    effect::{self, Seen},
    folder::Folder,
    lease::{self, Lease},
};

/// How long a connection through an earlier lease may take. This computer may have another address by now, or the
/// door may admit no more connections.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a knock opened and closed.
#[derive(Debug, Default)]
pub(super) struct Result {
    pub(super) leases: Vec<Lease>,
    closings: Vec<String>,
}

impl Result {
    /// Saves what this knock opened and closed.
    pub(super) fn note(
        target: &Target,
        outcome: &Outcome,
        sent: SystemTime,
        folder: &Folder,
    ) -> Self {
        let Target { name, host, command } = target;
        let leases = match name {
            Some(name) => folder.leases().note(name, host, command, sent, &outcome.effect),
            None => Lease::of(host, command, sent, &outcome.effect),
        };
        Self { leases, closings: lease::closings(host, command) }
    }

    /// The result in sentences.
    pub(super) fn sentences(&self) -> impl Iterator<Item = String> {
        let now = SystemTime::now();
        let leases = self.leases.iter().map(move |lease| lease.sentence(now));
        leases.chain(self.closings.iter().cloned())
    }
}

/// A connection that an earlier knock still admits, if one does.
pub(super) fn connect(
    target: &Target,
    port: NonZero<u16>,
    folder: &Folder,
) -> Option<(TcpStream, Lease)> {
    let Target { name, host, command } = target;
    let leases = folder.leases();
    let (at, lease) = leases.usable(name.as_deref()?, host, command, port, SystemTime::now())?;
    match effect::look(at, PATIENCE, &|| false) {
        Seen::Open(connection) => Some((connection, lease)),
        Seen::NotOpened(_) | Seen::GivenUp => None,
    }
}
