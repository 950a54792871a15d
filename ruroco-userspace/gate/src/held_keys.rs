//! The gate's keys: which of them the program accepts, and when the next key expires.
//!
//! The gate does not load expired keys. When a key expires while the gate runs, the gate removes it from the
//! program, which then treats its packets as those of an unknown key.

use std::time::{Duration, Instant};

use ruroco_common::datagram::KeyId;
use ruroco_config::{Config, expiry::Expiry};
use ruroco_keys::named_key::NamedKey;

use super::{program::Program, status::KeyStatus};

/// How long the gate relies on its last reading of the clock, because the clock may be set.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// All keys of the host, without their secrets.
pub(super) struct HeldKeys(Vec<HeldKey>);

struct HeldKey {
    name: String,
    id: KeyId,
    expires: Option<Expiry>,
    /// Whether the program does not have the key, because it has expired.
    has_expired: bool,
}

impl HeldKeys {
    /// Loads the program for a configuration, with those of the keys that have not expired. The secrets are wiped.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub(super) fn load(
        config: &Config,
        mut keys: Vec<NamedKey>,
    ) -> anyhow::Result<(Program, Self)> {
        let held = Self::of(config, &keys);
        let mut are_expired = held.0.iter().map(|key| key.has_expired);
        keys.retain(|_| are_expired.next() != Some(true));
        let program = Program::load_configured(config, &keys)?;
        Ok((program, held))
    }

    /// The keys of a host, without a program.
    pub(super) fn of(config: &Config, keys: &[NamedKey]) -> Self {
        let held = |named: &NamedKey| {
            let expires = config.rules_of(&named.name).and_then(|rules| rules.expires);
            let has_expired = expires.is_some_and(|expires| expires.is_past_now());
            HeldKey { name: named.name.clone(), id: named.key.id, expires, has_expired }
        };
        let held = Self(keys.iter().map(held).collect());
        for key in held.0.iter().filter(|key| key.has_expired) {
            key.report();
        }
        held
    }

    /// How many keys the program accepts.
    pub(super) fn in_force(&self) -> usize {
        self.0.iter().filter(|key| !key.has_expired).count()
    }

    /// Whether the host has no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of the keys that the program accepts.
    pub(super) fn ids_in_force(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().filter(|key| !key.has_expired).map(|key| key.id)
    }

    /// Whether the host has a key, in force or not.
    pub(super) fn has(&self, id: KeyId) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// The name of a key; if the host no longer has the key, its id.
    pub(super) fn name(&self, id: KeyId) -> String {
        let key = self.0.iter().find(|key| key.id == id);
        key.map_or_else(|| id.to_string(), |key| key.name.clone())
    }

    /// What may be told of each key.
    pub(super) fn statuses(&self) -> Vec<KeyStatus> {
        let status = |key: &HeldKey| KeyStatus {
            name: key.name.clone(),
            id: key.id.to_string(),
            expires: key.expires.map(|expires| expires.to_string()),
            expired: key.has_expired,
        };
        self.0.iter().map(status).collect()
    }

    /// When to look whether a key has expired.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let left = self.0.iter().filter(|key| !key.has_expired);
        let left = left.filter_map(|key| Some(key.expires?.remaining())).min()?;
        // A key that could not be removed is tried again after a second.
        now.checked_add(left.clamp(Duration::from_secs(1), CLOCK_CHECK_INTERVAL))
    }

    /// Removes the keys that have expired from the program, if there is one.
    ///
    /// # Errors
    /// If the kernel does not do it. The other keys were tried.
    pub(super) fn expire(&mut self, mut program: Option<&mut Program>) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for key in self.0.iter_mut().filter(|key| !key.has_expired) {
            if key.expires.is_some_and(|expires| expires.is_past_now()) {
                match program.as_mut().map_or(Ok(()), |program| program.remove_key(key.id)) {
                    Ok(()) => {
                        key.has_expired = true;
                        key.report();
                    }
                    Err(error) => outcome = Err(error),
                }
            }
        }
        outcome
    }
}

impl HeldKey {
    fn report(&self) {
        if let Some(expires) = self.expires {
            tracing::warn!(key = %self.name, %expires, "the key has expired");
        }
    }
}
