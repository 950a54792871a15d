//! What the server, which records refused knocks of known keys, and the operator's tools, which show
//! them, have to agree on.
//!
//! The server has no socket for questions, so it leaves a file in `state_dir`. The file is written
//! in place and never grows: [`RECORDS`] lines of [`SIZE`] bytes, each
//!
//! `SEQUENCE TIME KEY_ID REASON ADDRESS`
//!
//! padded with spaces, or blank. The greatest sequence number is the latest record. The file belongs to
//! the server's user: who reads it as root takes nothing in it for granted.

use std::{
    io::{self, Write},
    net::IpAddr,
};

use ruroco_common::datagram::KeyId;

/// File name in `state_dir`.
pub const FILE: &str = "refusals";

/// How many records there is room for.
pub const RECORDS: usize = 64;

/// Size in bytes of each.
pub const SIZE: usize = 160;

/// Size in bytes of the file.
pub const FILE_SIZE: usize = RECORDS * SIZE;

/// Longest time, without the `Z`.
const MAX_TIME: usize = 30;

/// Longest name of a reason.
const MAX_REASON: usize = 32;

/// The last refusal of a key for one reason, with texts of type `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// Greater than that of every earlier record.
    pub sequence: u64,
    /// When (RFC 3339, UTC).
    pub time: T,
    /// Whose knock it was.
    pub key: KeyId,
    /// Why it was refused.
    pub reason: T,
    /// Where it came from.
    pub address: IpAddr,
}

/// One record as it is in the file, or a blank one.
pub type Line = [u8; SIZE];

/// A line without a record.
pub const BLANK: Line = {
    let mut line = [b' '; SIZE];
    line[SIZE - 1] = b'\n';
    line
};

impl Record<&str> {
    /// The record as a line. Allocates nothing.
    ///
    /// # Errors
    /// If it is too long for one.
    pub fn encode(&self) -> io::Result<Line> {
        let Self { sequence, time, key, reason, address } = self;
        let mut line = BLANK;
        let text = line.split_last_mut().map(|(_, text)| text).unwrap_or_default();
        write!(&mut text[..], "{sequence} {time} {key} {reason} {address}")?;
        Ok(line)
    }
}

impl Record<String> {
    /// The record in a line; `None` if there is not exactly one.
    pub fn decode(line: &[u8]) -> Option<Self> {
        let text = str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let mut words = text.trim_end_matches(' ').split(' ');
        let mut next = || words.next().filter(|word| !word.is_empty());
        let sequence = number(next()?)?;
        let time = next()?;
        let key = key_id(next()?)?;
        let reason = next()?;
        let address = next()?.parse().ok()?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let is_reason = reason.len() <= MAX_REASON && reason.bytes().all(is_name);
        let is_whole = is_time(time) && is_reason && next().is_none();
        let (time, reason) = (time.to_owned(), reason.to_owned());
        is_whole.then_some(Self { sequence, time, key, reason, address })
    }
}

/// A number as it is written, without a sign or spare zeros.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Whether a text may be a time in RFC 3339, in UTC: it is only shown.
fn is_time(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || b"-:.T".contains(&byte);
    let digits = text.strip_suffix('Z').unwrap_or_default();
    (10..=MAX_TIME).contains(&digits.len()) && digits.bytes().all(is_part)
}

fn key_id(text: &str) -> Option<KeyId> {
    let bytes = u64::from_str_radix(text, 16).ok()?.to_be_bytes();
    let id = KeyId(bytes);
    (id.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIME: &str = "2026-01-31T12:00:00.123456Z";

    fn record(reason: &str, address: &str) -> Line {
        let address = address.parse().unwrap();
        let key = KeyId([0, 1, 2, 3, 0xab, 5, 6, 0xff]);
        Record { sequence: u64::MAX, time: TIME, key, reason, address }.encode().unwrap()
    }

    #[test]
    fn a_line_holds_a_record_and_a_person_can_read_it() {
        let line = record("wrong_destination", "2001:db8::1");
        let text =
            format!("18446744073709551615 {TIME} 00010203ab0506ff wrong_destination 2001:db8::1");
        assert_eq!(str::from_utf8(&line).unwrap(), format!("{text:<0$}\n", SIZE - 1));
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let decoded = Record::decode(&record(&"x".repeat(MAX_REASON), longest)).unwrap();
        assert_eq!(decoded.address.to_string(), longest);
        assert!(Record::decode(&BLANK).is_none());
    }

    #[test]
    fn what_the_server_would_not_write_is_no_record() {
        let good = "1 2026-01-31T12:00:00Z 0001020304050607 forged 192.0.2.1";
        let line = |text: &str| format!("{text:<0$}\n", SIZE - 1).into_bytes();
        assert!(Record::decode(&line(good)).is_some());
        for (old, new) in [
            ("1 2", "+1 2"),
            ("1 2", "01 2"),
            ("1 2", "1  2"),
            ("1 2", "18446744073709551616 2"),
            ("00Z", "00"),
            ("00Z", "0\u{9b}Z"),
            ("0001020304050607", "+001020304050607"),
            ("0001020304050607", "00010203040506070"),
            ("forged", "for\u{1b}[2Jged"),
            ("forged", "FORGED"),
            ("192.0.2.1", "192.0.2.1 x"),
            ("192.0.2.1", "192.0.2.1\n"),
            ("192.0.2.1", "example.org"),
            (" 192.0.2.1", ""),
        ] {
            assert_eq!(Record::decode(&line(&good.replace(old, new))), None, "{new:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_decoded_is_what_was_encoded(
            sequence: u64, time in "[0-9T:.-]{10,30}Z", key: [u8; 8], reason in "[a-z_]{1,32}", address: IpAddr,
        ) {
            let key = KeyId(key);
            let line =
                Record { sequence, time: &*time, key, reason: &*reason, address }.encode().unwrap();
            let decoded = Record::decode(&line).unwrap();
            prop_assert_eq!(decoded, Record { sequence, time, key, reason, address });
        }

        #[test]
        fn no_bytes_make_the_reader_fail(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }
}
