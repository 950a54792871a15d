//! The floors as text, which is what a [`FloorFile`](super::floor_file::FloorFile) keeps: a log to
//! which one line is added for each accepted knock.
//!
//! ```text
//! ruroco floors v2: 00000000000000070000100000000002 GmJqgJDbRIvP
//! 0001020304050607: 000000000000000017f3598501473c00 EUKH6vQtKzke
//! 08090a0b0c0d0e0f: 000000000000000017f3598501473c00 NfSMnALhQG0k
//! 0001020304050607: 000000000000000017f359a93c2d1e40 8AIqHMXR2LfO
//! ```
//!
//! Behind the header, each line is a key's id and its floor; a later line of the same key overrules,
//! and must raise. Numbers are hexadecimal. The header's number has three parts: the log's generation
//! (16 digits), how many lines there is room for (8), and how many of the floors were written together
//! with the header (8): a log with fewer is not whole. The last field of every line is the BLAKE2b
//! hash, 9 bytes in base64, of all that stands before it in the log. It depends on the generation, so a
//! line of another log that was in the same place is not mistaken for one of this log.
//!
//! Every line has 64 bytes, so that none lies in two sectors of the disk: a sector, of 512 bytes or a
//! multiple, is what a disk writes whole or not at all. Room for lines that are still to come is filled
//! with zeros, so that a line takes no new space on the disk.
//!
//! Earlier releases wrote `ruroco floors v1`, whose header's number only says how many floors were
//! written together, and whose file ends with the last line. Such logs are [read](read()) as well.
//!
//! Rationale: decision 0008.

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
const HEADER: &str = "ruroco floors v2";

/// The same of a log that ends where its file does.
const HEADER_V1: &str = "ruroco floors v1";

/// Size in bytes of what stands before a line's hash: name, colon, space, number, space.
const CONTENT_SIZE: usize = 51;

/// A line of the log.
pub type Line = [u8; LINE_SIZE];

/// How far a log goes: what its next line depends on.
#[derive(Clone, Debug, Default)]
pub struct End {
    hash: Blake2b<U9>,
    lines: u32,
}

/// What the first line of a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which of the logs of a file this is; the one with the higher number is the later one.
    pub generation: u64,
    /// How many lines there is room for, itself included.
    pub room: u32,
}

/// A log that was read.
#[derive(Debug)]
pub struct Log {
    /// Its first line; `None` if it is one of an earlier release.
    pub header: Option<Header>,
    /// What its lines amount to.
    pub floors: Floors,
    /// Where its next line belongs.
    pub end: End,
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

impl Header {
    fn number(self, together: u32) -> u128 {
        (u128::from(self.generation) << 64) | (u128::from(self.room) << 32) | u128::from(together)
    }

    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "parts of a number"
    )]
    const fn of_number(number: u128) -> (Self, u32) {
        let header = Self { generation: (number >> 64) as u64, room: (number >> 32) as u32 };
        (header, number as u32)
    }
}

impl End {
    /// How many lines there are.
    pub fn lines(&self) -> u32 {
        self.lines
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        size_of_lines(self.lines)
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
        ReadError::Damaged { line: u64::from(self.lines).saturating_add(1) }
    }
}

impl ReadError {
    /// The same in a text that stands behind so many lines.
    #[must_use]
    pub fn behind(self, lines: u64) -> Self {
        match self {
            Self::Damaged { line } => Self::Damaged { line: line.saturating_add(lines) },
            Self::Io(error) => Self::Io(error),
        }
    }
}

/// How many bytes so many lines have.
pub fn size_of_lines(lines: u32) -> u64 {
    u64::from(lines).saturating_mul(LINE_LENGTH)
}

/// Writes a log with one line for each floor, and zeros for as many more as its header says that
/// there is room for; gives its end.
///
/// # Errors
/// Those of `text`, and [`io::ErrorKind::StorageFull`] if the floors need more room.
pub fn write(floors: &Floors, header: Header, text: &mut impl Write) -> io::Result<End> {
    let together = u32::try_from(floors.len()).ok().filter(|together| *together < header.room);
    let number = header.number(together.ok_or(io::ErrorKind::StorageFull)?);
    let (line, mut end) = End::default().with_line(HEADER, number);
    text.write_all(&line)?;
    for (key, floor) in floors.iter() {
        let (line, longer) = end.with_floor(key, floor);
        text.write_all(&line)?;
        end = longer;
    }
    let left = header.room.saturating_sub(end.lines);
    io::copy(&mut io::repeat(0).take(size_of_lines(left)), text)?;
    Ok(end)
}

/// Whether a log of an earlier release begins here.
///
/// # Errors
/// Those of `text`.
pub fn is_of_earlier_release(text: &mut impl Read) -> io::Result<bool> {
    Ok(is_header_v1(&next(text)?))
}

fn is_header_v1(line: &Line) -> bool {
    line.starts_with(HEADER_V1.as_bytes())
}

/// Reads a log, which ends before the first line that was not written; `None` if not even the header
/// was.
///
/// A line that was not written to its end ends with a zero: with it ends what a crash, or a disk that
/// reported an error, has left of a line that was never confirmed.
///
/// # Errors
/// [`ReadError::Damaged`] if it is anything else than what was written.
pub fn read(mut text: impl Read) -> Result<Option<Log>, ReadError> {
    let (mut end, mut floors) = (End::default(), Floors::default());
    let mut line = next(&mut text)?;
    if is_unwritten(&line) {
        return if is_blank(&line, text)? { Ok(None) } else { Err(end.damage_behind()) };
    }
    let number = number(&line).ok_or(end.damage_behind())?;
    let (name, header, together) = if is_header_v1(&line) {
        (HEADER_V1, None, number)
    } else {
        let (header, together) = Header::of_number(number);
        (HEADER, Some(header), together.into())
    };
    end = end.follow(&line, name, number)?;
    let together = together.saturating_add(end.lines.into());
    loop {
        line = next(&mut text)?;
        if is_unwritten(&line) {
            break;
        }
        let (key, floor) = key(&line).zip(self::number(&line)).ok_or(end.damage_behind())?;
        if !floors.is_below(key, floor) {
            return Err(end.damage_behind());
        }
        // Whatever could have been read wrongly makes another line.
        end = end.follow(&line, key, floor)?;
        floors.raise(key, floor);
    }
    let is_torn = line != [0; LINE_SIZE];
    if u128::from(end.lines) < together || !is_blank(&[0; LINE_SIZE], text)? {
        return Err(end.damage_behind());
    }
    Ok(Some(Log { header, floors, end, is_torn }))
}

/// The next line, or the rest of the text filled up with zeros.
fn next(text: &mut impl Read) -> io::Result<Line> {
    let mut line = [0; LINE_SIZE];
    io::copy(&mut text.take(LINE_LENGTH), &mut &mut line[..])?;
    Ok(line)
}

fn is_unwritten(line: &Line) -> bool {
    line.last() == Some(&0)
}

/// Whether there are only zeros, in this line and in what follows it.
fn is_blank(line: &Line, mut rest: impl Read) -> io::Result<bool> {
    let mut part = [0; 16 * LINE_SIZE];
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let mut is_blank = is_zero(line);
    while is_blank {
        match rest.read(&mut part) {
            Ok(0) => break,
            Ok(length) => is_blank = part.get(..length).is_some_and(is_zero),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(is_blank)
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

    const ROOM: u32 = 8;
    const HEADER: Header = Header { generation: 7, room: ROOM };

    /// What is read, and whether its last line is torn; or the first damaged line.
    fn read(text: &[u8]) -> Result<Option<(Floors, bool)>, u64> {
        let log = super::read(text).map_err(|error| match error {
            ReadError::Io(error) => panic!("{error}"),
            ReadError::Damaged { line } => line,
        });
        log.map(|log| log.map(|log| (log.floors, log.is_torn)))
    }

    fn floors_of(text: &[u8]) -> Floors {
        read(text).unwrap().unwrap().0
    }

    /// A floor that was written together with the header, and three lines that were added; without the
    /// room for more.
    fn lines() -> Vec<Line> {
        let floors = Floors::at(FLOOR, [ONE].into_iter());
        let mut text = Vec::new();
        let mut end = write(&floors, HEADER, &mut text).unwrap();
        assert_eq!(text.len(), usize::try_from(ROOM).unwrap() * LINE_SIZE);
        for (key, floor) in [(OTHER, FLOOR), (ONE, FLOOR + 1), (ONE, FLOOR + 2)] {
            let (line, longer) = end.with_floor(key, floor);
            let at = usize::try_from(end.size()).unwrap();
            text[at..at + LINE_SIZE].copy_from_slice(&line);
            end = longer;
        }
        text.as_chunks().0[..5].to_vec()
    }

    /// The lines, and as many bytes of zeros.
    fn with_zeros(lines: &[Line], zeros: usize) -> Vec<u8> {
        [lines.as_flattened(), &vec![0; zeros]].concat()
    }

    #[test]
    fn a_log_is_text_in_lines_of_64_characters() {
        assert_eq!(
            str::from_utf8(lines().as_flattened()).unwrap(),
            "\
ruroco floors v2: 00000000000000070000000800000001 u7O8n6+HtON0\n\
0001020304050607: 000000000000000017f3598501473c00 2JftgL6GKpLg\n\
08090a0b0c0d0e0f: 000000000000000017f3598501473c00 6eXXSyOTTN0K\n\
0001020304050607: 000000000000000017f3598501473c01 UcowL7aUUHCV\n\
0001020304050607: 000000000000000017f3598501473c02 +uDZA+eFb5VQ\n"
        );
    }

    /// As 0.1.0 and others before this release have written it.
    const V1: &str = "\
ruroco floors v1: 00000000000000000000000000000001 8InuDCk4xZvL\n\
0001020304050607: 000000000000000017f3598501473c00 BK7fZK6cWpP7\n\
08090a0b0c0d0e0f: 000000000000000017f3598501473c00 Xj2CTIXH1R+n\n\
0001020304050607: 000000000000000017f3598501473c01 INw+4s5Z+nWP\n\
0001020304050607: 000000000000000017f3598501473c02 64dFlsWO71pb\n";

    #[test]
    fn a_log_of_an_earlier_release_is_read_until_its_file_ends() {
        let expected = floors_of(lines().as_flattened());
        assert_eq!(super::read(V1.as_bytes()).unwrap().unwrap().header, None);
        assert_eq!(read(V1.as_bytes()), Ok(Some((expected.clone(), false))));
        let torn = [V1.as_bytes(), &V1.as_bytes()[64..100]].concat();
        assert_eq!(read(&torn), Ok(Some((expected.clone(), true))));
        let zeros = [V1.as_bytes(), &[0; LINE_SIZE]].concat();
        assert_eq!(read(&zeros), Ok(Some((expected, false))));
        assert_eq!(read(&V1.as_bytes()[..LINE_SIZE]), Err(2), "not whole");
    }

    #[test]
    fn the_last_line_of_a_key_counts() {
        let (floors, is_torn) = read(lines().as_flattened()).unwrap().unwrap();
        assert_eq!((floors.of(ONE), floors.of(OTHER)), (Some(FLOOR + 2), Some(FLOOR)));
        assert!(!is_torn);
    }

    #[test]
    fn a_log_ends_where_its_room_was_never_written_to() {
        let lines = lines();
        for zeros in [0, 1, LINE_SIZE, 100 * LINE_SIZE + 1] {
            let (floors, is_torn) = read(&with_zeros(&lines, zeros)).unwrap().unwrap();
            assert_eq!((floors.of(ONE), is_torn), (Some(FLOOR + 2), false), "{zeros}");
        }
        for zeros in [0, 1, LINE_SIZE, 100 * LINE_SIZE] {
            assert_eq!(read(&vec![0; zeros]), Ok(None), "{zeros}");
        }
    }

    #[test]
    fn there_is_no_log_without_room_for_its_floors() {
        let floors = Floors::at(FLOOR, [ONE, OTHER].into_iter());
        for (room, has_room) in [(0, false), (2, false), (3, true)] {
            let written = write(&floors, Header { room, ..HEADER }, &mut Vec::new());
            assert_eq!(written.is_ok(), has_room, "{room}");
        }
    }

    #[test]
    fn one_changed_bit_anywhere_is_damage() {
        let whole = lines();
        for (index, number) in (0..whole.len()).zip(1..) {
            for bit in 0..LINE_SIZE * 8 {
                let mut changed = whole.clone();
                changed[index][bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(changed.as_flattened()), Err(number), "bit {bit}");
                assert_eq!(read(&with_zeros(&changed, 300)), Err(number), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_line_that_is_missing_or_elsewhere_is_damage() {
        let whole = lines();
        for (missing, line) in (0..whole.len() - 1).zip(1..) {
            let mut fewer = whole.clone();
            fewer.remove(missing);
            assert_eq!(read(fewer.as_flattened()), Err(line));
            let mut never_written = whole.clone();
            never_written[missing] = [0; LINE_SIZE];
            assert_eq!(read(never_written.as_flattened()), Err(line));
            let mut exchanged = whole.clone();
            exchanged.swap(missing, missing + 1);
            assert_eq!(read(exchanged.as_flattened()), Err(line));
        }
    }

    #[test]
    fn a_line_of_another_generation_is_damage() {
        let whole = lines();
        for header in [Header { generation: 6, ..HEADER }, Header { room: 9, ..HEADER }] {
            let mut text = Vec::new();
            let floors = Floors::at(FLOOR, [ONE].into_iter());
            write(&floors, header, &mut text).unwrap();
            text.truncate(2 * LINE_SIZE);
            text.extend_from_slice(&whole[2]);
            assert_eq!(read(&text), Err(3));
        }
    }

    #[test]
    fn a_line_that_does_not_raise_is_damage() {
        for floor in [FLOOR - 1, FLOOR] {
            let mut text = Vec::new();
            let end = write(&Floors::at(FLOOR, [ONE].into_iter()), HEADER, &mut text).unwrap();
            text.truncate(2 * LINE_SIZE);
            text.extend_from_slice(&end.with_floor(ONE, floor).0);
            assert_eq!(read(&text), Err(3));
        }
    }

    #[test]
    fn only_what_was_added_can_be_torn() {
        let whole = lines();
        for length in 0..whole.len() * LINE_SIZE {
            for zeros in [0, 300] {
                let cut = [&whole.as_flattened()[..length], &vec![0; zeros]].concat();
                let (number, is_torn) = (length / LINE_SIZE, length % LINE_SIZE != 0);
                let expected = match number {
                    0 if length == 0 => Ok(None),
                    0 | 1 => Err(u64::try_from(number).unwrap() + 1),
                    _ => Ok(Some((floors_of(whole[..number].as_flattened()), is_torn))),
                };
                assert_eq!(read(&cut), expected, "{length} bytes and {zeros} zeros");
            }
        }
    }

    proptest! {
        #[test]
        fn floors_survive_being_written_down(
            floors: Vec<([u8; 8], u128)>,
            generation: u64,
            more in 0_u32..5,
        ) {
            let floors = floors.into_iter().fold(Floors::default(), |floors, (key, floor)| {
                floors.with_new(floor, [KeyId(key)].into_iter())
            });
            let room = u32::try_from(floors.len()).unwrap() + 1 + more;
            let header = Header { generation, room };
            let mut text = Vec::new();
            let end = write(&floors, header, &mut text).unwrap();
            prop_assert_eq!(end.lines() + more, room);
            let log = super::read(&*text).unwrap().unwrap();
            prop_assert_eq!((log.header, log.end.size()), (Some(header), end.size()));
            prop_assert_eq!((log.floors, log.is_torn), (floors, false));
        }
    }
}
