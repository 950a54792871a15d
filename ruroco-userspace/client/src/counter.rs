//! The counter: a number that grows with every knock, so that a host can tell a new packet from
//! a replayed one.
//!
//! The counter follows the clock (nanoseconds since the epoch) and never decreases: the next counter is
//! the last one plus one, or the current time if that is greater. If the clock is set back, counters
//! stay ahead of it until it has caught up. Two clients that use the same file take turns. The file has
//! upstream ruroco's format: 16 bytes, big-endian.
//!
//! No counter is used twice. A counter is written to the disk before it is used, so the number on the disk is
//! never less than a number that was sent. The 16 bytes overwrite the old ones, which takes one wait for the
//! disk and no additional space. If only a part of them reaches the disk, the result is not less than the old
//! number, because the most significant bytes come first.
//!
//! Two faults break this rule. [`CounterFile::reseed`] repairs both, and runs only if the user requests it:
//!
//! - Another program truncated the file. The last counter is then unknown, but the file's modification time
//!   is known. Counters continue from that time, or from the clock if that is later. One case remains: if the
//!   counter was ahead of the clock when the file was written, because the clock had been set back before,
//!   the counter can go back by as much. Hosts that accepted the greater counters reject knocks until the
//!   clock has passed these. Starting further ahead would repair this case only, and hosts with a smaller
//!   `max_clock_skew` would reject knocks that they accept now. A second file could store the last counter,
//!   but every knock would have to wait for the disk once more.
//! - The clock was far ahead, and so is the counter. Hosts reject such counters, so the only remedy is to
//!   go back to the clock. This is the only case in which the counter decreases, and only if it is further
//!   ahead than hosts accept. The counters that were used that far ahead are few, and no host accepted
//!   them.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ruroco_files::{durable, instance};

use super::{FOLDER_VARIABLE, private_folder};

/// How far ahead of their clocks hosts accept counters by default (`max_clock_skew`).
pub const ACCEPTED_AHEAD: Duration = Duration::from_secs(3600);

/// How much a file's modification time may be too early: file systems round it down by up to 2 s (FAT), and
/// the counter is computed shortly before the file is written.
const GRAIN: Duration = Duration::from_secs(3);

/// Size of the file in bytes.
const SIZE: usize = 16;

/// The lock that a client holds while it changes the counter. Upstream ruroco's client locks the same
/// file for as long as it runs, so two clients in one folder cannot use the same counter.
const LOCK: &str = "client.lock";

/// The directory with the counter and its lock.
#[derive(Debug)]
pub struct CounterFile {
    counter: PathBuf,
    lock: PathBuf,
}

/// No counter is available. None was used up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory for the file cannot be created.
    #[error("cannot create the directory {0}: {1}{remedy}", remedy = remedy(.1))]
    Directory(PathBuf, io::Error),
    /// Another process holds the lock for too long, or the file cannot be locked.
    #[error("{0}{remedy}", remedy = remedy_of_lock(.0))]
    Lock(instance::Error),
    /// The file exists, but cannot be opened for reading and writing.
    #[error("cannot open the counter file {0}: {1}{remedy}", remedy = remedy(.1))]
    Read(PathBuf, io::Error),
    /// The file has less than 16 bytes.
    #[error(
        "the counter file {0} is damaged. Check this computer's clock, then run `ruroco-client reseed` to reset the \
         counter to it"
    )]
    Damaged(PathBuf),
    /// The new counter cannot be written to the disk.
    #[error("cannot write the counter to {0}: {1}{remedy}", remedy = remedy(.1))]
    Write(PathBuf, io::Error),
    /// The counter has reached its greatest value.
    #[error(
        "the counter in {0} has reached its greatest value. Check this computer's clock, then run \
         `ruroco-client reseed` to reset the counter to it"
    )]
    Exhausted(PathBuf),
    /// The clock shows a time before 1970.
    #[error("this computer's clock shows a time before 1970. Set the clock")]
    Clock,
}

// Not by `#[from]`: that would also make it the source, so the message would appear twice.
impl From<instance::Error> for Error {
    fn from(error: instance::Error) -> Self {
        Self::Lock(error)
    }
}

fn remedy_of_lock(error: &instance::Error) -> String {
    match error {
        instance::Error::Held(_) => {
            ". If the window of upstream ruroco is open, close it: it holds this lock".to_owned()
        }
        instance::Error::Io(_, error) => remedy(error),
    }
}

/// The remedy for an error on the counter's folder, if one is known.
fn remedy(error: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    if [ReadOnlyFilesystem, PermissionDenied].contains(&error.kind()) {
        format!(
            ". The client must be able to save its counter. Make this folder writable, or copy it and set {} \
             to the copy",
            FOLDER_VARIABLE
        )
    } else if [StorageFull, QuotaExceeded].contains(&error.kind()) {
        ". Free some space on the disk".to_owned()
    } else {
        String::new()
    }
}

impl CounterFile {
    /// The counter in this directory, which is created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn in_directory(dir: &Path) -> Result<Self, Error> {
        private_folder::make(dir).map_err(|error| Error::Directory(dir.to_owned(), error))?;
        Ok(Self { counter: dir.join("counter"), lock: dir.join(LOCK) })
    }

    /// The next counter, which is already written to the disk. If another client holds the lock, waits
    /// at most for `patience`, and never longer than [`instance::PATIENCE`].
    ///
    /// # Errors
    /// [`Error`]; no counter is used up then.
    pub fn next(&self, now: SystemTime, patience: Duration) -> Result<u128, Error> {
        let now = nanoseconds(now)?;
        let _turn = self.turn(patience)?;
        let last = self.read()?;
        let counter = self.after(last.as_ref().map(|(last, _)| *last), now)?;
        match last {
            Some((_, file)) => write_over(file, counter),
            None => durable::replace(&self.counter, &counter.to_be_bytes()),
        }
        .map_err(|error| Error::Write(self.counter.clone(), error))?;
        Ok(counter)
    }

    /// The counter that [`CounterFile::next`] would return. Tests everything that could fail: writes the old
    /// counter again or, if there is no file, writes and deletes another one.
    ///
    /// # Errors
    /// [`Error`].
    pub fn rehearse(&self, now: SystemTime, patience: Duration) -> Result<u128, Error> {
        let now = nanoseconds(now)?;
        let _turn = self.turn(patience)?;
        let last = self.read()?;
        let counter = self.after(last.as_ref().map(|(last, _)| *last), now)?;
        match last {
            Some((last, file)) => write_over(file, last),
            None => {
                let rehearsal = self.counter.with_extension("rehearsal");
                let written = durable::replace(&rehearsal, &counter.to_be_bytes());
                written.and_then(|()| fs::remove_file(&rehearsal))
            }
        }
        .map_err(|error| Error::Write(self.counter.clone(), error))?;
        Ok(counter)
    }

    /// Resets the counter to the clock, after the file was damaged or the clock was wrong, and returns
    /// it. The counter decreases only if hosts would reject it as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub fn reseed(&self, now: SystemTime) -> Result<u128, Error> {
        let now = nanoseconds(now)?;
        let _turn = instance::Lock::take(&self.lock)?;
        let last = match self.read() {
            Err(Error::Damaged(_)) => self.written_at(),
            last => last?.map(|(last, _)| last),
        };
        let accepted = now.saturating_add(ACCEPTED_AHEAD.as_nanos());
        let counter = last.filter(|last| *last <= accepted).map_or(now, |last| last.max(now));
        durable::replace(&self.counter, &counter.to_be_bytes())
            .map_err(|error| Error::Write(self.counter.clone(), error))?;
        Ok(counter)
    }

    fn turn(&self, patience: Duration) -> Result<instance::Lock, Error> {
        Ok(instance::Lock::take_within(&self.lock, patience.min(instance::PATIENCE))?)
    }

    /// The first counter that can be used after the last one.
    fn after(&self, last: Option<u128>, now: u128) -> Result<u128, Error> {
        let Some(last) = last else { return Ok(now) };
        let next = last.checked_add(1).ok_or_else(|| Error::Exhausted(self.counter.clone()))?;
        Ok(next.max(now))
    }

    fn read(&self) -> Result<Option<(u128, File)>, Error> {
        let failed = |error| Error::Read(self.counter.clone(), error);
        let mut file = match File::options().read(true).write(true).open(&self.counter) {
            // Any other error could hide a counter that was used.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        // Upstream ruroco accepts longer files and reads their first 16 bytes.
        let mut bytes = [0; SIZE];
        match file.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::Damaged(self.counter.clone()))
            }
            read => {
                read.map_err(failed)?;
                Ok(Some((u128::from_be_bytes(bytes), file)))
            }
        }
    }

    /// A counter that is greater than the counter in the file, unless that counter was ahead of the clock.
    fn written_at(&self) -> Option<u128> {
        let time = fs::metadata(&self.counter).and_then(|metadata| metadata.modified()).ok()?;
        nanoseconds(time.checked_add(GRAIN)?).ok()
    }
}

/// Overwrites the counter, and returns when it is on the disk.
fn write_over(mut file: File, counter: u128) -> io::Result<()> {
    file.rewind()?;
    file.write_all(&counter.to_be_bytes())?;
    file.sync_data()
}

fn nanoseconds(now: SystemTime) -> Result<u128, Error> {
    now.duration_since(UNIX_EPOCH).as_ref().map(Duration::as_nanos).map_err(|_| Error::Clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_files::instance::PATIENCE;
    use std::{collections::BTreeSet, thread};

    fn at(nanos: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    #[test]
    fn the_counter_follows_the_clock_and_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        let counters = [1000, 1000, 5000, 10, 11].map(|now| file.next(at(now), PATIENCE).unwrap());
        assert_eq!(counters, [1000, 1001, 5000, 5001, 5002]);
        let again = CounterFile::in_directory(dir.path()).unwrap();
        assert_eq!(again.next(at(0), PATIENCE).unwrap(), 5003);
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        for length in [0, 15] {
            let damaged = vec![1; length];
            fs::write(&file.counter, &damaged).unwrap();
            assert!(matches!(file.next(at(7), PATIENCE), Err(Error::Damaged(_))));
            assert!(matches!(file.rehearse(at(7), PATIENCE), Err(Error::Damaged(_))));
            assert_eq!(fs::read(&file.counter).unwrap(), damaged);
        }
        let seed = file.reseed(at(7)).unwrap();
        assert_eq!(file.next(at(7), PATIENCE).unwrap(), seed + 1);
    }

    #[test]
    fn a_longer_file_is_read_as_upstream_does() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        fs::write(&file.counter, [&5_u128.to_be_bytes()[..], b"more"].concat()).unwrap();
        assert_eq!(file.next(at(0), PATIENCE).unwrap(), 6);
        assert_eq!(file.next(at(0), PATIENCE).unwrap(), 7);
    }

    #[test]
    fn a_rehearsal_uses_no_counter_up() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        assert_eq!(file.rehearse(at(7), PATIENCE).unwrap(), 7);
        assert!(!file.counter.exists());
        assert_eq!(file.next(at(7), PATIENCE).unwrap(), 7);
        assert_eq!(file.rehearse(at(7), PATIENCE).unwrap(), 8);
        assert_eq!(file.next(at(7), PATIENCE).unwrap(), 8);
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 2, "the counter and the lock");
    }

    #[test]
    fn a_rehearsal_needs_no_more_room_than_the_next_counter() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        // No second file can be made.
        fs::create_dir_all(dir.path().join("counter.rehearsal.new/x")).unwrap();
        assert!(matches!(file.rehearse(at(7), PATIENCE), Err(Error::Write(..))));
        file.next(at(7), PATIENCE).unwrap();
        assert_eq!(file.rehearse(at(7), PATIENCE).unwrap(), 8);
    }

    #[test]
    fn a_counter_that_hosts_accept_is_never_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        let hour = u64::try_from(ACCEPTED_AHEAD.as_nanos()).unwrap();
        let used = file.next(at(7 + hour), PATIENCE).unwrap();
        assert_eq!(file.reseed(at(7)).unwrap(), used);
        assert_eq!(file.next(at(7), PATIENCE).unwrap(), used + 1);
        assert_eq!(file.reseed(at(7)).unwrap(), 7);
    }

    #[test]
    fn after_a_torn_file_counters_go_on_from_when_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        let used = file.next(SystemTime::now(), PATIENCE).unwrap();
        let torn = File::options().write(true).open(&file.counter).unwrap();
        let written = torn.metadata().unwrap().modified().unwrap();
        torn.set_len(3).unwrap();
        torn.set_modified(written).unwrap();
        let half_an_hour_ago = SystemTime::now() - Duration::from_secs(1800);
        assert!(file.reseed(half_an_hour_ago).unwrap() > used);
    }

    #[test]
    fn the_last_number_is_not_followed_by_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = CounterFile::in_directory(dir.path()).unwrap();
        fs::write(&file.counter, u128::MAX.to_be_bytes()).unwrap();
        assert!(matches!(file.next(at(7), PATIENCE), Err(Error::Exhausted(_))));
    }

    #[test]
    fn clients_at_the_same_time_get_different_counters() {
        let dir = tempfile::tempdir().unwrap();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let file = CounterFile::in_directory(dir.path()).unwrap();
                thread::spawn(move || {
                    (0..25).map(|_| file.next(at(7), PATIENCE).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        let all: Vec<u128> =
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert_eq!(BTreeSet::from_iter(&all).len(), all.len());
    }
}
