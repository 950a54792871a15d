//! Making a knock and putting it on the wire.

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
    /// How far its counter was ahead of this computer's clock, because the clock was set back.
    pub ahead_of_clock: Duration,
    routes: Vec<Route>,
}

/// The ways there are to a host's addresses, at least one. Nothing has been sent.
#[derive(Debug)]
pub struct Routes {
    /// The way that the knock will go first.
    pub first: Route,
    /// The others: for as many more knocks if all addresses are to be knocked at, or else in case
    /// that it does not get away on the first.
    pub others: Vec<Route>,
    /// The addresses that there is no way to.
    pub not_to: Vec<Unsent>,
}

/// An address that a datagram could not be sent to.
#[derive(Debug, thiserror::Error)]
#[error("{to}: {error}")]
pub struct Unsent {
    /// The address.
    pub to: SocketAddr,
    /// Why.
    pub error: WhyUnsent,
}

/// Why a datagram is not on its way to one address.
#[derive(Debug, thiserror::Error)]
pub enum WhyUnsent {
    /// The network did not take it.
    #[error(transparent)]
    Network(#[from] io::Error),
    /// There is no counter for it, though there was one for an address before.
    #[error(transparent)]
    Counter(#[from] counter::Error),
    /// It could not be made, though one for an address before could.
    #[error(transparent)]
    Seal(#[from] SealError),
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
    /// The person did not want it any more.
    #[error("given up before it was sent")]
    GivenUp,
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
    Random(getrandom::Error),
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

    /// Whether it goes to every address of the host, and not to one of them.
    pub fn goes_to_all_addresses(&self) -> bool {
        self.all_addresses
    }

    /// The host's addresses, at least one.
    ///
    /// # Errors
    /// If there is none, or none was found in this time.
    pub fn addresses(&self, limit: Duration) -> Result<Vec<SocketAddr>, ResolveError> {
        resolve(&self.destination, self.family, limit)
    }

    /// The ways to these addresses.
    ///
    /// # Errors
    /// [`Error::Unsent`] if there is no way to any.
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

    /// Sends it by the first of these routes on which it gets away: a name with an IPv4 and an IPv6
    /// address is one host, and one packet is one run of the command. By all of them, if all addresses
    /// were asked for, each time with a counter of its own. `give_up` is asked before each: all that
    /// comes before can take its time, but no more than is left of the limit.
    ///
    /// # Errors
    /// If it could not be sent to any. As soon as it is on its way to one, all that fails is in
    /// [`Sent::not_to`].
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
                // The network's trouble with one address says nothing about the others.
                Err(error) => unsent.push(Unsent { to: route.to(), error: error.into() }),
            }
            if !used.is_empty() && !self.all_addresses {
                // It is on its way, so it does not matter where it could not go.
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
    /// The same, beginning with the n-th, counted from 0 and round and round.
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
    /// A knock that was sent to this address alone, by no route that can still report an objection.
    pub fn to(to: SocketAddr) -> Self {
        Self {
            to,
            also_to: Vec::new(),
            not_to: Vec::new(),
            ahead_of_clock: Duration::ZERO,
            routes: Vec::new(),
        }
    }

    /// All addresses it went to.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.to).chain(self.also_to.iter().copied())
    }

    /// The ICMP error that has come back for it, if there is one; tells it once.
    pub fn objection(&self) -> Option<io::Error> {
        self.routes.iter().find_map(Route::objection)
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
    fn what_fails_after_the_first_address_is_told_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let counter = CounterFile::in_directory(dir.path()).unwrap();
        // There is a number for one address, and none for another.
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
