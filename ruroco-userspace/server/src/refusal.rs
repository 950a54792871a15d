//! Why a candidate did not become an order. [`Notices`](ruroco_daemon::notices::Notices) prevent the sender
//! from filling the log.

use ruroco_config::routable::Unfit;

/// The reason for a refusal. None of them consumes the packet's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The datagram is not 94 bytes long (only `source = "udp"`; XDP has its own verdict).
    WrongLength,
    /// It waited longer than [`MAX_WAIT`](ruroco_ipc::order::MAX_WAIT) for this process.
    Expired,
    /// No key has this id.
    UnknownKey,
    /// The tag is wrong.
    Forged,
    /// Authentic, but of another version.
    WrongVersion,
    /// The key is no longer accepted: `expires` in `[keys.NAME]`.
    KeyExpired,
    /// The counter is not greater than the key's floor: a copy, or overtaken.
    OldCounter,
    /// The counter is too far ahead of this host's clock.
    FutureCounter,
    /// Made for another host.
    WrongDestination,
    /// It names no address, and `require_address` in `[keys.NAME]` is true.
    AddressRequired,
    /// Strict, and the claimed source is not the real one.
    WrongSource,
    /// Its source, or the address that the command would run for, is in none of the `sources` in `[keys.NAME]`.
    SourceNotAllowed,
    /// [No command runs](ruroco_config::routable::Unfit::Unusable) for the address.
    UnusableAddress,
    /// The address is not of the public Internet, and `allow_non_public_addresses` is false.
    NonRoutableAddress,
    /// The key may not run this command.
    CommandNotAllowed,
    /// The key has knocked too often within a second.
    RateLimited,
    /// The key has had its share of what all keys together may ask for in a second.
    GlobalRateLimited,
    /// The commander is not there, so the order would be lost.
    CommanderAway,
    /// The key has its share of the commander's [slots](ruroco_ipc::slots).
    TooManyRunning,
    /// The new floor could not be written to the disk.
    FloorNotPersisted,
}

/// How many refusals there are.
const COUNT: usize = 20;

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Unusable(_) => Self::UnusableAddress,
            Unfit::NonRoutable(_) => Self::NonRoutableAddress,
        }
    }
}

impl Refusal {
    /// All refusals, in the order of the checks.
    pub const ALL: [Self; COUNT] = [
        Self::WrongLength,
        Self::Expired,
        Self::UnknownKey,
        Self::Forged,
        Self::WrongVersion,
        Self::KeyExpired,
        Self::OldCounter,
        Self::FutureCounter,
        Self::WrongDestination,
        Self::AddressRequired,
        Self::WrongSource,
        Self::SourceNotAllowed,
        Self::UnusableAddress,
        Self::NonRoutableAddress,
        Self::CommandNotAllowed,
        Self::RateLimited,
        Self::GlobalRateLimited,
        Self::CommanderAway,
        Self::TooManyRunning,
        Self::FloorNotPersisted,
    ];

    /// Whether the packet was authentic when it was rejected: a key holder sent it.
    pub const fn is_of_a_key_holder(self) -> bool {
        !matches!(self, Self::WrongLength | Self::Expired | Self::UnknownKey | Self::Forged)
    }

    /// The refusal of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.name() == name)
    }

    /// The one name of this refusal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongLength => "wrong_length",
            Self::Expired => "expired",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::WrongVersion => "wrong_version",
            Self::KeyExpired => "key_expired",
            Self::OldCounter => "old_counter",
            Self::FutureCounter => "future_counter",
            Self::WrongDestination => "wrong_destination",
            Self::AddressRequired => "address_required",
            Self::WrongSource => "wrong_source",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::UnusableAddress => "unusable_address",
            Self::NonRoutableAddress => "non_routable_address",
            Self::CommandNotAllowed => "command_not_allowed",
            Self::RateLimited => "rate_limited",
            Self::GlobalRateLimited => "global_rate_limited",
            Self::CommanderAway => "commander_away",
            Self::TooManyRunning => "too_many_running",
            Self::FloorNotPersisted => "floor_not_persisted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_name() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::of_name(refusal.name()), Some(refusal));
        }
    }
}
