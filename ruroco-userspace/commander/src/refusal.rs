//! Why the commander rejects an order, and the name of that reason.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ruroco_common::{command::CommandHash, datagram::KeyId};
use ruroco_config::routable::Unfit;
use ruroco_ipc::order::{self, WrongVersion};

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not the size of an order.
    #[error("the message is not exactly {size} bytes long", size = order::SIZE)]
    WrongLength,
    /// Made by another release.
    #[error(transparent)]
    WrongVersion(#[from] WrongVersion),
    /// It waited longer than [`MAX_WAIT`](order::MAX_WAIT) for this process.
    #[error("the knock is {} seconds old, and its client no longer waits", .0.as_secs())]
    Expired(Duration),
    /// A hash that belongs to no command.
    #[error(
        "no command has the hash {0}. Check commands.toml, and run: systemctl reload ruroco-commander"
    )]
    UnknownCommand(CommandHash),
    /// An id that belongs to no key.
    #[error(
        "no key has the id {0}. Check for its file in `keys_dir`, and run: systemctl reload ruroco-commander"
    )]
    UnknownKey(KeyId),
    /// A key that is no longer accepted.
    #[error("the key {key} has expired; see `expires` in [keys.{key}] in config.toml")]
    KeyExpired {
        /// The key's name.
        key: Arc<str>,
    },
    /// An address outside the key's `sources`.
    #[error("{address} is not in the `sources` of the key {key} in config.toml")]
    SourceNotAllowed {
        /// The address that the command would run for.
        address: IpAddr,
        /// The key's name.
        key: Arc<str>,
    },
    /// A key that is not among the command's `keys`, or whose own `commands` do not name it.
    #[error("the key {key} may not request {command}")]
    KeyNotAllowed {
        /// The command's name.
        command: String,
        /// The key's name.
        key: Arc<str>,
    },
    /// An address that no command is run for.
    #[error(transparent)]
    UnfitAddress(#[from] Unfit),
    /// The key has its share of the [slots](ruroco_ipc::slots). A server that is sound knows that beforehand.
    #[error("the commands of the key {key} use all of its share of the slots")]
    TooManyRunning {
        /// The key's name.
        key: Arc<str>,
    },
    /// The commander has ended while the run waited for the rate limit.
    #[error("the commander stopped before {command} could start for the key {key}; knock again")]
    Stopping {
        /// The command's name.
        command: String,
        /// The key's name.
        key: Arc<str>,
    },
}

/// The kinds of what the commander rejects or cannot do, as the log and the audit trail name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    WrongLength,
    WrongVersion,
    Expired,
    UnknownCommand,
    UnknownKey,
    KeyExpired,
    SourceNotAllowed,
    KeyNotAllowed,
    UnusableAddress,
    NonRoutableAddress,
    TooManyRunning,
    Stopping,
    TooManyConnections,
    NoConnection,
    BrokenConnection,
    NoThread,
}

impl Refusal {
    /// Of which kind it is.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::WrongLength => Reason::WrongLength,
            Self::WrongVersion(_) => Reason::WrongVersion,
            Self::Expired(_) => Reason::Expired,
            Self::UnknownCommand(_) => Reason::UnknownCommand,
            Self::UnknownKey(_) => Reason::UnknownKey,
            Self::KeyExpired { .. } => Reason::KeyExpired,
            Self::SourceNotAllowed { .. } => Reason::SourceNotAllowed,
            Self::KeyNotAllowed { .. } => Reason::KeyNotAllowed,
            Self::UnfitAddress(Unfit::Unusable(_)) => Reason::UnusableAddress,
            Self::UnfitAddress(Unfit::NonRoutable(_)) => Reason::NonRoutableAddress,
            Self::TooManyRunning { .. } => Reason::TooManyRunning,
            Self::Stopping { .. } => Reason::Stopping,
        }
    }
}

impl Reason {
    /// Its one name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WrongLength => "wrong_length",
            Self::WrongVersion => "wrong_version",
            Self::Expired => "expired",
            Self::UnknownCommand => "unknown_command",
            Self::UnknownKey => "unknown_key",
            Self::KeyExpired => "key_expired",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::KeyNotAllowed => "key_not_allowed",
            Self::UnusableAddress => "unusable_address",
            Self::NonRoutableAddress => "non_routable_address",
            Self::TooManyRunning => "too_many_running",
            Self::Stopping => "stopping",
            Self::TooManyConnections => "too_many_connections",
            Self::NoConnection => "no_connection",
            Self::BrokenConnection => "broken_connection",
            Self::NoThread => "no_thread",
        }
    }
}
