//! `docs/evaluate/protocol.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    mem::offset_of,
    net::IpAddr,
};

use ruroco_common::{
    address::Address,
    command::CommandHash,
    datagram::{self, Datagram},
    plaintext::{self, Plaintext},
};
use ruroco_keys::key::{Cipher, Key};
use ruroco_seal::Aead;
use zerocopy::{FromBytes, IntoBytes};

use super::{page, quoted, section, table};

const PAGE: &str = "evaluate/protocol.md";

#[test]
fn each_vector_is_what_the_library_makes() {
    let page = page(PAGE);
    let vectors = vectors(&page);
    let mut kinds = BTreeSet::new();
    for vector in &vectors {
        let key = Key::parse(vector["key"]).unwrap();
        let claimed_source = match vector["source"] {
            "none" => None,
            address => Some(address.parse::<IpAddr>().unwrap().into()),
        };
        let said = Plaintext {
            command: CommandHash::of(vector["command"]),
            counter: vector["counter"].parse().unwrap(),
            strict: vector["strict"].parse::<u8>().unwrap() != 0,
            claimed_source,
            destination: vector["destination"].parse::<IpAddr>().unwrap().into(),
        };
        let nonce = bytes(vector["nonce"]).try_into().unwrap();
        let sealed = Aead::new(&key).seal(nonce, said.encode()).unwrap();
        let (plain, packet) = (hex(&said.encode()), hex(sealed.as_bytes()));
        assert_eq!(
            (vector["plaintext"], vector["packet"]),
            (&*plain, &*packet),
            "the library makes:\nplaintext   {plain}\npacket      {packet}\n",
        );
        // Not only because both ways have the same fault.
        let packet = Datagram::read_from_bytes(&bytes(vector["packet"])).unwrap();
        let opened = Aead::new(&key).open(&packet).unwrap();
        assert_eq!(Plaintext::decode(&opened), Ok(said));
        kinds.insert((key.cipher == Cipher::Aes256GcmSiv, said.destination.is_ipv4()));
        kinds.insert((said.strict, said.claimed_source.is_some()));
    }
    assert!(vectors.len() >= 4 && kinds.len() == 4, "too few kinds of vectors: {kinds:?}");
}

#[test]
fn the_fields_of_a_datagram_stand_where_the_page_says() {
    let page = page(PAGE);
    let rows = table(section(&page, "## The datagram"));
    let offsets = [
        offset_of!(Datagram, key_id),
        offset_of!(Datagram, nonce),
        offset_of!(Datagram, tag),
        offset_of!(Datagram, ciphertext),
    ];
    assert_layout(&rows, datagram::SIZE);
    assert_eq!(rows.iter().map(|row| number(row[0])).collect::<Vec<_>>(), offsets);
}

#[test]
fn the_fields_of_a_plaintext_stand_where_the_page_says() {
    let page = page(PAGE);
    let rows = table(section(&page, "## The plaintext"));
    assert_layout(&rows, plaintext::SIZE);
    // One byte of each field, and what it changes.
    let of_byte = |at: usize| {
        let mut bytes = [0; plaintext::SIZE];
        bytes[0] = plaintext::VERSION;
        let before = Plaintext::decode(&bytes).unwrap();
        bytes[at] ^= 0x80;
        match Plaintext::decode(&bytes) {
            Err(_) => "version",
            Ok(after) if after.command != before.command => "command hash",
            Ok(after) if after.counter != before.counter => "counter",
            Ok(after) if after.strict != before.strict => "strict",
            Ok(after) if after.claimed_source != before.claimed_source => "claimed source",
            Ok(after) if after.destination != before.destination => "destination",
            Ok(_) => panic!("byte {at} says nothing"),
        }
    };
    for row in rows {
        let (first, size) = (number(row[0]), number(row[1]));
        for at in first..first + size {
            assert!(row[2].starts_with(of_byte(at)), "byte {at} is {}: {row:?}", of_byte(at));
        }
    }
}

#[test]
fn each_name_has_the_hash_that_the_page_says() {
    let page = page(PAGE);
    let rows = table(section(&page, "### The command hash"));
    assert!(rows.len() > 2);
    for row in rows {
        let name = quoted(row[0]).first().copied().unwrap_or_default();
        assert_eq!(quoted(row[1]), [CommandHash::of(name).to_string()], "{name:?}");
    }
}

#[test]
fn each_address_has_the_bytes_that_the_page_says() {
    let page = page(PAGE);
    for row in table(section(&page, "### Addresses")) {
        let address: IpAddr = quoted(row[0])[0].parse().unwrap();
        assert_eq!(quoted(row[1]), [hex(&Address::from(address).to_bytes())], "{address}");
    }
}

/// The blocks of the page that are vectors, as names and values.
fn vectors(page: &str) -> Vec<BTreeMap<&str, &str>> {
    let blocks = page.split("```").skip(1).step_by(2);
    let blocks = blocks.filter_map(|block| block.strip_prefix("text\n"));
    blocks
        .filter(|block| block.starts_with("key "))
        .map(|block| block.lines().filter_map(|line| line.split_once(' ')))
        .map(|lines| lines.map(|(name, value)| (name, value.trim())).collect())
        .collect()
}

/// Offsets and sizes fit together, and make the whole.
fn assert_layout(rows: &[Vec<&str>], size: usize) {
    let end = rows.iter().fold(0, |end, row| {
        assert_eq!(number(row[0]), end, "{row:?}");
        end + number(row[1])
    });
    assert_eq!(end, size);
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
