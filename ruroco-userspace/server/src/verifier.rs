//! The verifier's core: bytes and a time in, a verdict out, and no I/O.
//!
//! The same candidate at the same time in the same state always gets the same verdict. The number of keys
//! limits the state: the verifier stores nothing about senders.

mod permit;

use ruroco_daemon::clock::Now;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ruroco_common::{
    address::Address,
    candidate::Candidate,
    command::CommandHash,
    datagram::KeyId,
    plaintext::{Plaintext, WrongVersion},
};
use ruroco_config::{Config, key_policy::KeyPolicy, routable};
use ruroco_daemon::rate::{SharedRate, TokenBucket};
use ruroco_ipc::order::{self, Order};
use ruroco_keys::named_key::NamedKey;
use ruroco_seal::Aead;

pub use self::permit::Permit;
use super::{
    evidence::{Compared, Evidence, Refused},
    floors::Floors,
    refusal::Refusal,
};

/// Everything a verdict depends on besides the candidate, the time and the floors.
pub struct Verifier {
    keys: HashMap<KeyId, KeyState>,
    ips: HashSet<Address>,
    /// Nanoseconds.
    max_clock_skew: u128,
    allow_non_public_addresses: bool,
    /// What all keys together may ask for.
    global_rate: SharedRate,
}

/// What `max_knocks_per_second` counts.
const SECOND: Duration = Duration::from_secs(1);

struct KeyState {
    name: Box<str>,
    aead: Aead,
    policy: KeyPolicy,
    bucket: TokenBucket,
}

/// A candidate whose tag has verified. Only [`Verifier::open`] makes one.
struct Knock {
    source: Address,
    key: KeyId,
    plaintext: Plaintext,
}

impl Verifier {
    /// A verifier for these keys under this configuration.
    pub fn new<'a>(config: &Config, keys: impl IntoIterator<Item = &'a NamedKey>) -> Self {
        let state = |named: &NamedKey| KeyState {
            name: named.name.as_str().into(),
            aead: Aead::new(&named.key),
            policy: config.policy_of(&named.name, CommandHash::of),
            bucket: TokenBucket::new(config.max_knocks_per_second_per_key),
        };
        let keys: HashMap<_, _> =
            keys.into_iter().map(|named| (named.key.id, state(named))).collect();
        let most = config.max_knocks_per_second;
        Self {
            global_rate: SharedRate::new(most, SECOND, keys.len()),
            keys,
            allow_non_public_addresses: config.allow_non_public_addresses,
            ips: config.addresses.iter().copied().collect(),
            max_clock_skew: config.max_clock_skew.as_nanos(),
        }
    }

    /// The same verifier, continuing from the state of its predecessor: no key gets its rate limit reset.
    pub fn succeeding(mut self, predecessor: &Self) -> Self {
        for (key, state) in &mut self.keys {
            if let Some(old) = predecessor.keys.get(key) {
                state.bucket.resume(&old.bucket);
            }
        }
        self.global_rate.resume(&predecessor.global_rate);
        self
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no keys, and can accept nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The name of a key.
    pub fn name(&self, key: KeyId) -> Option<&str> {
        self.keys.get(&key).map(|state| &*state.name)
    }

    /// Judges one candidate.
    ///
    /// # Errors
    /// The first check that failed, in the order of [`Refusal`]. Nothing has changed then.
    pub fn judge(
        &mut self,
        now: Now,
        floors: &Floors,
        candidate: &Candidate,
    ) -> Result<Permit, Refused> {
        let received_at = Duration::from_nanos(candidate.received_at);
        if order::has_expired(received_at, now.boot) {
            return Err(Refusal::Expired.into());
        }
        let Knock { source, key, plaintext } = self.open(candidate)?;
        let refused = |reason, compared| Err(refused(reason, key, compared));

        let policy = &self.keys.get(&key).ok_or(Refusal::UnknownKey)?.policy;
        if policy.has_expired(now.epoch) {
            return refused(Refusal::KeyExpired, Compared::Expiry);
        }
        // A key without a floor cannot be protected from replays, so it is as good as unknown.
        let floor = floors.of(key).ok_or(Refusal::UnknownKey)?;
        let (counter, epoch) = (plaintext.counter, now.epoch);
        if counter <= floor {
            let compared = Compared::WithFloor { counter, floor, now: epoch };
            return refused(Refusal::OldCounter, compared);
        }
        if counter > epoch.saturating_add(self.max_clock_skew) {
            let compared = Compared::WithClock { counter, now: epoch };
            return refused(Refusal::FutureCounter, compared);
        }
        let destination = plaintext.destination;
        if !self.ips.contains(&destination) {
            return refused(Refusal::WrongDestination, Compared::Destination(destination));
        }
        if plaintext.claimed_source.is_none() && policy.requires_address() {
            return refused(Refusal::AddressRequired, Compared::NoAddress);
        }
        let address = match plaintext.claimed_source {
            Some(claimed) if plaintext.strict && claimed != source => {
                let compared = Compared::Source { claimed, actual: source };
                return refused(Refusal::WrongSource, compared);
            }
            Some(claimed) => claimed,
            None => source,
        };
        if let Some(outside) = [source, address].into_iter().find(|one| !policy.admits(*one)) {
            return refused(Refusal::SourceNotAllowed, Compared::Network(outside));
        }
        if let Err(unfit) = routable::check(address.into(), self.allow_non_public_addresses) {
            return refused(unfit.into(), Compared::Address(address));
        }
        let command = plaintext.command;
        if !policy.allows(command) {
            return refused(Refusal::CommandNotAllowed, Compared::Command(command));
        }
        let state = self.keys.get_mut(&key).ok_or(Refusal::UnknownKey)?;
        if !state.bucket.has_token(now.boot) {
            return refused(Refusal::RateLimited, Compared::Rate);
        }
        if !self.global_rate.take(now.boot, key) {
            return refused(Refusal::GlobalRateLimited, Compared::GlobalRate);
        }
        state.bucket.take(now.boot);
        Ok(Permit::new(Order { command, address, key, counter, received_at }))
    }

    fn open(&self, candidate: &Candidate) -> Result<Knock, Refused> {
        let key = candidate.datagram.key_id;
        let state = self.keys.get(&key).ok_or(Refusal::UnknownKey)?;
        let content = state.aead.open(&candidate.datagram).map_err(|_| Refusal::Forged)?;
        match Plaintext::decode(&content) {
            Ok(plaintext) => Ok(Knock { source: candidate.source, key, plaintext }),
            Err(WrongVersion(version)) => {
                Err(refused(Refusal::WrongVersion, key, Compared::Version(version)))
            }
        }
    }
}

const fn refused(reason: Refusal, key: KeyId, compared: Compared) -> Refused {
    Refused { reason, evidence: Some(Evidence { key, compared }) }
}
