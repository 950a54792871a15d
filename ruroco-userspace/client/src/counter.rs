//! The counter: a number that grows with every knock, so that a server can tell a new packet from
//! a copied one.
//!
//! It follows the clock (nanoseconds since the epoch) and never goes back: each one is the greater
//! of the last one plus one and now. So a clock that is set back changes nothing but that counters
//! run ahead of it until it has caught up. Two clients take turns. The file is that of upstream
//! ruroco: 16 bytes, big-endian.
//!
//! No counter is used twice. It is on the disk before it is used, so what is there is at least as great
//! as whatever was sent. The 16 bytes are written over the old ones: that takes one wait for the disk
//! and no room on it, and whatever part of them gets there, the number that is then there is no
//! smaller than the old one, because the bytes that count most come first.
//!
//! Only two things can lead away from that, and both are met by [`CounterFile::reseed`], which a person
//! has to ask for:
//!
//! - Somebody else has cut the file short. The last counter is then unknown, but not when the file was
//!   written. Counters go on from there, or from the clock if that is later, so a clock that was set
//!   back since then changes nothing. What does not hold: if the counter was ahead of the clock when
//!   the file was written, because the clock had been set back before, then it can go back by as much.
//!   Servers that have seen the greater ones refuse knocks until the clock has passed them. To begin
//!   further ahead would help there, and nowhere else: servers that accept less ahead
//!   (`max_clock_skew_seconds`) would refuse what they accept now. A second file would know the last
//!   counter, and cost every knock another wait for the disk.
//! - The clock was far ahead, and with it the counter, which servers refuse as long as it is. To go
//!   back to the clock is then the only way on. It is the only time that the counter goes back, and
//!   only if it is further ahead than servers accept: what was used out there is a handful of single
//!   nanoseconds of a time to come, and no server took it.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ruroco_files::{durable, instance};

use super::{FOLDER_VARIABLE, private_folder};

/// How far ahead of their clocks servers accept counters, unless they are told otherwise
/// (`max_clock_skew_seconds`).
pub const ACCEPTED_AHEAD: Duration = Duration::from_secs(3600);

/// What a file's time may lack: file systems count it in steps of up to 2 s (FAT), and the counter
/// in it was made a moment before.
const GRAIN: Duration = Duration::from_secs(3);

/// Size of the file in bytes.
const SIZE: usize = 16;

/// The lock for the moments in which the counter changes. Upstream ruroco's client locks the same file,
/// for as long as it runs: both clients in one folder would otherwise use the same counters.
const LOCK: &str = "client.lock";

/// The directory with the counter and its lock.
#[derive(Debug)]
pub struct CounterFile {
    counter: PathBuf,
    lock: PathBuf,
}

/// A counter that could not be had. None was used up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory for the file cannot be made.
    #[error("could not create the directory {0}: {1}{remedy}", remedy = remedy(.1))]
    Directory(PathBuf, io::Error),
    /// Another process's turn never ends, or there can be no lock.
    #[error("{0}{remedy}", remedy = remedy_of_lock(.0))]
    Lock(instance::Error),
    /// The file is there and cannot be read, or not be written to.
    #[error("could not open the counter {0}: {1}{remedy}", remedy = remedy(.1))]
    Read(PathBuf, io::Error),
    /// The file has less than 16 bytes.
    #[error("the counter in {0} is damaged; start anew from the clock with: ruroco-client reseed")]
    Damaged(PathBuf),
    /// The new counter is not on the disk.
    #[error("could not write the counter to {0}: {1}{remedy}", remedy = remedy(.1))]
    Write(PathBuf, io::Error),
    /// No number is left.
    #[error(
        "the counter in {0} is at its end; start anew from the clock with: ruroco-client reseed"
    )]
    Exhausted(PathBuf),
    /// The clock shows a time before 1970.
    #[error("this computer's clock is set before 1970: set it")]
    Clock,
}

// Not by `#[from]`, which would make it the source, too: then it would be told twice.
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

/// What to do about a folder that cannot be written to, if that is known.
fn remedy(error: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    if [ReadOnlyFilesystem, PermissionDenied].contains(&error.kind()) {
        format!(
            ". A knock needs a folder to keep its counter in: make this one writable, or set {} to \
             a copy of it somewhere else",
            FOLDER_VARIABLE
        )
    } else if [StorageFull, QuotaExceeded].contains(&error.kind()) {
        ". Make room on the disk".to_owned()
    } else {
        String::new()
    }
}

impl CounterFile {
    /// The counter in this directory, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn in_directory(dir: &Path) -> Result<Self, Error> {
        private_folder::make(dir).map_err(|error| Error::Directory(dir.to_owned(), error))?;
        Ok(Self { counter: dir.join("counter"), lock: dir.join(LOCK) })
    }

    /// The next counter, already on the disk; waits for another client's turn to end, but no longer
    /// than `patience`, and never longer than a turn can take ([`instance::PATIENCE`]).
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

    /// What [`CounterFile::next`] would give: does all that it does, but writes what is there already
    /// or, where nothing is, another file that does not stay.
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

    /// Has the counter follow the clock again, after the file was damaged or the clock was wrong,
    /// and says what it is now. It goes back only if servers would refuse it as it is.
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

    /// The first counter that can be used after the last one, if there was one.
    fn after(&self, last: Option<u128>, now: u128) -> Result<u128, Error> {
        let Some(last) = last else { return Ok(now) };
        let next = last.checked_add(1).ok_or_else(|| Error::Exhausted(self.counter.clone()))?;
        Ok(next.max(now))
    }

    fn read(&self) -> Result<Option<(u128, File)>, Error> {
        let failed = |error| Error::Read(self.counter.clone(), error);
        let mut file = match File::options().read(true).write(true).open(&self.counter) {
            // Only a missing file means that there was no counter yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        // Upstream reads the beginning of longer files, so there may be some.
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

    /// A counter that is greater than any that was written to the file while counters followed the
    /// clock: not if they were ahead of it.
    fn written_at(&self) -> Option<u128> {
        let time = fs::metadata(&self.counter).and_then(|metadata| metadata.modified()).ok()?;
        nanoseconds(time.checked_add(GRAIN)?).ok()
    }
}

/// Returns when it is on the disk.
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
    fn a_counter_that_servers_accept_is_never_set_back() {
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
