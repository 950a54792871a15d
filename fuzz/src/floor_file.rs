//! The file of floors: any bytes, the same with right hashes, and lines made from them.
//!
//! What is read, or on which line it is refused, is what a second reader makes of it that was
//! written from the description of the format; what was read survives being written down; and
//! whatever was accepted is refused once a bit of a whole line has changed. A floor that is read too
//! low lets a packet run twice.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use blake2::{
    Blake2b,
    digest::{Digest, consts::U9},
};
use ruroco_server::{
    floor_log::{self, Header, LINE_SIZE, ReadError},
    floors::Floors,
};

/// Most lines that are looked at. A line depends on those before it only by their hash and by the
/// floors that they raise.
const MAX_LINES: usize = 12;

/// The end of a line: its hash, and the character that ends it.
const HASH_SIZE: usize = 13;

/// Floors by key id, and whether a last line is torn, if there is a log; or the line on which it is refused.
type Reading = Result<Option<(BTreeMap<[u8; 8], u128>, bool)>, u64>;

/// Takes any bytes for a file of floors.
pub fn floor_file(data: &[u8]) -> bool {
    let data = &data[..data.len().min(MAX_LINES * LINE_SIZE)];
    check(data);
    check(&with_right_hashes(data.to_vec()));
    check(&with_right_hashes(lines_of(data)));
    true
}

fn check(text: &[u8]) {
    let read = read(text);
    let ours: Reading =
        read.clone().map(|log| log.map(|(floors, is_torn)| (map(&floors), is_torn)));
    assert_eq!(ours, expected(text), "{}", text.escape_ascii());
    let Ok(Some((floors, _))) = read else { return };

    let room = u32::try_from(floors.len()).unwrap() + 3;
    let mut written = Vec::new();
    let end = floor_log::write(&floors, Header { generation: 1, room }, &mut written).unwrap();
    assert_eq!(
        (end.lines() + 2, written.len()),
        (room, LINE_SIZE * usize::try_from(room).unwrap())
    );
    assert_eq!(self::read(&written), Ok(Some((floors, false))));

    // Any bit of a line that counts, but the same one for the same text.
    let any = text.iter().fold(0, |sum: usize, byte| sum * 31 % 65_521 + usize::from(*byte));
    let bit = any % (lines_written(text) * LINE_SIZE * 8);
    let mut changed = text.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    let line = u64::try_from(bit / 8 / LINE_SIZE).unwrap() + 1;
    assert_eq!(self::read(&changed), Err(line), "bit {bit}");
}

/// What is read, or on which line it is refused.
fn read(text: &[u8]) -> Result<Option<(Floors, bool)>, u64> {
    match floor_log::read(text) {
        Ok(log) => Ok(log.map(|log| (log.floors, log.is_torn))),
        Err(ReadError::Damaged { line }) => Err(line),
        Err(ReadError::Io(error)) => panic!("{error}"),
    }
}

/// How many lines there are before the first one that ends too early or with a zero.
fn lines_written(text: &[u8]) -> usize {
    let lines = text.as_chunks::<LINE_SIZE>().0;
    lines.iter().position(|line| line.ends_with(&[0])).unwrap_or(lines.len())
}

fn map(floors: &Floors) -> BTreeMap<[u8; 8], u128> {
    floors.iter().map(|(key, floor)| (key.0, floor)).collect()
}

/// What the description of the format makes of a text.
fn expected(text: &[u8]) -> Reading {
    let (lines, rest) = text.split_at(lines_written(text) * LINE_SIZE);
    let lines = lines.as_chunks::<LINE_SIZE>().0;
    let (torn, rest) = rest.split_at(rest.len().min(LINE_SIZE));
    let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if lines.is_empty() && is_blank(torn) && is_blank(rest) {
        return Ok(None);
    }
    let (mut floors, mut together) = (BTreeMap::new(), 1);
    for (line, place) in lines.iter().zip(1..) {
        let (name, rest) = line.split_at(16);
        let number = hexadecimal(&rest[2..34]).ok_or(place)?;
        let hash = hash(&text[..usize::try_from(place).unwrap() * LINE_SIZE - HASH_SIZE]);
        if rest != [b": ", &rest[2..34], b" ", &hash].concat() {
            return Err(place);
        }
        if place == 1 {
            together = match name {
                b"ruroco floors v1" => number,
                b"ruroco floors v2" => number & 0xffff_ffff,
                _ => return Err(1),
            };
            continue;
        }
        let key = u64::try_from(hexadecimal(name).ok_or(place)?).unwrap().to_be_bytes();
        if floors.insert(key, number).is_some_and(|before| before >= number) {
            return Err(place);
        }
    }
    let lines = u64::try_from(lines.len()).unwrap();
    match lines.checked_sub(1) {
        Some(count) if u128::from(count) >= together && is_blank(rest) => {
            Ok(Some((floors, !is_blank(torn))))
        }
        _ => Err(lines + 1),
    }
}

/// Digits as they are written: none of them a capital, and no sign before them.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    let are_digits = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    are_digits.then(|| u128::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
}

/// The end of a line, from all that stands before it.
fn hash(text: &[u8]) -> [u8; HASH_SIZE] {
    let hash: [u8; 9] = Blake2b::<U9>::digest(text).into();
    [Base64::encode_string(&hash).as_bytes(), b"\n"].concat().try_into().unwrap()
}

/// The text as it would be had its lines been written as they are; those of zeros excepted, which
/// were not written.
fn with_right_hashes(mut text: Vec<u8>) -> Vec<u8> {
    for end in (1..=text.len() / LINE_SIZE).map(|lines| lines * LINE_SIZE) {
        if text[end - LINE_SIZE..end] != [0; LINE_SIZE] {
            let hash = hash(&text[..end - HASH_SIZE]);
            text[end - HASH_SIZE..end].copy_from_slice(&hash);
        }
    }
    text
}

/// A header, and a line for every three bytes, of few keys and few floors, without their hashes.
fn lines_of(data: &[u8]) -> Vec<u8> {
    let (together, data) = data.split_first().unwrap_or((&0, &[]));
    let generation_and_room = [0, 0x1234_0000_0005_u128 << 32][usize::from(together / 4 % 2)];
    let version = 1 + together / 4 % 2;
    let header = format!(
        "ruroco floors v{version}: {:032x}",
        generation_and_room | u128::from(together % 4)
    );
    let line = |[key, high, low]: &[u8; 3]| {
        format!("{:016x}: {:032x}", key % 4, u16::from_be_bytes([*high, *low]))
    };
    let lines = data.as_chunks().0.iter().take(MAX_LINES).map(line);
    [header].into_iter().chain(lines).flat_map(|line| format!("{line:<64}").into_bytes()).collect()
}
