//! A file with two slots, each with room for a [log](super::floor_log) of floors, so that neither a new line
//! nor a rewritten log takes new space on the disk.
//!
//! One of the slots contains the log. A rewritten log goes into the other slot, with the next higher
//! generation. When it is complete, its predecessor's header is overwritten with zeros. So a crash leaves
//! either one unchanged log, or two logs of which the later one contains all floors of the other. To keep
//! this true, the server adds a line only while it knows that the other slot has no log.
//!
//! Rationale: decision 0026.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use ruroco_common::datagram::KeyId;
use ruroco_files::{
    durable,
    secure_file::{open_regular, open_regular_with},
};

use super::{
    floor_log::{self, End, Header, LINE_SIZE, Log, ReadError, size_of_lines},
    floors::Floors,
};

/// Least number of lines that a slot has room for: a quarter of a megabyte.
const LINES: u64 = 4096;

/// Number of lines per key for which there is room. They share the cost of rewriting the key's line.
const LINES_PER_KEY: u64 = 5;

/// Number of free lines at which the log is due to be rewritten: more than are added before the server has
/// time for it.
const SPARE: u32 = 512;

/// Bytes that are written at once.
const BUFFER_SIZE: usize = 64 << 10;

/// The open file, and where its log ends.
#[derive(Debug)]
pub(super) struct Slots {
    file: File,
    slot: Slot,
    header: Header,
    end: End,
    /// Whether there is no log in the other slot, on the disk.
    is_other_clear: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    First,
    Second,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Content {
    /// The file as what may be written to, if it has slots and this process may.
    pub(super) slots: Option<Slots>,
    /// The floors of its log.
    pub(super) floors: Floors,
    /// Whether the log's last line was not written to its end, and is left out.
    pub(super) is_torn: bool,
}

impl Slots {
    /// Makes a file with these floors.
    ///
    /// # Errors
    /// As for [`durable::create_with`].
    pub(super) fn create(path: &Path, floors: &Floors) -> io::Result<()> {
        durable::create_with(path, |file| fill(file, floors).map(drop))
    }

    /// Makes a file with these floors and puts it in the place of whatever is there.
    ///
    /// # Errors
    /// As for [`durable::replace_with`].
    fn replace(path: &Path, floors: &Floors) -> io::Result<Self> {
        let (file, (header, end)) = durable::replace_with(path, |file| fill(file, floors))?;
        Ok(Self { file, slot: Slot::First, header, end, is_other_clear: true })
    }

    /// Reads a file, or one of an earlier release.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if no log in it is whole.
    pub(super) fn read(path: &Path) -> Result<Content, ReadError> {
        let (file, is_writable) =
            match open_regular_with(File::options().read(true).write(true), path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    (open_regular(path)?, false)
                }
                file => (file?, true),
            };
        let size = file.metadata()?.len();
        let whole = BufReader::new(Part { file: &file, at: 0 });
        if floor_log::is_of_earlier_release(&mut Part { file: &file, at: 0 })? {
            let Log { floors, is_torn, .. } = floor_log::read(whole)?.ok_or(NOTHING)?;
            return Ok(Content { slots: None, floors, is_torn });
        }
        let logs = [Slot::First, Slot::Second].map(|slot| slot.read(&file, size));
        let (slot, header, Log { floors, end, is_torn, .. }) = latest(logs)?;
        let slots = Self { file, slot, header, end, is_other_clear: false };
        Ok(Content { slots: is_writable.then_some(slots), floors, is_torn })
    }

    /// The slots to work with after a start: those that were read, or a new file with these floors.
    ///
    /// # Errors
    /// As for [`Slots::put`].
    pub(super) fn succeeding(read: Option<Self>, path: &Path, floors: &Floors) -> io::Result<Self> {
        let Some(mut slots) = read else { return Self::replace(path, floors) };
        slots.put(path, floors)?;
        Ok(slots)
    }

    /// Whether this is the file that is there, and as long as it was made.
    pub(super) fn are_at(&self, path: &Path) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        let same = |there: &fs::Metadata| {
            (there.dev(), there.ino(), there.len()) == (ours.dev(), ours.ino(), self.size())
        };
        Ok(fs::symlink_metadata(path).is_ok_and(|there| same(&there)))
    }

    /// Whether the log should be rewritten soon.
    pub(super) fn are_nearly_full(&self) -> bool {
        self.end.lines() >= self.header.room.saturating_sub(SPARE)
    }

    /// Whether no line can be added.
    pub(super) fn are_full(&self) -> bool {
        self.end.lines() >= self.header.room
    }

    /// Adds a line to the log and returns once it is on the disk.
    ///
    /// # Errors
    /// Those of the disk; the next line then takes this one's place.
    pub(super) fn add(&mut self, key: KeyId, floor: u128) -> io::Result<()> {
        if self.are_full() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.clear_other()?;
        let at = self.slot.start(self.size()).saturating_add(self.end.size());
        let (line, end) = self.end.with_floor(key, floor);
        let added = self.file.write_all_at(&line, at).and_then(|()| self.file.sync_data());
        match added {
            Ok(()) => self.end = end,
            // A server that starts before there is another line is not to find this one.
            Err(_) => drop(self.file.write_all_at(&[0; LINE_SIZE], at)),
        }
        added
    }

    /// Puts these floors in the place of the log: into the other slot, or into a new file if they need a
    /// larger one, this one is not there any more, or the disk reports an error. If there is no space for
    /// a larger file, they go into the other slot nevertheless, as long as there is room in it.
    ///
    /// # Errors
    /// Those of the disk; no floor is lost then.
    pub(super) fn put(&mut self, path: &Path, floors: &Floors) -> io::Result<()> {
        let is_large_enough = room_for(floors)? <= self.header.room;
        if !is_large_enough && let Ok(larger) = Self::replace(path, floors) {
            *self = larger;
        } else if !self.are_at(path)? || self.write_other(floors).is_err() {
            *self = Self::replace(path, floors)?;
        }
        Ok(())
    }

    fn write_other(&mut self, floors: &Floors) -> io::Result<()> {
        let header = Header { generation: self.header.generation.saturating_add(1), ..self.header };
        let other = self.slot.other();
        self.is_other_clear = false;
        let end = write_log(&self.file, other.start(self.size()), floors, header)?;
        self.file.sync_data()?;
        // It is the later one from here on, and has what the one before has.
        (self.slot, self.header, self.end) = (other, header, end);
        self.clear_other()
    }

    /// Makes sure that there is no log in the other slot, on the disk.
    fn clear_other(&mut self) -> io::Result<()> {
        if self.is_other_clear {
            return Ok(());
        }
        let at = self.slot.other().start(self.size());
        // The header first: without its last lines, the log could still pass for one.
        self.file.write_all_at(&[0; LINE_SIZE], at)?;
        self.file.sync_data()?;
        // In case the file has holes, as a copy may have them.
        write_zeros(&mut Part { file: &self.file, at }, self.header.room)?;
        self.file.sync_data()?;
        self.is_other_clear = true;
        Ok(())
    }

    /// Size of the file in bytes.
    fn size(&self) -> u64 {
        size_of_lines(self.header.room).saturating_mul(2)
    }
}

impl Slot {
    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Where it begins in a file of this size.
    const fn start(self, size: u64) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => size / 2,
        }
    }

    /// The log in this slot of a file, if there is one.
    fn read(self, file: &File, size: u64) -> Result<Option<Found>, ReadError> {
        let start = self.start(size);
        let text = BufReader::with_capacity(BUFFER_SIZE, Part { file, at: start }.take(size / 2));
        let behind = start.checked_div(size_of_lines(1)).unwrap_or_default();
        let log = floor_log::read(text).map_err(|error| error.behind(behind))?;
        let Some(log) = log else { return Ok(None) };
        match log.header {
            Some(header) if size_of_lines(header.room).saturating_mul(2) == size => {
                Ok(Some((self, header, log)))
            }
            _ => Err(NOTHING.behind(behind)),
        }
    }
}

/// A log, and where it was found.
type Found = (Slot, Header, Log);

/// The error for a file without a log.
const NOTHING: ReadError = ReadError::Damaged { line: 1 };

/// The valid log of a file with up to two logs. If one log is damaged and there is another, the damaged log
/// was still being written, and the other has the same floors.
fn latest(logs: [Result<Option<Found>, ReadError>; 2]) -> Result<Found, ReadError> {
    let (mut latest, mut problem) = (None::<Found>, None);
    for log in logs {
        match log {
            Ok(Some(log))
                if latest
                    .as_ref()
                    .is_none_or(|(_, header, _)| header.generation < log.1.generation) =>
            {
                latest = Some(log);
            }
            Ok(_) => {}
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    match (latest, problem) {
        (_, Some(error @ ReadError::Io(_))) => Err(error),
        (Some(latest), _) => Ok(latest),
        (None, problem) => Err(problem.unwrap_or(NOTHING)),
    }
}

/// Fills an empty file: with a log of these floors, and a slot without one.
fn fill(file: &File, floors: &Floors) -> io::Result<(Header, End)> {
    let header = Header { generation: 1, room: room_for(floors)? };
    let end = write_log(file, 0, floors, header)?;
    write_zeros(&mut Part { file, at: size_of_lines(header.room) }, header.room)?;
    Ok((header, end))
}

fn write_log(file: &File, at: u64, floors: &Floors, header: Header) -> io::Result<End> {
    let mut text = BufWriter::with_capacity(BUFFER_SIZE, Part { file, at });
    let end = floor_log::write(floors, header, &mut text)?;
    text.flush()?;
    Ok(end)
}

/// Zeros really are written: space that is only reserved, or a hole, may take more when it is written to.
fn write_zeros(part: &mut Part<'_>, lines: u32) -> io::Result<()> {
    let mut text = BufWriter::with_capacity(BUFFER_SIZE, part);
    io::copy(&mut io::repeat(0).take(size_of_lines(lines)), &mut text)?;
    text.flush()
}

/// How many lines a slot is to have room for.
fn room_for(floors: &Floors) -> io::Result<u32> {
    let keys = u64::try_from(floors.len()).unwrap_or(u64::MAX);
    let lines = keys.saturating_mul(LINES_PER_KEY).saturating_add(SPARE.into()).max(LINES);
    let lines = lines.checked_next_power_of_two().and_then(|lines| lines.try_into().ok());
    lines.ok_or(io::ErrorKind::FileTooLarge.into())
}

/// A file from some place on, to be read or written.
struct Part<'a> {
    file: &'a File,
    at: u64,
}

impl Part<'_> {
    fn move_by(&mut self, length: usize) -> usize {
        self.at = self.at.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        length
    }
}

impl Read for Part<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(bytes, self.at)?;
        Ok(self.move_by(length))
    }
}

impl Write for Part<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write_at(bytes, self.at)?;
        Ok(self.move_by(length))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
