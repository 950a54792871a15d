//! A key of upstream ruroco makes packets as upstream makes them. They are taken apart by code that
//! shares nothing with the client (`rfc8452`), and held against a packet that upstream's server is
//! known to accept (docs/evaluate/protocol.md). Python's `cryptography`, that is, OpenSSL, takes them apart, too,
//! where it is to be had, and always in `cargo xtask test`.

use std::process::Command;

use ruroco_keys::key::Key;

use crate::{
    harness::{Ended, Laptop},
    rfc8452,
};

const KEY: &str = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// Asks for `default`, strict, without a claimed address, at 127.0.0.1.
const UPSTREAM: &str = "0001020304050607a0a1a2a3a4a5a6a7a8a9aaabf125dd6e758957aaa88f67dbcef8ddb20bf7c25543c7ef8e9e0c47c4\
                        1cdd74786574931dee77fe5f7828ea876c5b2b637c8aad7ae87f6dd18d53fe371c80ca77db95600ff4ccb53180e5";

/// Where the counter is in the plaintext.
const COUNTER: std::ops::Range<usize> = 9..25;

type Packet = [u8; 94];

fn upstream() -> Packet {
    let byte = |i: usize| u8::from_str_radix(&UPSTREAM[2 * i..2 * i + 2], 16).unwrap();
    std::array::from_fn(byte)
}

fn secret() -> [u8; 32] {
    std::array::from_fn(|i| 0x20 + i as u8)
}

fn nonce(packet: &Packet) -> [u8; 12] {
    packet[8..20].try_into().unwrap()
}

fn content(packet: &Packet) -> Vec<u8> {
    let tag = packet[20..36].try_into().unwrap();
    rfc8452::open(&secret(), &nonce(packet), &tag, &packet[36..]).expect("the tag is right")
}

/// The content of a packet, by Python; none if there is no Python with AES-256-GCM-SIV.
fn content_by_python(packet: &Packet) -> Option<Vec<u8>> {
    const NOT_THERE: i32 = 77;
    const SCRIPT: &str = "
import sys
try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
    cipher = AESGCMSIV(bytes(range(0x20, 0x40)))
except Exception:
    sys.exit(77)
packet = bytes.fromhex(sys.argv[1])
print(cipher.decrypt(packet[8:20], packet[36:] + packet[20:36], b'').hex())
";
    // `cargo xtask test` has one made, and then it has to be able to.
    let made = std::env::var_os("RUROCO_PYTHON");
    let python = made.clone().unwrap_or_else(|| "python3".into());
    let python = Command::new(python).args(["-c", SCRIPT, &hex(packet)]).output().ok()?;
    if made.is_none() && python.status.code() == Some(NOT_THERE) {
        return None;
    }
    let output = Ended::of(python).expect(0).output;
    let (bytes, _) = output.trim().as_bytes().as_chunks::<2>();
    let byte = |hex: &[u8; 2]| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap();
    Some(bytes.iter().map(byte).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_packet_differs_from_upstreams_only_in_nonce_and_counter() {
    let laptop = Laptop::with_key(Key::parse(KEY).unwrap(), "");
    laptop.client(&["knock", "home", "default"]).expect(0);
    let ours = laptop.datagram();
    let (mut our_content, their_content) = (content(&ours), content(&upstream()));
    assert_eq!(ours[..8], upstream()[..8], "the key id");
    assert_ne!(nonce(&ours), nonce(&upstream()));
    match content_by_python(&ours) {
        Some(content) => assert_eq!(content, our_content),
        None => eprintln!("Python has no AES-256-GCM-SIV here, and was not asked"),
    }
    assert_eq!(our_content[COUNTER], laptop.counter().unwrap().to_be_bytes());
    our_content[COUNTER].copy_from_slice(&their_content[COUNTER]);
    assert_eq!(our_content, their_content);

    // With upstream's nonce and counter it is upstream's packet, to the byte.
    let (tag, text) = rfc8452::seal(&secret(), &nonce(&upstream()), &our_content);
    let again = [&ours[..8], &nonce(&upstream()), &tag, &text].concat();
    assert_eq!(again, upstream());
}

#[test]
fn every_field_is_where_upstream_has_it() {
    let laptop = Laptop::with_key(Key::parse(KEY).unwrap(), "");
    let flags = ["--permissive", "--ip", "2001:db8::7"];
    laptop.client(&[&["knock", "home", "open_port"][..], &flags].concat()).expect(0);
    let content = content(&laptop.datagram());
    assert_eq!(content[0], 1, "version");
    assert_eq!(content[1..9], 0x9b93_0839_59d8_550a_u64.to_be_bytes(), "command");
    assert_eq!(content[COUNTER], laptop.counter().unwrap().to_be_bytes());
    assert_eq!(content[25], 0, "not strict");
    let claimed: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
    assert_eq!(content[26..42], claimed.octets());
    let destination: std::net::Ipv6Addr = "::ffff:127.0.0.1".parse().unwrap();
    assert_eq!(content[42..], destination.octets());
}
