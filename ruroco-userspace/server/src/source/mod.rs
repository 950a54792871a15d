//! Where candidates come from: the ring that the gate hands over, or an ordinary socket. With the ring
//! come the keys.
//!
//! A source yields what has arrived and knows nothing of what becomes of it.

mod ring;
mod udp;
mod xdp;

use std::{os::fd::BorrowedFd, time::Duration};

use ruroco_common::candidate::Candidate;
use ruroco_config as config;
use ruroco_config::Config;
use ruroco_keys::named_key::NamedKey;

pub use self::xdp::NewRing;
use self::{udp::UdpSource, xdp::XdpSource};
use super::{clock::Now, refusal::Refusal};

/// A source of candidates.
pub enum Source {
    /// The gate's ring.
    Xdp(Box<XdpSource>),
    /// A UDP socket.
    Udp(UdpSource),
}

/// What has arrived.
pub enum Arrival {
    /// A candidate, or why a packet is none. Its place in the ring is free when the source is asked for more.
    Candidate(Result<Candidate, Refusal>),
    /// The gate has handed over. What was in the ring before has all arrived, and belongs to the keys before.
    Handover {
        /// The ring to [change to](Source::change_to) once the keys are in force.
        ring: NewRing,
        /// The keys that belong to it.
        keys: Vec<NamedKey>,
    },
}

impl Source {
    /// The source that the configuration names.
    ///
    /// # Errors
    /// If a socket is to be bound and cannot, or one was passed that cannot be meant. A gate that is away is
    /// not an error: it may come.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        match config.source {
            config::Source::Xdp => Ok(Self::Xdp(Box::new(XdpSource::new(&config.socket_dir)))),
            config::Source::Udp => UdpSource::open(config).map(Self::Udp),
        }
    }

    /// What has arrived next, if anything has.
    ///
    /// # Errors
    /// Those after which the source is of no more use.
    pub fn next(&mut self, now: Now) -> anyhow::Result<Option<Arrival>> {
        match self {
            Self::Xdp(source) => Ok(source.next(now)),
            Self::Udp(source) => Ok(source.next(now)?.map(Arrival::Candidate)),
        }
    }

    /// Goes on with a ring whose keys are in force.
    pub fn change_to(&mut self, ring: NewRing) {
        if let Self::Xdp(source) = self {
            source.change_to(ring);
        }
    }

    /// Asks the gate again later, because its keys could not be put into force.
    pub fn retry(&mut self, now: Now, why: &anyhow::Error) {
        if let Self::Xdp(source) = self {
            source.retry(now, why);
        }
    }

    /// What to wait for: the gate, and candidates.
    pub fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        match self {
            Self::Xdp(source) => source.descriptors(),
            Self::Udp(source) => [None, Some(source.descriptor())],
        }
    }

    /// The socket of the network that there is, with `source = "udp"`.
    pub fn network_socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Xdp(_) => None,
            Self::Udp(source) => Some(source.descriptor()),
        }
    }

    /// Whether candidates can come from it.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Xdp(source) => source.has_ring(),
            Self::Udp(_) => true,
        }
    }

    /// Why it waits for a gate, if it does.
    pub fn waits_because(&self) -> Option<&str> {
        match self {
            Self::Xdp(source) => source.waits_because(),
            Self::Udp(_) => None,
        }
    }

    /// The port of a socket that somebody else has opened.
    pub fn passed_port(&self) -> Option<u16> {
        match self {
            Self::Xdp(_) => None,
            Self::Udp(source) => source.passed_port(),
        }
    }

    /// When to look again even if nothing happens, as a time on the boot clock.
    pub fn next_attempt(&self) -> Option<Duration> {
        match self {
            Self::Xdp(source) => source.next_attempt(),
            Self::Udp(_) => None,
        }
    }
}
