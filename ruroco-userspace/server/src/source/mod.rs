//! Where candidates come from: the ring that the gate hands over, or an ordinary socket. With the ring
//! come the keys.

mod ring;
mod udp;
mod xdp;

use std::{os::fd::BorrowedFd, time::Duration};

use ruroco_config as config;
use ruroco_config::Config;

use self::{udp::UdpSource, xdp::XdpSource};
use super::{clock::Now, serve::Server};

/// Candidates taken in one go, so that a flood does not keep the loop from seeing a signal.
const BATCH: usize = 256;

/// A source of candidates.
pub enum Source {
    /// The gate's ring.
    Xdp(XdpSource),
    /// A UDP socket.
    Udp(UdpSource),
}

impl Source {
    /// The source that the configuration names.
    ///
    /// # Errors
    /// If a socket is to be bound and cannot, or one was passed that cannot be meant. A gate that is away is
    /// not an error: it may come.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        match config.source {
            config::Source::Xdp => Ok(Self::Xdp(XdpSource::new(&config.socket_dir))),
            config::Source::Udp => UdpSource::open(config).map(Self::Udp),
        }
    }

    /// What to wait for.
    pub fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        match self {
            Self::Xdp(source) => source.descriptors(),
            Self::Udp(source) => [Some(source.descriptor()), None],
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

    /// Passes a batch of what has come to the server, and new keys before that. Of what is left then, the descriptors tell: both
    /// a socket and a ring can be read for as long as there is something in them (for the ring:
    /// `ringbuf_map_poll_kern`, kernel/bpf/ringbuf.c), whether or not anything more comes.
    ///
    /// # Errors
    /// Those after which the source is of no more use.
    pub fn drain(&mut self, now: Now, server: &mut Server) -> anyhow::Result<()> {
        match self {
            Self::Xdp(source) => source.drain(now, server),
            Self::Udp(source) => source.drain(now, |candidate| server.take(now, candidate)),
        }
    }
}
