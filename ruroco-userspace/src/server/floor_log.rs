//! The floors as text, which is what a [`FloorFile`](super::floor_file::FloorFile) keeps: a log to
//! which one line is appended for each accepted knock.
//!
//! ```text
//! ruroco floors v1: 00000000000000000000000000000002 U2WAKVvcHPCs
//! 0001020304050607: 000000000000000017f3598501473c00 S6xbfVfcIHM5
//! 08090a0b0c0d0e0f: 000000000000000017f3598501473c00 Lpqgupu7w9pW
//! 0001020304050607: 000000000000000017f359a93c2d1e40 jADg51ex7lAz
//! ```
//!
//! Behind the header, each line is a key's id and its floor; a later line of the same key overrules,
//! and must raise. The header's number is how many of the floors were written together with it: a
//! file with fewer is not whole. Numbers are hexadecimal. The last field of every line is the BLAKE2b
//! hash, 9 bytes in base64, of all that stands before it in the file.
//!
//! Every line has 64 bytes, so that none lies in two sectors of the disk: a sector, of 512 bytes or a
//! multiple, is what a disk writes whole or not at all.

use std::{
    fmt::Display,
    io::{self, Read, Write},
};

use base64ct::{Base64, Encoding};
use blake2::{
    Blake2b,
    digest::{Digest, consts::U9},
};
use ruroco_common::datagram::KeyId;

use super::floors::Floors;

/// Size in bytes of a line, its end included.
pub const LINE_SIZE: usize = 64;

/// The same, as the length of a part of a file.
const LINE_LENGTH: u64 = 64;

/// Name of the first line, as long as a key id is.
const HEADER: &str = "ruroco floors v1";

/// Size in bytes of what stands before a line's hash: name, colon, space, number, space.
const CONTENT_SIZE: usize = 51;

/// A line of the log.
pub type Line = [u8; LINE_SIZE];

/// How far a log goes: what its next line depends on.
#[derive(Clone, Debug, Default)]
pub struct End {
    hash: Blake2b<U9>,
    lines: u64,
}

/// The content of a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// What its lines amount to.
    pub floors: Floors,
    /// Whether the last line was not written to its end, and is left out.
    pub is_torn: bool,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is a text, but not at hand.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The text is not what was written.
    #[error("line {line} is damaged")]
    Damaged {
        /// The first line that shows it, counted from 1.
        line: u64,
    },
}

impl End {
    /// How many lines there are.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.lines.saturating_mul(LINE_LENGTH)
    }

    /// The line that raises a key's floor, and the end that the log has with it.
    pub fn with_floor(&self, key: KeyId, floor: u128) -> (Line, Self) {
        self.with_line(key, floor)
    }

    fn with_line(&self, name: impl Display, number: u128) -> (Line, Self) {
        let mut line = [b'\n'; LINE_SIZE];
        let mut hash = self.hash.clone();
        let (content, rest) = line.split_at_mut(CONTENT_SIZE);
        // Neither can fail: the names have 16 characters, and the base64 of 9 bytes has 12.
        let _ = write!(&mut *content, "{name}: {number:032x} ");
        hash.update(content);
        let _ = Base64::encode(&hash.clone().finalize(), rest);
        hash.update(rest);
        (line, Self { hash, lines: self.lines.saturating_add(1) })
    }

    /// The end behind the next line, if it is this one.
    fn follow(&self, line: &Line, name: impl Display, number: u128) -> Result<Self, ReadError> {
        let (expected, end) = self.with_line(name, number);
        if expected == *line { Ok(end) } else { Err(self.damage_behind()) }
    }

    fn damage_behind(&self) -> ReadError {
        ReadError::Damaged { line: self.lines.saturating_add(1) }
    }
}

/// Writes a log with one line for each floor; gives its end.
///
/// # Errors
/// Those of `text`.
pub fn write(floors: &Floors, text: &mut impl Write) -> io::Result<End> {
    let count = u128::try_from(floors.len()).unwrap_or(u128::MAX);
    let (line, mut end) = End::default().with_line(HEADER, count);
    text.write_all(&line)?;
    for (key, floor) in floors.iter() {
        let (line, longer) = end.with_floor(key, floor);
        text.write_all(&line)?;
        end = longer;
    }
    Ok(end)
}

/// Reads a log; the inverse of [`write()`].
///
/// Behind the lines that were written together, the last one may be torn: it ends too early, or is
/// all zero, which is what a file system may show of a file that had grown but not been written
/// when the power went. Whoever appended it was never told that it was there.
///
/// # Errors
/// [`ReadError::Damaged`] if it is anything else than what was written.
pub fn read(mut text: impl Read) -> Result<Content, ReadError> {
    let (mut end, mut floors) = (End::default(), Floors::default());
    let Next::Line(header) = next(&mut text)? else { return Err(end.damage_behind()) };
    let together = number(&header).ok_or(end.damage_behind())?;
    end = end.follow(&header, HEADER, together)?;
    let together = together.saturating_add(end.lines().into());
    let is_torn = loop {
        match next(&mut text)? {
            Next::Line(line) => {
                let (key, floor) = key(&line).zip(number(&line)).ok_or(end.damage_behind())?;
                if !floors.is_below(key, floor) {
                    return Err(end.damage_behind());
                }
                // Whatever could have been read wrongly makes another line.
                end = end.follow(&line, key, floor)?;
                floors.raise(key, floor);
            }
            Next::Torn => break true,
            Next::End => break false,
        }
    };
    if u128::from(end.lines()) < together {
        return Err(end.damage_behind());
    }
    Ok(Content { floors, is_torn })
}

/// What may come next in a log.
enum Next {
    Line(Line),
    Torn,
    End,
}

fn next(text: &mut impl Read) -> io::Result<Next> {
    let mut read_line = || {
        let mut line = [0; LINE_SIZE];
        let length = io::copy(&mut text.take(LINE_LENGTH), &mut &mut line[..])?;
        io::Result::Ok((line, length))
    };
    Ok(match read_line()? {
        (_, 0) => Next::End,
        (line, LINE_LENGTH) if line != [0; LINE_SIZE] => Next::Line(line),
        (zeros, LINE_LENGTH) if read_line()?.1 > 0 => Next::Line(zeros),
        _ => Next::Torn,
    })
}

fn key(line: &Line) -> Option<KeyId> {
    let key = u64::from_str_radix(str::from_utf8(line.get(..16)?).ok()?, 16).ok()?;
    Some(KeyId(key.to_be_bytes()))
}

fn number(line: &Line) -> Option<u128> {
    u128::from_str_radix(str::from_utf8(line.get(18..50)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);
    const OTHER: KeyId = KeyId([8, 9, 10, 11, 12, 13, 14, 15]);
    const FLOOR: u128 = 1_725_821_510_000_000_000;

    /// Whole content, or the first damaged line.
    fn read(text: &[u8]) -> Result<Content, u64> {
        super::read(text).map_err(|error| match error {
            ReadError::Io(error) => panic!("{error}"),
            ReadError::Damaged { line } => line,
        })
    }

    fn write(floors: &Floors) -> (Vec<u8>, End) {
        let mut text = Vec::new();
        let end = super::write(floors, &mut text).unwrap();
        (text, end)
    }

    /// A floor that was written together with the header, and three lines that were appended.
    fn log() -> Vec<u8> {
        let floors = Floors::at(FLOOR, [ONE].into_iter());
        let (mut text, mut end) = write(&floors);
        for (key, floor) in [(OTHER, FLOOR), (ONE, FLOOR + 1), (ONE, FLOOR + 2)] {
            let (line, longer) = end.with_floor(key, floor);
            assert_eq!(usize::try_from(end.size()), Ok(text.len()));
            text.extend_from_slice(&line);
            end = longer;
        }
        text
    }

    #[test]
    fn a_log_is_text_in_lines_of_64_characters() {
        assert_eq!(
            str::from_utf8(&log()).unwrap(),
            "\
ruroco floors v1: 00000000000000000000000000000001 8InuDCk4xZvL\n\
0001020304050607: 000000000000000017f3598501473c00 BK7fZK6cWpP7\n\
08090a0b0c0d0e0f: 000000000000000017f3598501473c00 Xj2CTIXH1R+n\n\
0001020304050607: 000000000000000017f3598501473c01 INw+4s5Z+nWP\n\
0001020304050607: 000000000000000017f3598501473c02 64dFlsWO71pb\n"
        );
    }

    #[test]
    fn the_last_line_of_a_key_counts() {
        let Content { floors, is_torn } = read(&log()).unwrap();
        assert_eq!((floors.of(ONE), floors.of(OTHER)), (Some(FLOOR + 2), Some(FLOOR)));
        assert!(!is_torn);
    }

    #[test]
    fn one_changed_bit_anywhere_is_damage() {
        let whole = log();
        let (lines, _) = whole.as_chunks::<LINE_SIZE>();
        for (index, number) in (0..lines.len()).zip(1..) {
            for bit in 0..LINE_SIZE * 8 {
                let mut changed = lines.to_vec();
                changed[index][bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(changed.as_flattened()), Err(number), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_line_that_is_missing_or_elsewhere_is_damage() {
        let whole = log();
        let (lines, _) = whole.as_chunks::<LINE_SIZE>();
        for (missing, line) in (0..lines.len() - 1).zip(1..) {
            let mut fewer = lines.to_vec();
            fewer.remove(missing);
            assert_eq!(read(fewer.as_flattened()), Err(line));
            let mut exchanged = lines.to_vec();
            exchanged.swap(missing, missing + 1);
            assert_eq!(read(exchanged.as_flattened()), Err(line));
        }
    }

    #[test]
    fn a_line_that_does_not_raise_is_damage() {
        for floor in [FLOOR - 1, FLOOR] {
            let (mut text, end) = write(&Floors::at(FLOOR, [ONE].into_iter()));
            text.extend_from_slice(&end.with_floor(ONE, floor).0);
            assert_eq!(read(&text), Err(3));
        }
    }

    #[test]
    fn only_what_was_appended_can_be_torn() {
        let whole = log();
        let (lines, _) = whole.as_chunks::<LINE_SIZE>();
        let together = 2 * LINE_SIZE;
        for length in 0..whole.len() {
            let cut = read(&whole[..length]);
            if length < together {
                let line = if length < LINE_SIZE { 1 } else { 2 };
                assert_eq!(cut, Err(line), "{length}");
                continue;
            }
            let before = read(lines[..length / LINE_SIZE].as_flattened()).unwrap();
            let is_torn = length % LINE_SIZE != 0;
            assert_eq!(cut, Ok(Content { is_torn, ..before }), "{length}");
        }
    }

    #[test]
    fn one_line_of_zeros_is_torn_and_two_are_damage() {
        let mut text = log();
        let before = read(&text).unwrap();
        text.extend_from_slice(&[0; LINE_SIZE]);
        assert_eq!(read(&text), Ok(Content { is_torn: true, ..before }));
        for more in [1, LINE_SIZE] {
            let mut longer = text.clone();
            longer.resize(text.len() + more, 0);
            assert_eq!(read(&longer), Err(6));
        }
    }

    proptest! {
        #[test]
        fn floors_survive_being_written_down(floors: Vec<([u8; 8], u128)>) {
            let floors = floors.into_iter().fold(Floors::default(), |floors, (key, floor)| {
                floors.with_new(floor, [KeyId(key)].into_iter())
            });
            let (text, end) = write(&floors);
            prop_assert_eq!(usize::try_from(end.size()), Ok(text.len()));
            prop_assert_eq!(read(&text), Ok(Content { floors, is_torn: false }));
        }
    }
}
