//! What the gate hands to the server: a message of 5 bytes, and behind it here the text of the keys, which
//! in truth comes in a file of its own.
//!
//! Of the message, every byte is read, and encoding gives it back; another version is refused by its
//! number. A text that is taken is exactly what the format's description says, read again by a second
//! reader; one that is not is refused with the number of a line that there is.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};
use ruroco_ipc::handover::{
    DecodeError, Handover, SIZE, VERSION,
    keys::{self, Error},
};

/// Takes any bytes for a handover.
pub fn handover(data: &[u8]) -> bool {
    let (bytes, text) = data.split_at(data.len().min(SIZE));
    match Handover::decode(bytes) {
        Err(DecodeError::Version(version)) => {
            assert_ne!(version, VERSION);
            assert_eq!(version, bytes[0]);
        }
        Err(DecodeError::Length(length)) => {
            assert_eq!(length, bytes.len());
            assert!(length < SIZE && bytes.first().is_none_or(|version| *version == VERSION));
        }
        Ok(handover) => {
            assert_eq!(bytes[0], VERSION);
            assert_eq!(handover.ring_size.to_be_bytes(), bytes[1..]);
            assert_eq!(handover.encode(), *bytes);
        }
    }
    check_keys(text);
    bytes.len() == SIZE
}

fn check_keys(text: &[u8]) {
    let expected = read(text);
    match keys::decode(text) {
        Ok(keys) => {
            assert_eq!(keys::encode(&keys).as_bytes(), text);
            let raw = |named: &ruroco_keys::named_key::NamedKey| {
                [&named.key.id.0[..], named.key.secret.expose()].concat()
            };
            let taken = keys.iter().map(|named| (named.name.clone(), raw(named))).collect();
            assert_eq!(expected, Some(taken));
        }
        Err(error) => {
            assert_eq!(expected, None, "{error}");
            if let Error::Line { line, .. } = error {
                let lines = text.split_inclusive(|byte| *byte == b'\n').count();
                assert!((1..=lines).contains(&line), "{error}");
            }
        }
    }
}

/// Names, and ids with secrets, as the description of the text has them.
fn read(text: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let text = str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let mut keys = Vec::new();
    for line in text.split('\n') {
        let (name, key) = line.split_once('\t')?;
        let base64 = key.strip_prefix("chacha20poly1305:").unwrap_or(key);
        let raw = Base64::decode_vec(base64).ok().filter(|raw| raw.len() == 40)?;
        if name.is_empty() || name.contains(char::is_control) {
            return None;
        }
        keys.push((name.to_owned(), raw));
    }
    let names: BTreeSet<_> = keys.iter().map(|(name, _)| name).collect();
    let ids: BTreeSet<_> = keys.iter().map(|(_, raw)| &raw[..8]).collect();
    (names.len() == keys.len() && ids.len() == keys.len()).then_some(keys)
}
