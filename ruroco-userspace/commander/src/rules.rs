//! The step from unauthenticated bytes to a run that may start.
//!
//! It is a function of its arguments, without I/O and without a clock. Only [`Rules::judge`] makes a
//! [`Permitted`], and the commander runs nothing but a `Permitted`.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use ruroco_commands::{
    commands::{Command, Commands},
    keys::Keys,
};
use ruroco_common::{command::CommandHash, datagram::KeyId};
use ruroco_config::{Config, key_policy::KeyPolicy, routable};
use ruroco_daemon::{clock::Now, shares::Shares};
use ruroco_ipc::order::{self, Order};

use super::refusal::Refusal;

/// A run that passed every check.
#[derive(Debug)]
pub struct Permitted {
    command: Arc<Command>,
    key: Arc<str>,
    ip: IpAddr,
    order: Order,
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

    /// The id of that key.
    pub fn key_id(&self) -> KeyId {
        self.order.key
    }

    /// The address to run it for.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The order that it follows.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The counter of the knock.
    pub fn counter(&self) -> u128 {
        self.order.counter
    }

    /// That the commander ends before this could start.
    pub fn refuse_at_stop(&self) -> Refusal {
        Refusal::Stopping { command: self.command.name.clone(), key: Arc::clone(&self.key) }
    }
}

/// What the files say of orders.
#[derive(Debug)]
pub struct Rules {
    /// What may be run.
    pub commands: Commands,
    /// Whose knocks.
    pub keys: Keys,
    /// The rules of these keys. A key without an entry has no restrictions.
    pub policies: BTreeMap<KeyId, KeyPolicy>,
    /// Whether for addresses that are not of the public Internet, too.
    pub allow_non_public_addresses: bool,
    /// How many runs may be started in a second.
    pub max_per_second: u32,
}

impl Rules {
    /// Those of a configuration, with commands and keys that were approved.
    pub fn of(config: &Config, commands: Commands, keys: Keys) -> Self {
        let policy =
            |(name, _): (&str, _)| Some((keys.id(name)?, config.policy_of(name, CommandHash::of)));
        Self {
            commands,
            policies: config.rules().filter_map(policy).collect(),
            keys,
            allow_non_public_addresses: config.allow_non_public_addresses,
            max_per_second: config.max_knocks_per_second,
        }
    }

    /// Judges one message, of which not a byte is trusted, while commands have these slots.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    pub fn judge(&self, now: Now, message: &[u8], slots: &Shares) -> Result<Permitted, Refusal> {
        let message = message.try_into().map_err(|_| Refusal::WrongLength)?;
        let permitted = self.permit(now, Order::decode(message)?)?;
        if !slots.may_take(permitted.key_id()) {
            return Err(Refusal::TooManyRunning { key: permitted.key });
        }
        Ok(permitted)
    }

    /// Judges a waiting run again, which earlier rules permitted and which has its slot. The run uses the
    /// command as these rules define it.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    pub fn judge_again(&self, now: Now, waiting: &Permitted) -> Result<Permitted, Refusal> {
        self.permit(now, waiting.order)
    }

    fn permit(&self, now: Now, order: Order) -> Result<Permitted, Refusal> {
        check_age(order.received_at, now.boot)?;
        let (hash, id) = (order.command, order.key);
        let command = self.commands.get(hash).ok_or(Refusal::UnknownCommand(hash))?;
        let key = self.keys.name(id).ok_or(Refusal::UnknownKey(id))?;
        let ip = IpAddr::from(order.address);
        let policy = self.policies.get(&id);
        if policy.is_some_and(|policy| policy.has_expired(now.epoch)) {
            return Err(Refusal::KeyExpired { key: Arc::clone(key) });
        }
        if !command.allows(id) || policy.is_some_and(|policy| !policy.allows(hash)) {
            let (command, key) = (command.name.clone(), Arc::clone(key));
            return Err(Refusal::KeyNotAllowed { command, key });
        }
        if policy.is_some_and(|policy| !policy.admits(order.address)) {
            return Err(Refusal::SourceNotAllowed { address: ip, key: Arc::clone(key) });
        }
        routable::check(ip, self.allow_non_public_addresses)?;
        Ok(Permitted { command: Arc::clone(command), key: Arc::clone(key), ip, order })
    }
}

fn check_age(received_at: Duration, now: Duration) -> Result<(), Refusal> {
    if order::has_expired(received_at, now) {
        return Err(Refusal::Expired(now.saturating_sub(received_at)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Reason;

    /// To run this program.
    fn runs(program: &str) -> Task {
        let program = Program { path: program.to_owned(), arguments: Vec::new() };
        Task::new(Vec::new(), Some(program)).unwrap()
    }

    /// A command that does nothing.
    fn example(name: &str) -> Command {
        Command {
            name: name.to_owned(),
            task: runs("/bin/true"),
            uid: None,
            gid: None,
            timeout: Duration::from_secs(30),
            cwd: "/".into(),
            env: BTreeMap::new(),
            keys: None,
        }
    }
    use proptest::prelude::*;
    use ruroco_commands::task::{Program, Task};
    use ruroco_common::address::Address;
    use ruroco_files::toml_file::Source;
    use ruroco_ipc::slots;
    use std::collections::BTreeSet;
    use std::path::Path;

    const LAPTOP: KeyId = KeyId([1; 8]);
    const PHONE: KeyId = KeyId([2; 8]);
    const NOW: Duration = Duration::from_secs(1000);

    /// This time on the boot clock, in 2001.
    fn at(boot: Duration) -> Now {
        Now { epoch: 1_000_000_000_000_000_000, boot }
    }

    fn rules() -> Rules {
        let keys = [(LAPTOP, "laptop"), (PHONE, "phone")].into_iter().collect();
        let commands = Commands::from_iter([
            example("anyone"),
            Command { keys: Some(BTreeSet::from([LAPTOP])), ..example("laptop_only") },
        ]);
        Rules {
            commands,
            keys,
            policies: BTreeMap::new(),
            allow_non_public_addresses: true,
            max_per_second: 1,
        }
    }

    fn no_slots_taken() -> Shares {
        Shares::new(slots::SLOTS, 2)
    }

    fn judge(now: Duration, message: &[u8]) -> Result<Permitted, Refusal> {
        rules().judge(at(now), message, &no_slots_taken())
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

    fn refusal(order: Order) -> Reason {
        judge(NOW, &order.encode()).unwrap_err().reason()
    }

    #[test]
    fn a_good_order_becomes_a_run_of_what_it_named() {
        let message = order("laptop_only", LAPTOP).encode();
        let permitted = judge(NOW, &message).unwrap();
        assert_eq!(permitted.command().name, "laptop_only");
        assert_eq!((permitted.key(), permitted.counter()), ("laptop", 7));
        // Not ::ffff:192.0.2.1, which firewalls take for an IPv6 address.
        assert_eq!(permitted.ip().to_string(), "192.0.2.1");
    }

    #[test]
    fn an_order_must_name_what_is_known_and_allowed() {
        assert_eq!(refusal(order("anything", LAPTOP)), Reason::UnknownCommand);
        assert_eq!(refusal(order("anyone", KeyId([3; 8]))), Reason::UnknownKey);
        assert_eq!(refusal(order("laptop_only", PHONE)), Reason::KeyNotAllowed);
    }

    #[test]
    fn a_key_can_do_what_its_own_rules_say_and_no_more() {
        let text = "addresses = [\"192.0.2.1\"]\ngate.interfaces = [\"eth0\"]\n\
                    [keys.laptop]\ncommands = [\"laptop_only\"]\nexpires = 2001-09-09\n\
                    sources = [\"192.0.2.0/31\"]\n";
        let file = Source::new(Path::new("config.toml"), text.to_owned());
        let config = Config::check(file).or_problems().unwrap();
        let Rules { commands, keys, .. } = rules();
        let rules = Rules::of(&config, commands, keys);
        let judge = |epoch, order: Order| {
            let now = Now { epoch, boot: NOW };
            let judged = rules.judge(now, &order.encode(), &no_slots_taken());
            judged.map(drop).map_err(|refusal| refusal.reason())
        };
        const SECOND: u128 = 1_000_000_000;
        let end = 1_000_080_000 * SECOND;
        let good = order("laptop_only", LAPTOP);
        assert_eq!(judge(end - 1, good), Ok(()));
        assert_eq!(judge(end, good), Err(Reason::KeyExpired));
        assert_eq!(judge(end - 1, order("anyone", LAPTOP)), Err(Reason::KeyNotAllowed));
        let outside = Order { address: Address::from_ipv4([192, 0, 2, 2]), ..good };
        assert_eq!(judge(end - 1, outside), Err(Reason::SourceNotAllowed));
        for order in [
            order("anyone", PHONE),
            Order { key: PHONE, command: CommandHash::of("anyone"), ..outside },
        ] {
            assert_eq!(judge(end, order), Ok(()));
        }
    }

    #[test]
    fn nothing_is_run_for_a_knock_that_has_waited_too_long() {
        let message = order("anyone", LAPTOP).encode();
        let permitted = judge(NOW + order::MAX_WAIT, &message).unwrap();
        let again = |now| rules().judge_again(at(now), &permitted).map(drop);
        assert_eq!(again(NOW + order::MAX_WAIT), Ok(()));
        let late = NOW + order::MAX_WAIT + Duration::from_millis(1);
        let refusal = judge(late, &message).unwrap_err();
        assert_eq!(refusal.reason(), Reason::Expired);
        assert!(refusal.to_string().contains(" 30 seconds old"), "{refusal}");
        assert_eq!(again(late), Err(refusal));
    }

    #[test]
    fn nothing_is_ever_run_for_everybody() {
        for ip in ["::", "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "ff02::1"] {
            let address = Address::from(ip.parse::<IpAddr>().unwrap());
            let refused = refusal(Order { address, ..order("anyone", LAPTOP) });
            assert_eq!(refused, Reason::UnusableAddress, "{ip}");
        }
    }

    #[test]
    fn who_does_not_want_them_gets_no_orders_from_within() {
        let judge = |allow_non_public_addresses, ip: &str| {
            let rules = Rules { allow_non_public_addresses, ..rules() };
            let address = Address::from(ip.parse::<IpAddr>().unwrap());
            let message = Order { address, ..order("anyone", LAPTOP) }.encode();
            let judged = rules.judge(at(NOW), &message, &no_slots_taken());
            judged.map(drop).map_err(|refusal| refusal.reason())
        };
        for ip in ["10.1.2.3", "127.0.0.1", "192.0.2.1", "::1", "fd00::1", "2001:db8::1"] {
            assert_eq!(judge(false, ip), Err(Reason::NonRoutableAddress), "{ip}");
            assert_eq!(judge(true, ip), Ok(()), "{ip}");
        }
        for ip in ["1.1.1.1", "2606:4700::1111"] {
            assert_eq!(judge(false, ip), Ok(()), "{ip}");
        }
        assert_eq!(judge(false, "0.0.0.0"), Err(Reason::UnusableAddress));
    }

    #[test]
    fn a_key_has_its_share_of_the_slots_and_no_more() {
        let mut slots = no_slots_taken();
        (0..slots::SLOTS / 2).for_each(|_| slots.take(LAPTOP));
        let judge = |key| rules().judge(at(NOW), &order("anyone", key).encode(), &slots);
        let refusal = judge(LAPTOP).unwrap_err();
        assert_eq!(refusal.reason(), Reason::TooManyRunning);
        assert!(refusal.to_string().contains("laptop"), "{refusal}");
        assert_eq!(judge(PHONE).unwrap().key(), "phone");
    }

    #[test]
    fn a_waiting_run_is_what_the_rules_of_now_say() {
        let waiting = judge(NOW, &order("laptop_only", LAPTOP).encode()).unwrap();
        let again = |rules: Rules| {
            let judged = rules.judge_again(at(NOW), &waiting);
            judged.map_err(|refusal| refusal.reason())
        };
        let changed = Command { task: runs("/bin/other"), ..example("laptop_only") };
        let permitted =
            again(Rules { commands: Commands::from_iter([changed]), ..rules() }).unwrap();
        assert_eq!(permitted.command().task, runs("/bin/other"));
        assert_eq!((permitted.key_id(), permitted.counter()), (LAPTOP, 7));
        let without_key = [(PHONE, "phone")].into_iter().collect();
        let for_phone = Command { keys: Some(BTreeSet::from([PHONE])), ..example("laptop_only") };
        for (rules, refusal) in [
            (Rules { commands: Commands::from_iter([]), ..rules() }, Reason::UnknownCommand),
            (Rules { keys: without_key, ..rules() }, Reason::UnknownKey),
            (
                Rules { commands: Commands::from_iter([for_phone]), ..rules() },
                Reason::KeyNotAllowed,
            ),
            (Rules { allow_non_public_addresses: false, ..rules() }, Reason::NonRoutableAddress),
        ] {
            assert_eq!(again(rules).unwrap_err(), refusal);
        }
    }

    proptest! {
        #[test]
        fn only_whole_orders_of_our_version_are_looked_at(
            message in prop::collection::vec(any::<u8>(), 0..2 * order::SIZE),
        ) {
            // So early that nothing has expired.
            let refused = judge(Duration::ZERO, &message).unwrap_err().reason();
            let expected = match (message.len(), message.first()) {
                (order::SIZE, Some(&order::VERSION)) => Reason::UnknownCommand,
                (order::SIZE, _) => Reason::WrongVersion,
                _ => Reason::WrongLength,
            };
            prop_assert_eq!(refused, expected);
        }
    }
}
