//! Knocks: building one and sending it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ruroco_common::{
    address::Address,
    command::CommandHash,
    datagram::{Datagram, NONCE_SIZE},
    plaintext::Plaintext,
};
use ruroco_invite::destination::{Destination, Family};
use ruroco_keys::key::Key;
use ruroco_seal::Aead;

use super::{
    counter::{self, CounterFile},
    effect::Limit,
    key_store::{self, KeyStore},
    profiles::Host,
    route::Route,
};
use crate::resolve::{ResolveError, resolve};

/// The time between knocks to several addresses of one host, so that they arrive in the order of their
/// counters: a host rejects a counter that is less than the last one.
const DELAY_BETWEEN_ADDRESSES: Duration = Duration::from_millis(50);

/// A knock: its destination, its key and its request.
#[derive(Clone, Debug)]
pub struct Knock {
    destination: Destination,
    family: Family,
    all_addresses: bool,
    key: Key,
    request: Request,
}

/// What a knock requests from the host.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the command.
    pub command: String,
    /// Whether the claimed source must be the address that the knock comes from.
    pub strict: bool,
    /// The address to run the command for, if it is not the address that the knock comes from.
    pub claimed_source: Option<IpAddr>,
}

/// A knock that was sent to at least one address.
#[derive(Debug)]
pub struct Sent {
    /// The first address to which it was sent.
    pub to: SocketAddr,
    /// The other addresses, if it goes to all addresses of the host.
    pub also_to: Vec<SocketAddr>,
    /// The addresses to which it could not be sent.
    pub not_to: Vec<Unsent>,
    /// How far its counter is ahead of this computer's clock.
    pub ahead_of_clock: Duration,
    routes: Vec<Route>,
}

/// The routes to a host's addresses, at least one.
#[derive(Debug)]
pub struct Routes {
    /// The first route to use.
    pub first: Route,
    /// The other routes: for a knock to all addresses, or in case that sending fails on the first route.
    pub others: Vec<Route>,
    /// The addresses to which there is no route.
    pub not_to: Vec<Unsent>,
}

/// An address to which a datagram could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("{to}: {error}")]
pub struct Unsent {
    /// The address.
    pub to: SocketAddr,
    /// The reason.
    pub error: WhyUnsent,
}

/// Why a datagram was not sent to one address.
#[derive(Debug, thiserror::Error)]
pub enum WhyUnsent {
    /// The network reported an error.
    #[error(transparent)]
    Network(#[from] io::Error),
    /// No counter is available, although one was for an earlier address.
    #[error(transparent)]
    Counter(#[from] counter::Error),
    /// The datagram cannot be sealed, although one was for an earlier address.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A knock was not sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host's address is unknown.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No counter is available.
    #[error(transparent)]
    Counter(#[from] counter::Error),
    /// The datagram cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The user stopped the attempt.
    #[error("stopped before the knock was sent")]
    GivenUp,
    /// The network reported an error for every address.
    #[error("cannot send to {}. Check the network and the address", list(.0))]
    Unsent(Vec<Unsent>),
}

fn list(unsent: &[Unsent]) -> String {
    unsent.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and to ")
}

/// Random numbers or encryption failed. Neither should ever happen.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum SealError {
    /// The operating system provides no random numbers.
    #[error("cannot get random numbers for the nonce: {0}")]
    Random(getrandom::Error),
    /// The cipher reported an error.
    #[error("cannot encrypt the datagram")]
    Cipher,
}

impl Knock {
    /// The knock that requests this command from this host.
    ///
    /// # Errors
    /// If the host's key cannot be read.
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

    /// What it requests.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The key that seals it.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether it goes to every address of the host instead of one.
    pub fn goes_to_all_addresses(&self) -> bool {
        self.all_addresses
    }

    /// The host's addresses, at least one.
    ///
    /// # Errors
    /// If no address was found within the limit.
    pub fn addresses(&self, limit: Duration) -> Result<Vec<SocketAddr>, ResolveError> {
        resolve(&self.destination, self.family, limit)
    }

    /// The routes to these addresses.
    ///
    /// # Errors
    /// [`Error::Unsent`] if there is no route to any of them.
    pub fn routes(&self, addresses: &[SocketAddr]) -> Result<Routes, Error> {
        let mut routes = Vec::new();
        let mut not_to = Vec::new();
        for to in addresses.iter().copied() {
            match Route::find(to) {
                Ok(route) => routes.push(route),
                Err(error) => not_to.push(Unsent { to, error: error.into() }),
            }
        }
        let mut routes = routes.into_iter();
        match routes.next() {
            Some(first) => Ok(Routes { first, others: routes.collect(), not_to }),
            None => Err(Error::Unsent(not_to)),
        }
    }

    /// Sends the knock by the first route that works: a name with an IPv4 and an IPv6 address is one
    /// host, and each packet runs the command once. If the knock goes to all addresses, sends it by
    /// every route, each time with a new counter. Calls `give_up` before each packet, because waiting
    /// for the counter can take time.
    ///
    /// # Errors
    /// If it was sent to no address. Later failures are in [`Sent::not_to`].
    pub fn send(
        &self,
        routes: Routes,
        counter: &CounterFile,
        limit: Limit,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Sent, Error> {
        let mut used: Vec<Route> = Vec::new();
        let mut unsent = routes.not_to;
        let mut ahead_of_clock = Duration::ZERO;
        for route in std::iter::once(routes.first).chain(routes.others) {
            if !used.is_empty() {
                thread::sleep(DELAY_BETWEEN_ADDRESSES);
            }
            let (datagram, ahead) = match self.datagram(route.to().ip(), counter, limit) {
                Ok(made) => made,
                Err(WhyUnsent::Counter(error)) if used.is_empty() => return Err(error.into()),
                Err(WhyUnsent::Seal(error)) if used.is_empty() => return Err(error.into()),
                Err(error) => {
                    unsent.push(Unsent { to: route.to(), error });
                    continue;
                }
            };
            ahead_of_clock = ahead;
            if give_up() {
                break;
            }
            match route.send(&datagram) {
                Ok(()) => used.push(route),
                // Another address may still work.
                Err(error) => unsent.push(Unsent { to: route.to(), error: error.into() }),
            }
            if !used.is_empty() && !self.all_addresses {
                // It was sent, so earlier failures no longer matter.
                unsent.clear();
                break;
            }
        }
        match used.split_first() {
            Some((first, others)) => Ok(Sent {
                to: first.to(),
                also_to: others.iter().map(Route::to).collect(),
                not_to: unsent,
                ahead_of_clock,
                routes: used,
            }),
            None if give_up() => Err(Error::GivenUp),
            None => Err(Error::Unsent(unsent)),
        }
    }

    /// The datagram for this address, and how far its counter is ahead of the clock.
    fn datagram(
        &self,
        to: IpAddr,
        counter: &CounterFile,
        limit: Limit,
    ) -> Result<(Datagram, Duration), WhyUnsent> {
        let now = SystemTime::now();
        let counter = counter.next(now, limit.left())?;
        Ok((seal(&self.key, &self.request, counter, to)?, ahead(counter, now)))
    }
}

impl Routes {
    /// The same routes, rotated so that the n-th comes first, counted from 0.
    #[must_use]
    pub fn beginning_with(mut self, n: usize) -> Self {
        let count = self.others.len().saturating_add(1);
        for _ in 0..n.checked_rem(count).unwrap_or_default() {
            if let Some(next) = self.others.first_mut() {
                std::mem::swap(&mut self.first, next);
                self.others.rotate_left(1);
            }
        }
        self
    }
}

/// How far a counter is ahead of the clock.
pub fn ahead(counter: u128, now: SystemTime) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let ahead = counter.saturating_sub(now);
    u64::try_from(ahead).map_or(Duration::MAX, Duration::from_nanos)
}

impl Sent {
    /// A knock that was sent to this address only, without a route that could report an ICMP error.
    pub fn to(to: SocketAddr) -> Self {
        Self {
            to,
            also_to: Vec::new(),
            not_to: Vec::new(),
            ahead_of_clock: Duration::ZERO,
            routes: Vec::new(),
        }
    }

    /// All addresses to which it was sent.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.to).chain(self.also_to.iter().copied())
    }

    /// The ICMP error that the network returned for it, if any. Each error is returned once.
    pub fn icmp_error(&self) -> Option<io::Error> {
        self.routes.iter().find_map(Route::icmp_error)
    }
}

/// Seals the datagram of a request for the host at `destination`.
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
    getrandom::fill(&mut nonce).map_err(SealError::Random)?;
    let plaintext = Plaintext {
        command: CommandHash::of(&request.command),
        counter,
        strict: request.strict,
        claimed_source: request.claimed_source.map(Address::from),
        destination: destination.into(),
    };
    Aead::new(key).seal(nonce, plaintext.encode()).map_err(|_| SealError::Cipher)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ruroco_seal::generate_key;
    use std::{fs, net::UdpSocket};

    /// A knock at this address, with some key.
    pub(crate) fn knock_at(to: SocketAddr) -> Knock {
        Knock {
            destination: to.to_string().parse().unwrap(),
            family: Family::Any,
            all_addresses: false,
            key: generate_key().unwrap(),
            request: Request { command: "open".to_owned(), strict: true, claimed_source: None },
        }
    }

    #[test]
    fn a_failure_after_the_first_address_is_reported_for_the_other_addresses() {
        let dir = tempfile::tempdir().unwrap();
        let counter = CounterFile::in_directory(dir.path()).unwrap();
        // One more counter is available, so the second address gets none.
        fs::write(dir.path().join("counter"), (u128::MAX - 1).to_be_bytes()).unwrap();
        let hosts = ["127.0.0.1:0", "127.0.0.2:0"].map(|at| UdpSocket::bind(at).unwrap());
        let [one, other] = hosts.each_ref().map(|host| host.local_addr().unwrap());
        let knock = Knock { all_addresses: true, ..knock_at(one) };
        let routes = knock.routes(&[one, other]).unwrap();
        let limit = Limit::from_now(Duration::from_secs(10));
        let sent = knock.send(routes, &counter, limit, &|| false).unwrap();
        assert_eq!(sent.all().collect::<Vec<_>>(), [one]);
        let [unsent] = &*sent.not_to else { panic!("{sent:?}") };
        assert!(unsent.to == other && matches!(unsent.error, WhyUnsent::Counter(_)), "{unsent}");
    }
}
