//! Writes the binary seeds in `corpus/`, and the dictionaries of the configuration files, after a format has
//! changed:
//! `cargo run --package ruroco-fuzz --example seeds`. Those that are text are written by hand.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for a developer, who shall see what went wrong"
)]

#[allow(dead_code, unreachable_pub, reason = "what it generates at random is for tests")]
#[path = "../../ruroco-common/tests/headers/frames.rs"]
mod frames;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use frames::{DESTINATION_OPTIONS, Extension, HOP_BY_HOP, IPV4_MORE_FRAGMENTS, Packet, ROUTING};
use ruroco_common::{
    address::Address, command::CommandHash, datagram::KeyId, doors::DoorName, plaintext::Plaintext,
};
use ruroco_ipc::{
    door_event::{Cause, DoorEvent, Happened, LeaseEvent},
    handover::Handover,
    order::Order,
};
use ruroco_server::{
    floor_log::{self, Header},
    floors::Floors,
};

fn main() {
    write("door_event", door_events());
    write("floor_file", floor_files());
    write("headers", frames());
    write("plaintext", plaintexts());
    write("handover", handovers());
    write("order", orders());
    write("packet_crypto", crypto());
    write("upstream_blocklist", upstream_blocklists());
    for (name, text) in ruroco_fuzz::DICTIONARIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries");
        fs::write(folder.join(name).with_extension("dict"), text()).unwrap();
    }
}

/// Name and content.
type Seed = (&'static str, Vec<u8>);

fn write(target: &str, seeds: impl IntoIterator<Item = Seed>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in seeds {
        fs::write(folder.join(name), content).unwrap();
    }
}

fn frames() -> impl Iterator<Item = Seed> {
    let v4 = || Packet::to([192, 0, 2, 1].into(), 80, &[0x5a; 94]);
    let v6 = || Packet::to(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), 80, &[0x5a; 94]);
    let chain = vec![
        Extension::Common(HOP_BY_HOP, 0),
        Extension::Common(ROUTING, 2),
        Extension::Common(135, 0),
        Extension::Authentication(4),
        Extension::Common(DESTINATION_OPTIONS, 1),
    ];
    let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into();
    let too_long = (0..9).map(|at| Extension::Common([135, 139, 140][at % 3], 0)).collect();
    let tcp = || v4().with_tcp(2);
    let tcp_piece =
        Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ip_length_lie: 8 - 20 - 94, ..tcp() };
    let extensions = vec![Extension::Fragment(1)];
    let tcp_fragment = Packet { extensions, payload: vec![0; 92], ..v6().with_tcp(2) };
    let ours = [
        ("ipv4", v4()),
        ("ipv6", v6()),
        ("ipv4_short_and_padded", Packet { payload: vec![1, 2], ..v4() }.padded()),
        ("ipv4_options", Packet { ipv4_options: 10, ..v4() }),
        ("ipv4_authentication", Packet { extensions: vec![Extension::Authentication(4)], ..v4() }),
        ("ipv4_first_fragment", Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..v4() }),
        ("ipv4_later_fragment", Packet { ipv4_fragment: 1, ..v4() }),
        ("ipv4_length_too_long", Packet { ip_length_lie: 1, ..v4() }),
        ("ipv4_length_too_short", Packet { ip_length_lie: -100, ..v4() }),
        ("ipv4_tcp", v4().with_tcp(2)),
        ("ipv4_tcp_without_flags", tcp_piece),
        ("ipv6_tcp", v6().with_tcp(2)),
        ("ipv6_tcp_first_fragment", tcp_fragment),
        ("ipv6_chain", Packet { extensions: chain, ..v6() }),
        ("ipv6_chain_too_long", Packet { extensions: too_long, ..v6() }),
        ("ipv6_first_fragment", Packet { extensions: vec![Extension::Fragment(1)], ..v6() }),
        ("ipv6_later_fragment", Packet { extensions: vec![Extension::Fragment(8)], ..v6() }),
        ("ipv6_udp_length_0", Packet { udp_length_lie: -102, ..v6() }),
        ("ipv6_jumbogram", Packet { ip_length_lie: -102, ..v6() }),
        ("ipv6_mapped_source", Packet { source: mapped, ..v6() }),
        ("ipv6_mapped_destination", Packet { destination: mapped, ..v6() }),
        ("vlan_priority", Packet { vlan_tags: vec![0x8100], ..v4() }),
        ("vlan_qinq", Packet { vlan_tags: vec![0x88a8, 0x8100], ..v6() }),
        ("vlan_qinq_old", Packet { vlan_tags: vec![0x9100, 0x8100], ..v4() }),
        ("vlan_four", Packet { vlan_tags: vec![0x8100; 4], ..v4() }),
    ];
    ours.into_iter().map(|(name, packet)| (name, packet.to_frame()))
}

fn upstream_blocklists() -> impl Iterator<Item = Seed> {
    let counter = [&[0xc4, 16][..], &0x17f3_5985_0147_3c02_u128.to_be_bytes()].concat();
    let low = [&[0x98, 0, 1, 2, 3, 4, 5, 6, 7][..], &counter].concat();
    let high = [&[0x98][..], &[0xcc, 0xff].repeat(8), &counter].concat();
    let bytes = [&[0xc4, 8, 8, 9, 10, 11, 12, 13, 14, 15][..], &counter].concat();
    [
        ("one_key", [&[0x91, 0x81][..], &low].concat()),
        ("three_keys", [&[0x91, 0x83][..], &low, &high, &bytes].concat()),
        ("as_a_map", [&[0x81, 0xa3][..], b"map", &[0x81], &low].concat()),
        ("a_key_twice", [&[0x91, 0x82][..], &low, &low].concat()),
        ("empty", vec![0x91, 0x80]),
    ]
    .into_iter()
}

fn floor_files() -> impl Iterator<Item = Seed> {
    let floors = Floors::at(7, [KeyId([1; 8]), KeyId([2; 8])].into_iter());
    let mut together = Vec::new();
    let end = floor_log::write(&floors, Header { generation: 2, room: 6 }, &mut together).unwrap();
    let (line, after) = end.with_floor(KeyId([1; 8]), 8);
    let with = |line: &[u8], place: u64, log: &[u8]| {
        let place = usize::try_from(place).unwrap();
        [&log[..place], line, &log[place + line.len()..]].concat()
    };
    let appended = with(&line, end.size(), &together);
    let (line, _) = after.with_floor(KeyId([1; 8]), 8);
    let not_raised = with(&line, after.size(), &appended);
    [
        ("appended_v2", appended.clone()),
        ("torn_v2", with(&line[..20], after.size(), &appended)),
        ("not_whole_v2", together[..128].to_vec()),
        ("not_raised_v2", not_raised),
        ("together_v2", together),
        // As the target makes lines of them: one that belongs to the header, three that follow.
        ("three_lines", vec![1, 0, 0, 5, 1, 0, 5, 0, 0, 6]),
        ("three_lines_v2", vec![5, 0, 0, 5, 1, 0, 5, 0, 0, 6]),
    ]
    .into_iter()
}

fn plaintexts() -> impl Iterator<Item = Seed> {
    let plain = Plaintext {
        command: CommandHash::of("open_port"),
        counter: 1_725_821_510_000_000_000,
        strict: false,
        claimed_source: None,
        destination: Address::from_ipv4([192, 0, 2, 1]),
    };
    let claimed = Some(Address::from_ipv4([198, 51, 100, 9]));
    let v6 = Address::from_bytes([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let strict = Plaintext { strict: true, claimed_source: claimed, ..plain };
    let mut other_version = plain.encode();
    other_version[0] = 2;
    let mut very_strict = strict.encode();
    very_strict[25] = 0x80;
    [
        ("plain", plain.encode()),
        ("strict", strict.encode()),
        ("very_strict", very_strict),
        ("ipv6", Plaintext { claimed_source: Some(v6), destination: v6, ..plain }.encode()),
        ("other_version", other_version),
    ]
    .into_iter()
    .map(|(name, bytes)| (name, bytes.to_vec()))
}

fn handovers() -> impl Iterator<Item = Seed> {
    let ours = Handover { ring_size: 1 << 20 }.encode();
    let none = Handover { ring_size: 0 }.encode();
    let mut other_version = ours;
    other_version[0] = 1;
    let base64 = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    let laptop = format!("laptop\tchacha20poly1305:{base64}\n");
    let phone = format!("phone\t{}\n", base64.replace("AAEC", "BAEC"));
    [
        ("ours", ours, format!("{laptop}{phone}")),
        ("no_ring", none, laptop.clone()),
        ("other_version", other_version, String::new()),
        ("same_name", ours, laptop.clone() + &laptop.replace("AAEC", "BAEC")),
        ("same_id", ours, laptop.clone() + &phone.replace("BAEC", "AAEC")),
        ("no_end", ours, laptop + phone.trim_end()),
    ]
    .into_iter()
    .map(|(name, message, keys)| (name, [&message[..], keys.as_bytes()].concat()))
}

fn orders() -> impl Iterator<Item = Seed> {
    let good = Order {
        command: CommandHash::of("open_port"),
        address: Address::from_ipv4([198, 51, 100, 9]),
        key: KeyId([1; 8]),
        counter: 1_725_821_510_000_000_000,
        received_at: Duration::from_secs(45),
    };
    let close_port = CommandHash::of("close_port");
    let mut other_version = good.encode();
    other_version[0] = 1;
    let expired = Order { received_at: Duration::from_secs(29), ..good };
    [
        ("open_port", good.encode().to_vec()),
        ("close_port", Order { command: close_port, ..good }.encode().to_vec()),
        (
            "key_not_allowed",
            Order { command: close_port, key: KeyId([2; 8]), ..good }.encode().to_vec(),
        ),
        ("unknown_command", Order { command: CommandHash::of(""), ..good }.encode().to_vec()),
        ("unknown_key", Order { key: KeyId([3; 8]), ..good }.encode().to_vec()),
        ("everybody", Order { address: Address::from_ipv4([255; 4]), ..good }.encode().to_vec()),
        ("other_version", other_version.to_vec()),
        ("expired", expired.encode().to_vec()),
    ]
    .into_iter()
}

fn door_events() -> impl Iterator<Item = Seed> {
    let connected = LeaseEvent {
        happened: Happened::Connected { new: 1 },
        door: DoorName::new("ssh").unwrap(),
        address: Address::from_ipv4([198, 51, 100, 9]),
        prefix: 32,
        key: KeyId([1; 8]),
        counter: 1_725_821_510_000_000_000,
        at: Duration::from_secs(45),
        until: Duration::from_secs(60),
        connections: 2,
    };
    let event = |happened| DoorEvent::Lease(LeaseEvent { happened, ..connected }).encode();
    let network = LeaseEvent { address: Address::from_bytes([0x20; 16]), prefix: 64, ..connected };
    let mut other_version = event(Happened::Expired);
    other_version[0] = 2;
    let mut too_many_bits = event(Happened::Expired);
    too_many_bits[2] = 33;
    [
        ("connected", event(connected.happened)),
        ("expired", event(Happened::Expired)),
        ("closed_by_tool", event(Happened::Closed(Cause::Tool))),
        ("door_removed", event(Happened::Closed(Cause::DoorRemoved))),
        ("network", DoorEvent::Lease(network).encode()),
        ("lost", DoorEvent::Lost { count: 3, at: Duration::from_secs(1) }.encode()),
        ("other_version", other_version),
        ("too_many_bits", too_many_bits),
    ]
    .into_iter()
    .map(|(name, bytes)| (name, bytes.to_vec()))
}

/// Laid out as the target reads it: key, nonce, tag, changes of bits, length of the associated data,
/// and a message. What is sealed is for the target to seal.
fn crypto() -> impl Iterator<Item = Seed> {
    let seed = |key: [u8; 32], changes: [u8; 7], message: &[u8]| {
        [&key[..], &[7; 12], &[9; 16], &changes, &[8], message].concat()
    };
    let counted = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let mut two = [0; 32];
    two[0] = 2;
    // RFC 8439, appendix A.3, vectors 7 and 11: sums at the modulus.
    let mut near = [0xff; 16];
    near[0] = 0xfd;
    [
        ("whole_knock", seed(counted, [0; 7], &[0x5a; 66])),
        ("one_bit_changed", seed(counted, [1, 100, 0, 0, 0, 0, 0], &[0x5a; 66])),
        ("three_bits_changed", seed(counted, [3, 1, 0, 0, 1, 0, 2], &[0xff; 200])),
        ("part_of_a_block", seed([0xff; 32], [0; 7], &[0xff; 7])),
        ("no_message", seed([0; 32], [0; 7], &[])),
        ("sum_over_the_modulus", seed(two, [0; 7], &[0xff; 16])),
        ("sum_below_the_modulus", seed(two, [0; 7], &near)),
    ]
    .into_iter()
}
