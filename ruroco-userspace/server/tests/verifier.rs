//! The verifier against a model: over random sequences of packets, clocks, restarts and reloads both must
//! give the same verdict for the same reason, and no counter may ever be accepted twice.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

use ruroco_daemon::clock::Now;
use std::{collections::BTreeMap, fs, time::Duration};

use proptest::prelude::*;
use ruroco_common::{
    address::Address, candidate::Candidate, command::CommandHash, plaintext::Plaintext,
};
use ruroco_config::Config;
use ruroco_keys::{key::Key, named_key::NamedKey};
use ruroco_seal::Aead;
use ruroco_server::{floor_file::FloorFile, floors::Floors, refusal::Refusal, verifier::Verifier};

const KEYS: [&str; 3] = [
    "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
    "BAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
    "chacha20poly1305:DAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
];
const STRANGER: &str = "chacha20poly1305:CCECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
const CONFIG: &str = r#"
addresses = ["1.1.1.1", "2606:4700::1111"]
gate.interfaces = ["eth0"]
allow_non_public_addresses = false
max_knocks_per_second_per_key = 2
max_knocks_per_second = 3
max_clock_skew = 60
keys.limited.commands = ["default"]
keys.visitor.expires = 2024-09-08T18:51:55Z
keys.visitor.sources = ["1.1.1.0/26"]
keys.visitor.require_address = true
"#;
const SKEW: u128 = 60_000_000_000;
/// 2024-09-08T18:51:50Z
const START: u128 = 1_725_821_510_000_000_000;
/// When the visitor's key expires.
const EXPIRES: u128 = START + 5_000_000_000;
/// The index of the key of a visitor.
const VISITOR: usize = 2;

fn keys() -> Vec<NamedKey> {
    ["free", "limited", "visitor"]
        .into_iter()
        .zip(KEYS)
        .map(|(name, text)| NamedKey { name: name.to_owned(), key: Key::parse(text).unwrap() })
        .collect()
}

#[derive(Clone, Debug)]
struct Packet {
    key: Option<usize>,
    flipped_bit: Option<usize>,
    version: u8,
    command: &'static str,
    /// Milliseconds relative to the wall clock.
    counter: i64,
    strict: u8,
    claimed: Option<Address>,
    source: Address,
    destination: Address,
    /// Milliseconds in the ring.
    waited: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Packet(Packet),
    /// The last packet once more.
    Again,
    /// Both clocks move on by so many milliseconds.
    Pass(u64),
    /// The wall clock alone is set by so many milliseconds.
    SetClock(i64),
    Restart,
    /// The same keys and rules once more.
    Reload,
}

/// The only address in the visitor's network.
const IN_NETWORK: Address = Address::from_ipv4([1, 1, 1, 1]);
const STRANGE: Address = Address::from_ipv4([1, 1, 1, 99]);
const FROM_WITHIN: Address = Address::from_ipv4([10, 0, 0, 1]);
const EVERYBODY: Address = Address::from_ipv4([224, 0, 0, 1]);

fn addresses() -> impl Strategy<Value = Address> {
    prop_oneof![
        4 => Just(IN_NETWORK),
        1 => Just(Address::from("2606:4700::1111".parse::<std::net::IpAddr>().unwrap())),
        1 => Just(STRANGE),
    ]
}

fn sources() -> impl Strategy<Value = Address> {
    prop_oneof![8 => addresses(), 1 => Just(FROM_WITHIN), 1 => Just(EVERYBODY)]
}

fn packets() -> impl Strategy<Value = Packet> {
    (
        prop_oneof![8 => (0_usize..3).prop_map(Some), 1 => Just(None)],
        prop_oneof![9 => Just(None), 1 => (64_usize..94 * 8).prop_map(Some)],
        prop_oneof![9 => Just(1_u8), 1 => any::<u8>()],
        prop_oneof![3 => Just("default"), 1 => Just("other")],
        prop_oneof![6 => -2_000_i64..2_000, 1 => 55_000_i64..65_000],
        prop_oneof![Just(0_u8), Just(1), any::<u8>()],
        proptest::option::of(sources()),
        sources(),
        addresses(),
        prop_oneof![9 => 0_u64..100, 1 => 29_000_u64..31_000],
    )
        .prop_map(
            |(
                key,
                flipped_bit,
                version,
                command,
                counter,
                strict,
                claimed,
                source,
                destination,
                waited,
            )| {
                Packet {
                    key,
                    flipped_bit,
                    version,
                    command,
                    counter,
                    strict,
                    claimed,
                    source,
                    destination,
                    waited,
                }
            },
        )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => packets().prop_map(Step::Packet),
        3 => Just(Step::Again),
        3 => (0_u64..1_500).prop_map(Step::Pass),
        1 => (-5_000_i64..5_000).prop_map(Step::SetClock),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
    ];
    proptest::collection::vec(step, 1..60)
}

fn milliseconds(value: i64) -> i128 {
    i128::from(value) * 1_000_000
}

/// What the verifier should do, as plainly as it can be said.
struct Model {
    floors: BTreeMap<usize, u128>,
    /// Tokens in thousandths and when they were counted, in milliseconds.
    buckets: BTreeMap<usize, (u64, u64)>,
    /// How often each key was let through in this second, and when that is over, in milliseconds.
    second: (BTreeMap<usize, u64>, u64),
}

impl Model {
    fn new() -> Self {
        Self {
            floors: [(0, START), (1, START), (VISITOR, START)].into(),
            buckets: BTreeMap::new(),
            second: (BTreeMap::new(), 0),
        }
    }

    fn judge(
        &mut self,
        wall: u128,
        boot: u64,
        counter: u128,
        packet: &Packet,
    ) -> Result<Address, Refusal> {
        if packet.waited > 30_000 {
            return Err(Refusal::Expired);
        }
        let key = packet.key.ok_or(Refusal::UnknownKey)?;
        let address = packet.claimed.unwrap_or(packet.source);
        let checks = [
            (packet.flipped_bit.is_some(), Refusal::Forged),
            (packet.version != 1, Refusal::WrongVersion),
            (key == VISITOR && wall >= EXPIRES, Refusal::KeyExpired),
            (counter <= self.floors[&key], Refusal::OldCounter),
            (counter > wall + SKEW, Refusal::FutureCounter),
            (packet.destination == STRANGE, Refusal::WrongDestination),
            (key == VISITOR && packet.claimed.is_none(), Refusal::AddressRequired),
            (
                packet.strict != 0
                    && packet.claimed.is_some_and(|claimed| claimed != packet.source),
                Refusal::WrongSource,
            ),
            (
                key == VISITOR && [packet.source, address].iter().any(|one| *one != IN_NETWORK),
                Refusal::SourceNotAllowed,
            ),
            (address == EVERYBODY, Refusal::UnusableAddress),
            (address == FROM_WITHIN, Refusal::NonRoutableAddress),
            (key == 1 && packet.command != "default", Refusal::CommandNotAllowed),
        ];
        if let Some((_, refusal)) = checks.into_iter().find(|(failed, _)| *failed) {
            return Err(refusal);
        }
        let (tokens, counted) = self.buckets.get(&key).copied().unwrap_or((2_000, boot));
        let tokens = (tokens + (boot - counted) * 2).min(2_000);
        self.buckets.insert(key, (tokens, boot));
        if tokens < 1_000 {
            return Err(Refusal::RateLimited);
        }
        if self.second.1 <= boot {
            self.second = (BTreeMap::new(), boot + 1_000);
        }
        let let_through = &mut self.second.0;
        let free = 3 - let_through.values().sum::<u64>();
        let own = let_through.entry(key).or_default();
        if *own >= free {
            return Err(Refusal::GlobalRateLimited);
        }
        *own += 1;
        self.buckets.insert(key, (tokens - 1_000, boot));
        self.floors.insert(key, counter);
        Ok(address)
    }
}

fn seal(packet: &Packet, counter: u128, received_at: Duration) -> Candidate {
    let key = Key::parse(packet.key.map_or(STRANGER, |key| KEYS[key])).unwrap();
    let mut content = Plaintext {
        command: CommandHash::of(packet.command),
        counter,
        strict: false,
        claimed_source: packet.claimed,
        destination: packet.destination,
    }
    .encode();
    content[0] = packet.version;
    content[25] = packet.strict;
    let mut datagram = Aead::new(&key).seal([3; 12], content).unwrap();
    if let Some(bit) = packet.flipped_bit {
        zerocopy::IntoBytes::as_mut_bytes(&mut datagram)[bit / 8] ^= 1 << (bit % 8);
    }
    Candidate {
        received_at: received_at.as_nanos().try_into().unwrap(),
        source: packet.source,
        destination: packet.destination,
        interface: 1,
        source_port: 1,
        destination_port: 80,
        datagram,
        padding: [0; 2],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_verifier_agrees_with_the_model(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, CONFIG).unwrap();
        let config = Config::read(&path).or_problems().unwrap();
        let keys = keys();
        let ids = || keys.iter().map(|named| named.key.id);
        FloorFile::create(dir.path(), &Floors::at(START, ids())).unwrap();

        let mut floors = FloorFile::open(dir.path(), ids(), START).unwrap();
        let mut verifier = Verifier::new(&config, &keys);
        let mut model = Model::new();
        let mut accepted = Vec::new();
        let (mut wall, mut boot) = (START + 1_000_000_000, 100_000_u64);
        let mut last: Option<(Packet, u128)> = None;

        for step in steps {
            match step {
                Step::Pass(time) => {
                    wall += u128::from(time) * 1_000_000;
                    boot += time;
                    continue;
                }
                Step::SetClock(by) => {
                    wall = wall.checked_add_signed(milliseconds(by)).unwrap();
                    continue;
                }
                Step::Restart => {
                    drop(floors);
                    floors = FloorFile::open(dir.path(), ids(), wall).unwrap();
                    verifier = Verifier::new(&config, &keys);
                    model.buckets.clear();
                    model.second.1 = 0;
                    continue;
                }
                Step::Reload => {
                    verifier = Verifier::new(&config, &keys).succeeding(&verifier);
                    continue;
                }
                Step::Again => {}
                Step::Packet(packet) => {
                    let counter = wall.checked_add_signed(milliseconds(packet.counter)).unwrap();
                    last = Some((packet, counter));
                }
            }
            let Some((packet, counter)) = &last else { continue };
            let now = Now { epoch: wall, boot: Duration::from_millis(boot) };
            let candidate = seal(packet, *counter, now.boot - Duration::from_millis(packet.waited));

            let verdict = verifier.judge(now, floors.floors(), &candidate);
            let verdict = verdict.map_err(|refused| refused.reason);
            let expected = model.judge(wall, boot, *counter, packet);
            prop_assert_eq!(verdict.as_ref().map(|permit| permit.order().address), expected.as_ref().copied());
            if let Ok(permit) = verdict {
                let order = *floors.persist(permit).unwrap().order();
                prop_assert_eq!(order.counter, *counter);
                prop_assert_eq!(order.command, CommandHash::of(packet.command));
                let received_at = Duration::from_nanos(candidate.received_at);
                prop_assert_eq!(order.received_at, received_at);
                prop_assert!(!accepted.contains(&(order.key, order.counter)), "accepted twice");
                accepted.push((order.key, order.counter));
            }
        }
    }
}
