//! The step from bytes that nobody vouches for to a run that may be started.
//!
//! It is a function of its arguments and its own counters, without I/O and without a clock. Only
//! [`Judge::judge`] makes a [`Permitted`], and nothing but a `Permitted` can be run.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ruroco_common::{command::CommandHash, datagram::KeyId};

use super::{
    commands::{Command, Commands},
    keys::Keys,
    routable::is_routable,
};
use crate::{
    order::{self, Order, WrongVersion},
    rate::TokenBucket,
};

/// Most runs at the same time. Each has a thread and up to 64 KiB of pipe; a host on which this
/// many commands do not come to an end needs a person, not one more command.
pub const MAX_RUNNING: usize = 64;

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not the size of an order.
    #[error("a message that is not exactly {size} bytes long", size = order::SIZE)]
    WrongLength,
    /// Made by another release.
    #[error(transparent)]
    WrongVersion(#[from] WrongVersion),
    /// It waited longer than [`MAX_WAIT`](order::MAX_WAIT) for this process.
    #[error("a knock from {} seconds ago: whoever knocked has given up", .0.as_secs())]
    Expired(Duration),
    /// A hash that belongs to no command.
    #[error(
        "no command has the hash {0}: is it in commands.toml, and was the commander reloaded since?"
    )]
    UnknownCommand(CommandHash),
    /// An id that belongs to no key.
    #[error(
        "no key has the id {0}: is its file in config_dir, and was the commander reloaded since?"
    )]
    UnknownKey(KeyId),
    /// A key that is not among the command's `keys`.
    #[error("the key {key} may not call {command}")]
    KeyNotAllowed {
        /// The command's name.
        command: String,
        /// The key's name.
        key: Arc<str>,
    },
    /// An address that no knock can come from, and that means "everybody" to many a tool.
    #[error("{0} is no address to run a command for")]
    UnusableAddress(IpAddr),
    /// An address that is not of the public Internet, where `allow_non_routable_ips` is false.
    #[error("{0} is not of the public Internet, and allow_non_routable_ips is false")]
    NonRoutableAddress(IpAddr),
    /// [`MAX_RUNNING`] runs have not ended yet.
    #[error("{MAX_RUNNING} commands are running already")]
    TooManyRunning,
    /// More than `max_requests_per_second_global`.
    #[error("more orders in a second than max_requests_per_second_global")]
    RateLimited,
}

impl Refusal {
    /// The name in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::WrongLength => "wrong_length",
            Self::WrongVersion(_) => "wrong_version",
            Self::Expired(_) => "expired",
            Self::UnknownCommand(_) => "unknown_command",
            Self::UnknownKey(_) => "unknown_key",
            Self::KeyNotAllowed { .. } => "key_not_allowed",
            Self::UnusableAddress(_) => "unusable_address",
            Self::NonRoutableAddress(_) => "non_routable_address",
            Self::TooManyRunning => "too_many_running",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// A run that passed every check.
#[derive(Debug)]
pub struct Permitted {
    command: Arc<Command>,
    key: Arc<str>,
    ip: IpAddr,
    counter: u128,
}

impl Permitted {
    /// What to run.
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// The name of the key whose knock it was.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The address to run it for.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The counter of the knock.
    pub fn counter(&self) -> u128 {
        self.counter
    }
}

/// What the files say of orders.
#[derive(Debug)]
pub struct Rules {
    /// What may be run.
    pub commands: Commands,
    /// Whose knocks.
    pub keys: Keys,
    /// Whether for addresses that are not of the public Internet, too.
    pub allow_non_routable_ips: bool,
}

/// Judges orders by everything there is to judge them by.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    rate: TokenBucket,
}

impl Judge {
    /// Puts together what was read from the files and the rate limit.
    pub fn new(rules: Rules, rate: TokenBucket) -> Self {
        Self { rules, rate }
    }

    /// Goes on by other rules and another limit. What has been used up of the limit stays so.
    pub fn change(&mut self, rules: Rules, per_second: u32) {
        self.rules = rules;
        self.rate.change(per_second);
    }

    /// Judges one message, of which not a byte is trusted, while `running` commands run; `now` is a
    /// reading of the boot clock.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies. Refused orders use up nothing of the rate limit.
    pub fn judge(
        &mut self,
        now: Duration,
        message: &[u8],
        running: usize,
    ) -> Result<Permitted, Refusal> {
        let message = message.try_into().map_err(|_| Refusal::WrongLength)?;
        let Order { command, address, key: id, counter, received_at } = Order::decode(message)?;
        if order::has_expired(received_at, now) {
            return Err(Refusal::Expired(now.saturating_sub(received_at)));
        }
        let Rules { commands, keys, allow_non_routable_ips } = &self.rules;
        let command = commands.get(command).ok_or(Refusal::UnknownCommand(command))?;
        let key = keys.name(id).ok_or(Refusal::UnknownKey(id))?;
        if !command.allows(id) {
            let (command, key) = (command.name.clone(), Arc::clone(key));
            return Err(Refusal::KeyNotAllowed { command, key });
        }
        let ip = IpAddr::from(address);
        if !is_usable(ip) {
            return Err(Refusal::UnusableAddress(ip));
        }
        if !(*allow_non_routable_ips || is_routable(ip)) {
            return Err(Refusal::NonRoutableAddress(ip));
        }
        if running >= MAX_RUNNING {
            return Err(Refusal::TooManyRunning);
        }
        if !self.rate.take(now) {
            return Err(Refusal::RateLimited);
        }
        Ok(Permitted { command: Arc::clone(command), key: Arc::clone(key), ip, counter })
    }
}

fn is_usable(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruroco_common::address::Address;
    use std::collections::BTreeSet;

    const LAPTOP: KeyId = KeyId([1; 8]);
    const PHONE: KeyId = KeyId([2; 8]);
    const NOW: Duration = Duration::from_secs(1000);

    fn permit(per_second: u32) -> Judge {
        let keys = [(LAPTOP, "laptop"), (PHONE, "phone")].into_iter().collect();
        let commands = Commands::from_iter([
            Command::example("anyone"),
            Command { keys: Some(BTreeSet::from([LAPTOP])), ..Command::example("laptop_only") },
        ]);
        let rules = Rules { commands, keys, allow_non_routable_ips: true };
        Judge::new(rules, TokenBucket::new(per_second))
    }

    fn order(command: &str, key: KeyId) -> Order {
        Order {
            command: CommandHash::of(command),
            address: Address::from_ipv4([192, 0, 2, 1]),
            key,
            counter: 7,
            received_at: NOW,
        }
    }

    fn refusal(order: Order) -> &'static str {
        permit(10).judge(NOW, &order.encode(), 0).unwrap_err().name()
    }

    #[test]
    fn a_good_order_becomes_a_run_of_what_it_named() {
        let message = order("laptop_only", LAPTOP).encode();
        let permitted = permit(10).judge(NOW, &message, 0).unwrap();
        assert_eq!(permitted.command().name, "laptop_only");
        assert_eq!((permitted.key(), permitted.counter()), ("laptop", 7));
        // Not ::ffff:192.0.2.1, which firewalls take for an IPv6 address.
        assert_eq!(permitted.ip().to_string(), "192.0.2.1");
    }

    #[test]
    fn an_order_must_name_what_is_known_and_allowed() {
        assert_eq!(refusal(order("anything", LAPTOP)), "unknown_command");
        assert_eq!(refusal(order("anyone", KeyId([3; 8]))), "unknown_key");
        assert_eq!(refusal(order("laptop_only", PHONE)), "key_not_allowed");
    }

    #[test]
    fn nothing_is_run_for_a_knock_that_has_waited_too_long() {
        let message = order("anyone", LAPTOP).encode();
        let mut permit = permit(10);
        assert!(permit.judge(NOW + order::MAX_WAIT, &message, 0).is_ok());
        let late = NOW + order::MAX_WAIT + Duration::from_millis(1);
        let refusal = permit.judge(late, &message, 0).unwrap_err();
        assert_eq!(refusal.name(), "expired");
        assert!(refusal.to_string().contains(" 30 seconds ago"), "{refusal}");
    }

    #[test]
    fn nothing_is_ever_run_for_everybody() {
        for ip in ["::", "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "ff02::1"] {
            let address = Address::from(ip.parse::<IpAddr>().unwrap());
            let refused = refusal(Order { address, ..order("anyone", LAPTOP) });
            assert_eq!(refused, "unusable_address", "{ip}");
        }
    }

    #[test]
    fn who_does_not_want_them_gets_no_orders_from_within() {
        let judge = |allow_non_routable_ips, ip: &str| {
            let mut permit = permit(10);
            permit.rules.allow_non_routable_ips = allow_non_routable_ips;
            let address = Address::from(ip.parse::<IpAddr>().unwrap());
            let message = Order { address, ..order("anyone", LAPTOP) }.encode();
            permit.judge(NOW, &message, 0).map(drop).map_err(|refusal| refusal.name())
        };
        for ip in ["10.1.2.3", "127.0.0.1", "192.0.2.1", "::1", "fd00::1", "2001:db8::1"] {
            assert_eq!(judge(false, ip), Err("non_routable_address"), "{ip}");
            assert_eq!(judge(true, ip), Ok(()), "{ip}");
        }
        for ip in ["1.1.1.1", "2606:4700::1111"] {
            assert_eq!(judge(false, ip), Ok(()), "{ip}");
        }
        assert_eq!(judge(false, "0.0.0.0"), Err("unusable_address"));
    }

    #[test]
    fn running_commands_leave_only_so_much_room() {
        let message = order("anyone", LAPTOP).encode();
        let mut permit = permit(10);
        assert_eq!(permit.judge(NOW, &message, MAX_RUNNING).unwrap_err(), Refusal::TooManyRunning);
        assert!(permit.judge(NOW, &message, MAX_RUNNING - 1).is_ok());
    }

    #[test]
    fn the_limit_is_one_for_all_keys_and_refusals_do_not_use_it_up() {
        let mut permit = permit(2);
        for _ in 0..100 {
            assert!(permit.judge(NOW, &order("laptop_only", PHONE).encode(), 0).is_err());
        }
        assert!(permit.judge(NOW, &order("anyone", PHONE).encode(), 0).is_ok());
        assert!(permit.judge(NOW, &order("anyone", LAPTOP).encode(), 0).is_ok());
        let third = order("anyone", LAPTOP).encode();
        assert_eq!(permit.judge(NOW, &third, 0).unwrap_err(), Refusal::RateLimited);
        assert!(permit.judge(NOW + Duration::from_secs(1), &third, 0).is_ok());
    }

    #[test]
    fn a_change_holds_at_once_and_fills_no_bucket() {
        let mut permit = permit(1);
        let message = |command| order(command, LAPTOP).encode();
        assert!(permit.judge(NOW, &message("anyone"), 0).is_ok());
        let keys = [(LAPTOP, "laptop")].into_iter().collect();
        let commands = Commands::from_iter([Command::example("new")]);
        permit.change(Rules { commands, keys, allow_non_routable_ips: true }, 1);
        let old = permit.judge(NOW, &message("anyone"), 0).unwrap_err();
        assert_eq!(old.name(), "unknown_command");
        assert_eq!(permit.judge(NOW, &message("new"), 0).unwrap_err(), Refusal::RateLimited);
        assert!(permit.judge(NOW + Duration::from_secs(1), &message("new"), 0).is_ok());
    }

    proptest! {
        #[test]
        fn only_whole_orders_of_our_version_are_looked_at(
            message in prop::collection::vec(any::<u8>(), 0..2 * order::SIZE),
        ) {
            // So early that nothing has expired.
            let refused = permit(10).judge(Duration::ZERO, &message, 0).unwrap_err().name();
            let expected = match (message.len(), message.first()) {
                (order::SIZE, Some(&order::VERSION)) => "unknown_command",
                (order::SIZE, _) => "wrong_version",
                _ => "wrong_length",
            };
            prop_assert_eq!(refused, expected);
        }
    }
}
