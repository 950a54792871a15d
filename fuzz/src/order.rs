//! An order: whatever a server that was taken over writes to the commander, which runs as root.
//!
//! The record: encoding gives the decoded bytes back. The commander: an order is permitted if, and
//! only if, it is whole, of our version and not too old, names a command and a key that there are, the
//! key may call that command, and the address is one host's; and what is permitted is what it says. The
//! judge is held against a reading of the bytes that knows nothing but the record's table.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use ruroco_commander::rules::{Permitted, Rules};
use ruroco_commands::{
    commands::{Command, Commands},
    keys::Keys,
    task::{Program, Task},
};
use ruroco_common::{command::CommandHash, datagram::KeyId};
use ruroco_daemon::{clock::Now, shares::Shares};
use ruroco_ipc::{
    order::{Order, SIZE, VERSION},
    slots::{SLOTS, SlotReport},
};

/// The ids of two keys, so far apart and so plain that a fuzzer finds them.
const LAPTOP: KeyId = KeyId([1; 8]);
const PHONE: KeyId = KeyId([2; 8]);

/// `open_port` may be called with every key, `close_port` only with one. The hashes are those of
/// upstream's documentation.
const OPEN_PORT: (&str, [u8; 8]) = ("open_port", [0x9b, 0x93, 0x08, 0x39, 0x59, 0xd8, 0x55, 0x0a]);
const CLOSE_PORT: (&str, [u8; 8]) =
    ("close_port", [0x26, 0x94, 0x12, 0x9e, 0x84, 0xaf, 0x1e, 0x38]);

/// How long the machine has been running: there can be orders that are too old.
const NOW: Duration = Duration::from_secs(60);

/// Takes any bytes for an order.
pub fn order(data: &[u8]) -> bool {
    if let Ok(bytes) = <&[u8; SIZE]>::try_from(data) {
        let decoded = Order::decode(bytes);
        assert_eq!(decoded.is_ok(), bytes[0] == VERSION);
        assert!(decoded.is_err() || decoded.is_ok_and(|order| order.encode() == *bytes));
    }
    let judged = rules().judge(Now { epoch: 0, boot: NOW }, data, &Shares::new(SLOTS, 0));
    assert_eq!(judged.as_ref().ok().map(content), expected(data), "{judged:?}");
    // What the server reads on the same socket.
    if let Ok(SlotReport { read, taken }) = SlotReport::decode(data) {
        let ids: Vec<u8> = taken.iter().flat_map(|key| key.0).collect();
        assert_eq!([&[1], &read.to_be_bytes()[..], &ids].concat(), data);
    }
    data.len() == SIZE
}

/// Command, key, address and counter.
type Content<'a> = (&'a str, &'a str, IpAddr, u128);

fn content(permitted: &Permitted) -> Content<'_> {
    (&permitted.command().name, permitted.key(), permitted.ip(), permitted.counter())
}

/// What an order permits, by the table in the documentation of the record.
fn expected(data: &[u8]) -> Option<Content<'static>> {
    if data.len() != 57 || data[0] != 2 {
        return None;
    }
    let received_at = u64::from_be_bytes(data[49..57].try_into().ok()?);
    // Half a minute before a minute has passed.
    if received_at < 30_000_000_000 {
        return None;
    }
    let key = match <[u8; 8]>::try_from(&data[25..33]).ok()? {
        [1, 1, 1, 1, 1, 1, 1, 1] => "laptop",
        [2, 2, 2, 2, 2, 2, 2, 2] => "phone",
        _ => return None,
    };
    let command = match <[u8; 8]>::try_from(&data[1..9]).ok()? {
        hash if hash == OPEN_PORT.1 => OPEN_PORT.0,
        hash if hash == CLOSE_PORT.1 && key == "laptop" => CLOSE_PORT.0,
        _ => return None,
    };
    let address: [u8; 16] = data[9..25].try_into().ok()?;
    let address = Ipv6Addr::from(address).to_canonical();
    let everybody = match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unspecified(),
    };
    let counter = u128::from_be_bytes(data[33..49].try_into().ok()?);
    (!everybody).then_some((command, key, address, counter))
}

/// What a commander goes by.
fn rules() -> Rules {
    let commands = Commands::from_iter([
        command(OPEN_PORT.0, None),
        command(CLOSE_PORT.0, Some(BTreeSet::from([LAPTOP]))),
    ]);
    for (name, hash) in [OPEN_PORT, CLOSE_PORT] {
        assert!(commands.get(CommandHash::from_bytes(hash)).is_some_and(|c| c.name == name));
    }
    let keys = Keys::from_iter([(LAPTOP, "laptop"), (PHONE, "phone")]);
    let policies = BTreeMap::new();
    Rules { commands, keys, policies, allow_non_public_addresses: true, max_per_second: 1 }
}

fn command(name: &str, keys: Option<BTreeSet<KeyId>>) -> Command {
    let program = Program { path: "/bin/true".to_owned(), arguments: Vec::new() };
    Command {
        name: name.to_owned(),
        task: Task::new(Vec::new(), Some(program)).unwrap(),
        uid: None,
        gid: None,
        timeout: Duration::from_secs(30),
        cwd: "/".into(),
        env: BTreeMap::new(),
        keys,
    }
}
