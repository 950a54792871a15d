//! The sources of candidates: the ring that the gate hands over, or an ordinary socket. The keys come with
//! the ring.
//!
//! A source yields packets that have arrived, and does not depend on their verdicts.

mod ring;
mod udp;
mod xdp;

use ruroco_daemon::clock::Now;
use std::{os::fd::BorrowedFd, time::Duration};

use ruroco_common::candidate::Candidate;
use ruroco_config as config;
use ruroco_config::Config;
use ruroco_keys::named_key::NamedKey;

pub use self::xdp::NewRing;
use self::{udp::UdpSource, xdp::XdpSource};
use super::refusal::Refusal;

/// What has arrived.
pub enum Arrival {
    /// A candidate, or why a packet is not one. Its place in the ring becomes free with the next call of the
    /// source.
    Candidate(Result<Candidate, Refusal>),
    /// The gate has handed over. What was in the ring before has all arrived, and belongs to the keys before.
    Handover {
        /// The ring to [change to](Source::change_to) once the keys are in force.
        ring: NewRing,
        /// The keys that belong to it.
        keys: Vec<NamedKey>,
    },
}

/// A source of candidates. Methods that only apply to the ring do nothing in the other source.
pub trait Source {
    /// What has arrived next, if anything has.
    ///
    /// # Errors
    /// Those after which the source is of no more use.
    fn next(&mut self, now: Now) -> anyhow::Result<Option<Arrival>>;

    /// What to wait for: the gate, and candidates.
    fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2];

    /// Goes on with a ring whose keys are in force.
    fn change_to(&mut self, _: NewRing) {}

    /// Asks the gate again later, because its keys could not be put into force.
    fn retry(&mut self, _now: Now, _why: &anyhow::Error) {}

    /// When to look again even if nothing happens, as a time on the boot clock.
    fn next_attempt(&self) -> Option<Duration> {
        None
    }

    /// Whether candidates can come from it.
    fn is_there(&self) -> bool {
        true
    }

    /// Why it waits for a gate, if it does.
    fn waits_because(&self) -> Option<&str> {
        None
    }

    /// The socket of the network that there is, with `source = "udp"`.
    fn network_socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The port of a socket that systemd has opened.
    fn passed_port(&self) -> Option<u16> {
        None
    }
}

/// The source that the configuration names.
///
/// # Errors
/// If a socket cannot be bound, or systemd passed a wrong socket. A stopped gate is not an error: it may
/// start later.
pub fn open(config: &Config) -> anyhow::Result<Box<dyn Source>> {
    Ok(match config.source {
        config::Source::Xdp => Box::new(XdpSource::new(&config.socket_dir)),
        config::Source::Udp => Box::new(UdpSource::open(config)?),
    })
}
