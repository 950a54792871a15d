//! The floors of upstream ruroco: any bytes, and the same as the content of one that has a frame.
//!
//! What is read is what a second reader makes of it that was written from the specification of
//! MessagePack; and whatever is read is refused when it is cut off anywhere, or longer. A floor that is
//! lost or read too low lets a packet run twice.

use std::{collections::BTreeMap, ops::Range};

use ruroco_operator::import::blocklist::{Malformed, decode};

/// Longest content that is looked at, in bytes: some ten keys.
const MAX_SIZE: usize = 400;

/// Takes any bytes for a `blocklist.msgpck`.
pub fn upstream_blocklist(data: &[u8]) -> bool {
    let data = &data[..data.len().min(MAX_SIZE)];
    check(data);
    check(&[&[0x91], data].concat());
    check(&[&[0x91, 0x81], data].concat());
    check(&[&[0x91, 0x82], data].concat());
    matches!(data.first(), Some(0x81 | 0x91))
}

fn check(content: &[u8]) {
    let ours = decode(content);
    if let Err(Malformed::At(place)) = ours {
        assert!(place <= content.len(), "byte {place} of {}", content.len());
    }
    let ours =
        ours.ok().map(|floors| floors.iter().map(|floor| (floor.key.0, floor.counter)).collect());
    assert_eq!(ours, read(content), "{}", content.escape_ascii());
    if ours.is_some() {
        for length in 0..content.len() {
            assert!(decode(&content[..length]).is_err(), "{length} bytes of it are taken");
        }
        assert!(decode(&[content, &[0]].concat()).is_err(), "more than it is taken");
    }
}

/// What the description of the format makes of a content.
fn read(content: &[u8]) -> Option<BTreeMap<[u8; 8], u128>> {
    let mut rest = Rest(content);
    match rest.byte()? {
        first @ (0x90..=0x9f | 0xdc | 0xdd) => {
            let length = rest.length(first, 0x90..0xa0, [None, Some(0xdc), Some(0xdd)])?;
            (length == 1).then_some(())?;
        }
        first => {
            let length = rest.length(first, 0x80..0x90, [None, Some(0xde), Some(0xdf)])?;
            (length == 1).then_some(())?;
            let name = rest.byte()?;
            let name = rest.length(name, 0xa0..0xc0, [Some(0xd9), Some(0xda), Some(0xdb)])?;
            (rest.bytes(name)? == b"map").then_some(())?;
        }
    }
    let count = rest.byte()?;
    let count = rest.length(count, 0x80..0x90, [None, Some(0xde), Some(0xdf)])?;
    let mut floors = BTreeMap::new();
    for _ in 0..count {
        let (id, floor) = (rest.id()?, rest.binary::<16>()?);
        let before = floors.insert(id, u128::from_be_bytes(floor));
        before.is_none().then_some(())?;
    }
    rest.0.is_empty().then_some(floors)
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self, size: usize) -> Option<u64> {
        let bytes = self.bytes(size)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A length: in the first byte, or in the 1, 2 or 4 bytes behind it, if there is such a form.
    fn length(&mut self, first: u8, short: Range<u8>, long: [Option<u8>; 3]) -> Option<usize> {
        if short.contains(&first) {
            return Some(usize::from(first - short.start));
        }
        let form = long.into_iter().position(|form| form == Some(first))?;
        usize::try_from(self.number(1 << form)?).ok()
    }

    fn id(&mut self) -> Option<[u8; 8]> {
        match self.0.first()? {
            0x90..=0x9f | 0xdc | 0xdd => {
                let first = self.byte()?;
                let length = self.length(first, 0x90..0xa0, [None, Some(0xdc), Some(0xdd)])?;
                (length == 8).then_some(())?;
                let bytes: Option<Vec<u8>> = (0..8).map(|_| self.small_number()).collect();
                bytes?.try_into().ok()
            }
            _ => self.binary(),
        }
    }

    /// A number that fits into a byte, whatever it is written as.
    fn small_number(&mut self) -> Option<u8> {
        let number = match self.byte()? {
            number @ 0..=0x7f => number.into(),
            // Unsigned, and signed of which the first bit must then be 0.
            form @ 0xcc..=0xcf => self.number(1 << (form - 0xcc))?,
            form @ 0xd0..=0xd3 => {
                let size = 1 << (form - 0xd0);
                self.number(size).filter(|number| number >> (8 * size - 1) == 0)?
            }
            _ => return None,
        };
        u8::try_from(number).ok()
    }

    fn binary<const SIZE: usize>(&mut self) -> Option<[u8; SIZE]> {
        let first = self.byte()?;
        // No length stands in the first byte.
        let length = self.length(first, 0..0, [Some(0xc4), Some(0xc5), Some(0xc6)])?;
        self.bytes(length)?.try_into().ok()
    }
}
