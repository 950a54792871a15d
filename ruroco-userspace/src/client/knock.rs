//! Making a knock and putting it on the wire.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, SystemTime},
};

use ruroco_common::{
    address::Address,
    command::CommandHash,
    datagram::{Datagram, NONCE_SIZE},
    plaintext::Plaintext,
};
use zerocopy::IntoBytes;

use super::{
    counter::{self, CounterFile},
    key_store::{self, KeyStore},
    profiles::Host,
};
use crate::{
    aead::Aead,
    destination::{Destination, Family, ResolveError},
    key::Key,
};

/// Between knocks to several addresses of one host, so that they arrive in the order of their
/// counters; an older one that arrives later would be refused.
const DELAY_BETWEEN_ADDRESSES: Duration = Duration::from_millis(50);

/// A knock that can be made: where to, with which key, what for.
#[derive(Clone, Debug)]
pub struct Knock {
    destination: Destination,
    family: Family,
    all_addresses: bool,
    key: Key,
    request: Request,
}

/// What to ask of a server.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the command.
    pub command: String,
    /// Whether a claimed source has to be the real one.
    pub strict: bool,
    /// The address to act for, if it is not the one the packet comes from.
    pub claimed_source: Option<IpAddr>,
}

/// A knock that is on its way: to which addresses, at least one, and to which not.
#[derive(Debug)]
pub struct Sent {
    /// The first address it went to.
    pub to: SocketAddr,
    /// The others, where there are several to knock at.
    pub also_to: Vec<SocketAddr>,
    /// Those it could not be sent to.
    pub not_to: Vec<Unsent>,
}

/// An address that a datagram could not be sent to.
#[derive(Debug, thiserror::Error)]
#[error("{to}: {error}")]
pub struct Unsent {
    /// The address.
    pub to: SocketAddr,
    /// What the network said.
    pub error: io::Error,
}

/// A knock that is not on its way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody knows where to.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// There is no counter for it.
    #[error(transparent)]
    Counter(#[from] counter::Error),
    /// It could not be made.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The network took it for none of the addresses.
    #[error("could not send to {}; check the network and the address", list(.0))]
    Unsent(Vec<Unsent>),
}

fn list(unsent: &[Unsent]) -> String {
    unsent.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and to ")
}

/// Random numbers or encryption failed; neither is known to happen.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum SealError {
    /// The operating system has no random numbers.
    #[error("could not get random numbers for the nonce: {0}")]
    Random(#[from] getrandom::Error),
    /// The cipher refused.
    #[error("could not encrypt the datagram")]
    Cipher,
}

impl Knock {
    /// The knock that asks this host for this command.
    ///
    /// # Errors
    /// If the host's key is not to be had.
    pub fn at(host: &Host, command: &str, keys: &KeyStore) -> Result<Self, key_store::Error> {
        Ok(Self {
            destination: host.address.clone(),
            family: host.family,
            all_addresses: host.all_addresses,
            key: keys.read(&host.key)?,
            request: Request {
                command: command.to_owned(),
                strict: !host.permissive,
                claimed_source: host.ip,
            },
        })
    }

    /// What it asks for.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The key it is made with.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The addresses it goes to, at least one: a name with an IPv4 and an IPv6 address is one host, and
    /// one packet is one run of the command, unless all addresses were asked for.
    ///
    /// # Errors
    /// If there is no such address.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, ResolveError> {
        let mut addresses = self.destination.resolve(self.family)?;
        if !self.all_addresses {
            addresses.truncate(1);
        }
        Ok(addresses)
    }

    /// Sends it to these addresses, each time with a counter of its own.
    ///
    /// # Errors
    /// If it could not be sent to any.
    pub fn send(&self, addresses: &[SocketAddr], counter: &CounterFile) -> Result<Sent, Error> {
        let mut sent = Vec::new();
        let mut unsent = Vec::new();
        for (place, to) in addresses.iter().copied().enumerate() {
            if place > 0 {
                thread::sleep(DELAY_BETWEEN_ADDRESSES);
            }
            let counter = counter.next(SystemTime::now())?;
            let datagram = seal(&self.key, &self.request, counter, to.ip())?;
            match send(&datagram, to) {
                Ok(()) => sent.push(to),
                // The network's trouble with one address says nothing about the others.
                Err(error) => unsent.push(Unsent { to, error }),
            }
        }
        match sent.split_first() {
            Some((first, others)) => {
                Ok(Sent { to: *first, also_to: others.to_vec(), not_to: unsent })
            }
            None => Err(Error::Unsent(unsent)),
        }
    }
}

impl Sent {
    /// All addresses it went to.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.to).chain(self.also_to.iter().copied())
    }
}

/// Makes the datagram that asks for this at `destination`.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    key: &Key,
    request: &Request,
    counter: u128,
    destination: IpAddr,
) -> Result<Datagram, SealError> {
    let mut nonce = [0; NONCE_SIZE];
    getrandom::fill(&mut nonce)?;
    let plaintext = Plaintext {
        command: CommandHash::of(&request.command),
        counter,
        strict: request.strict,
        claimed_source: request.claimed_source.map(Address::from),
        destination: destination.into(),
    };
    Aead::new(key).seal(nonce, plaintext.encode()).map_err(|_| SealError::Cipher)
}

/// Sends it. That this succeeds means only that the kernel took it: servers do not answer.
///
/// # Errors
/// Those of the socket: no route, no such family.
pub fn send(datagram: &Datagram, to: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0))?.send_to(datagram.as_bytes(), to).map(|_| ())
}
