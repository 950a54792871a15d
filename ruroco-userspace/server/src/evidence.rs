//! The values that were compared when a knock was rejected, for the log.
//!
//! There is no evidence about packets that are not authentic: a stranger's packets put no values into the
//! log. Evidence is small and copied, and becomes text only when the log writes a line, so that no packet
//! allocates memory.

use std::fmt;

use ruroco_common::{address::Address, command::CommandHash, datagram::KeyId, plaintext::VERSION};
use ruroco_config::Config;
use ruroco_ipc::slots::SLOTS;

use super::refusal::Refusal;

/// A refusal, and what led to it if the packet was authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Refusal,
    /// What was compared.
    pub evidence: Option<Evidence>,
}

/// What an authentic packet was refused by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The key that it was made with.
    pub key: KeyId,
    /// What was compared.
    pub compared: Compared,
}

/// The values of an authentic packet that did not fit, and those that they were compared with. What is in
/// the configuration is not repeated here. Times and counters are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The version of its content.
    Version(u8),
    /// Its counter with the key's floor.
    WithFloor {
        /// The packet's.
        counter: u128,
        /// The key's.
        floor: u128,
        /// This host's clock.
        now: u128,
    },
    /// Its counter with the clock.
    WithClock {
        /// The packet's.
        counter: u128,
        /// This host's clock.
        now: u128,
    },
    /// The address that it was made for, with `addresses`.
    Destination(Address),
    /// The address that it names as its source.
    Source {
        /// The one it names.
        claimed: Address,
        /// The one it came from.
        actual: Address,
    },
    /// The time, with the key's `expires`.
    Expiry,
    /// That it names no address, with the key's `require_address`.
    NoAddress,
    /// An address outside the key's `sources`.
    Network(Address),
    /// The address that the command would run for.
    Address(Address),
    /// The command, with those of the key.
    Command(CommandHash),
    /// How many there were, with `max_knocks_per_second_per_key`.
    Rate,
    /// How many there were, with the key's share of `max_knocks_per_second`.
    GlobalRate,
    /// How many commands of the key are running, with its share of the slots.
    Slots,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self { reason, evidence: None }
    }
}

/// The last evidence for each refusal.
#[derive(Debug, Default)]
pub(super) struct LastEvidence([Option<Evidence>; Refusal::ALL.len()]);

impl LastEvidence {
    /// Keeps it, in the place of what was there for the same refusal.
    pub(super) fn keep(&mut self, refused: Refused) {
        if let Some(kept) = self.of(refused.reason) {
            *kept = refused.evidence;
        }
    }

    /// Gives away what there is for a refusal.
    pub(super) fn take(&mut self, reason: Refusal) -> Option<Evidence> {
        self.of(reason)?.take()
    }

    fn of(&mut self, reason: Refusal) -> Option<&mut Option<Evidence>> {
        let mut all = Refusal::ALL.iter().zip(&mut self.0);
        all.find(|(refusal, _)| **refusal == reason).map(|(_, kept)| kept)
    }
}

/// Evidence in words.
pub(super) struct Explained<'a> {
    pub(super) compared: Compared,
    /// The name of the key.
    pub(super) key: &'a str,
    /// What it was compared with.
    pub(super) config: &'a Config,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.config;
        match self.compared {
            Compared::Version(version) => {
                write!(f, "the knock has version {version}, and this server accepts {VERSION}")
            }
            Compared::WithFloor { counter, floor, now } => {
                match floor.checked_sub(counter) {
                    Some(0) | None => f.write_str("its counter is the key's floor")?,
                    Some(below) => {
                        write!(f, "its counter is {} below the key's floor", Time(below))?
                    }
                }
                match now.checked_sub(counter) {
                    Some(behind) => write!(f, ", and {} behind this host's clock", Time(behind)),
                    None => {
                        let ahead = Time(counter.saturating_sub(now));
                        write!(f, ", and {ahead} ahead of this host's clock")
                    }
                }
            }
            Compared::WithClock { counter, now } => write!(
                f,
                "its counter is {} ahead of this host's clock, and max_clock_skew_seconds is {}",
                Time(counter.saturating_sub(now)),
                config.max_clock_skew.as_secs()
            ),
            Compared::Destination(address) => {
                write!(f, "its destination is {address}; `addresses`: ")?;
                list(f, &config.addresses)
            }
            Compared::Source { claimed, actual } => {
                write!(f, "its source is {claimed}, but it came from {actual}")
            }
            Compared::Command(command) => {
                write!(f, "the command {command}")?;
                let names =
                    || config.rules().filter_map(|(_, rules)| rules.commands.as_ref()).flatten();
                if let Some(name) = names().find(|name| CommandHash::of(name) == command) {
                    write!(f, " ({name})")?;
                }
                f.write_str("; commands of this key: ")?;
                let rules = config.rules_of(self.key);
                list(f, rules.and_then(|rules| rules.commands.as_deref()).unwrap_or_default())
            }
            Compared::Expiry => {
                f.write_str("the key expired")?;
                match config.rules_of(self.key).and_then(|rules| rules.expires) {
                    Some(expires) => write!(f, ": expires = {expires}"),
                    None => Ok(()),
                }
            }
            Compared::NoAddress => {
                f.write_str("it names no source, and the key has require_address = true")
            }
            Compared::Network(address) => {
                write!(f, "{address} is not in the key's sources: ")?;
                let rules = config.rules_of(self.key);
                list(f, rules.and_then(|rules| rules.sources.as_deref()).unwrap_or_default())
            }
            Compared::Address(address) => {
                write!(f, "the command would run for {address}")
            }
            Compared::GlobalRate => write!(
                f,
                "the key has used its share of max_knocks_per_second = {}",
                config.max_knocks_per_second
            ),
            Compared::Slots => {
                write!(
                    f,
                    "the key's commands use all of its share of the commander's {SLOTS} slots"
                )
            }
            Compared::Rate => write!(
                f,
                "the key knocks more often than max_knocks_per_second_per_key = {}",
                config.max_knocks_per_second_per_key
            ),
        }
    }
}

/// Most values in a list.
const LISTED: usize = 5;

fn list(f: &mut fmt::Formatter<'_>, values: &[impl fmt::Display]) -> fmt::Result {
    for (number, value) in values.iter().take(LISTED).enumerate() {
        write!(f, "{}{value}", if number > 0 { ", " } else { "" })?;
    }
    match values.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// Nanoseconds as seconds; where there are few of them, with milliseconds.
struct Time(u128);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0 / 1_000_000;
        match milliseconds / 1000 {
            few @ 0..10 => write!(f, "{few}.{:03} s", milliseconds % 1000),
            many => write!(f, "{many} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SECOND: u128 = 1_000_000_000;
    const NOW: u128 = 1_725_821_510 * SECOND;

    fn config() -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let ips = ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];
        let text = format!(
            "addresses = {ips:?}\ngate.interfaces = [\"eth0\"]\n\
             [keys.laptop]\ncommands = [\"default\"]\n[keys.phone]\ncommands = [\"open_ssh\"]\n"
        );
        fs::write(&path, text).unwrap();
        Config::read(&path).or_problems().unwrap()
    }

    #[test]
    fn each_says_what_was_compared() {
        let floor = |counter: u128, floor: u128| Compared::WithFloor { counter, floor, now: NOW };
        let address = |last: u8| Address::from_ipv4([203, 0, 113, last]);
        for (compared, expected) in [
            (Compared::Version(2), "the knock has version 2, and this server accepts 1"),
            (
                floor(NOW - 61 * SECOND, NOW - SECOND / 2),
                "its counter is 60 s below the key's floor, and 61 s behind this host's clock",
            ),
            (
                floor(NOW + 5 * SECOND, NOW + 5 * SECOND + 2_000_000),
                "its counter is 0.002 s below the key's floor, and 5.000 s ahead of this host's clock",
            ),
            (
                floor(NOW, NOW),
                "its counter is the key's floor, and 0.000 s behind this host's clock",
            ),
            (
                Compared::WithClock { counter: NOW + 7200 * SECOND, now: NOW },
                "its counter is 7200 s ahead of this host's clock, and max_clock_skew_seconds is 3600",
            ),
            (
                Compared::Destination(address(9)),
                "its destination is 203.0.113.9; `addresses`: 192.0.2.1, 2001:db8::1, 192.0.2.2, 192.0.2.3, \
                 192.0.2.4 and 1 more",
            ),
            (
                Compared::Source { claimed: address(9), actual: address(8) },
                "its source is 203.0.113.9, but it came from 203.0.113.8",
            ),
            (
                Compared::Command(CommandHash::of("open_ssh")),
                "the command HASH (open_ssh); commands of this key: default",
            ),
            (
                Compared::Command(CommandHash::of("reboot")),
                "the command HASH; commands of this key: default",
            ),
            (Compared::Rate, "the key knocks more often than max_knocks_per_second_per_key = 2"),
        ] {
            let config = config();
            let text = Explained { compared, key: "laptop", config: &config }.to_string();
            let hash = if let Compared::Command(hash) = compared {
                hash.to_string()
            } else {
                String::new()
            };
            assert_eq!(text, expected.replace("HASH", &hash));
        }
    }

    #[test]
    fn the_last_of_each_refusal_is_kept_until_it_is_told() {
        let mut kept = LastEvidence::default();
        let refused = |reason, last: u8| Refused {
            reason,
            evidence: Some(Evidence { key: KeyId([last; 8]), compared: Compared::Rate }),
        };
        kept.keep(refused(Refusal::RateLimited, 1));
        kept.keep(refused(Refusal::RateLimited, 2));
        kept.keep(refused(Refusal::OldCounter, 3));
        kept.keep(Refusal::Forged.into());
        assert_eq!(
            kept.take(Refusal::RateLimited).map(|evidence| evidence.key),
            Some(KeyId([2; 8]))
        );
        assert_eq!(kept.take(Refusal::RateLimited), None);
        assert_eq!(kept.take(Refusal::Forged), None);
        assert_eq!(
            kept.take(Refusal::OldCounter).map(|evidence| evidence.key),
            Some(KeyId([3; 8]))
        );
    }
}
