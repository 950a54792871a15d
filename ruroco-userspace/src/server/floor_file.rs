//! The file that keeps the [`Floors`]: a [log](super::floor_log), to which every accepted knock adds
//! its line, and which has it on the disk before the order leaves this process.
//!
//! What a knock costs does not depend on how many keys there are. Only when the log has grown to
//! several times the number of keys is it written anew.
//!
//! What is in memory is the truth while this process holds the lock. A file that somebody else
//! has removed, exchanged or cut is written anew before the next knock, and nothing runs until it is.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use ruroco_common::datagram::KeyId;

use super::{
    floor_log::{self, Content, End, ReadError},
    floors::Floors,
    upstream_blocklist,
    verifier::Permit,
};
use crate::{
    config::FLOORS, durable, instance, order::Order, private_directory, problems::Problem,
    secure_file::open_regular,
};

/// An order whose counter is on the disk: the only thing that may be forwarded. Only
/// [`FloorFile::persist`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct AcceptedOrder(Order);

impl AcceptedOrder {
    /// The order.
    pub fn order(&self) -> &Order {
        &self.0
    }

    /// The order, to be forwarded; it cannot be forwarded twice.
    pub(super) fn into_order(self) -> Order {
        self.0
    }
}

/// Why there are no floors to work with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server works with them.
    #[error(transparent)]
    Lock(#[from] instance::Error),
    /// There is no file.
    #[error(
        "there are no floors in {0}, so it cannot be known which packets have already run; if this \
         is the first start, make them with: ruroco-server init; if not, make new keys first: with the old \
         ones, packets that have already run could run again, and so they could with a backup of {0}"
    )]
    Missing(PathBuf),
    /// There is a file where a new one was to be made.
    #[error("there are floors in {0} already; nothing was changed")]
    Exists(PathBuf),
    /// Others can change where they are.
    #[error(transparent)]
    Place(Problem),
    /// The file is there and cannot be read.
    #[error("could not read the floors in {0}: {1}")]
    Read(PathBuf, io::Error),
    /// The file is not what was written.
    #[error(
        "{0}:{1}: the floors are damaged, so it cannot be known which packets have already run; \
         make new keys, remove the file and run: ruroco-server init; with the old keys, or with a backup of \
         the file, packets that have already run could run again"
    )]
    Damaged(PathBuf, u64),
    /// The file cannot be written.
    #[error(
        "could not write the floors to {path}: {source}; is the directory writable and the disk not full?",
        path = .0.display(),
        source = .1
    )]
    Write(Arc<Path>, io::Error),
    /// Floors of upstream ruroco cannot be taken over.
    #[error(transparent)]
    Upstream(#[from] upstream_blocklist::Error),
    /// The key's floor has been raised since the permit was given.
    #[error("a later packet of the same key has overtaken this one")]
    Overtaken,
}

/// A file that was made for a first start.
#[derive(Debug)]
pub struct Made {
    /// Where it is.
    pub path: PathBuf,
    /// How many floors were upstream's, if it has left any.
    pub taken_over: Option<usize>,
}

/// The log is written anew once it has more lines than this and than [`LINES_PER_KEY`] allows: a
/// quarter of a megabyte is not worth being saved.
const LINES: u64 = 4096;

/// Writing the log anew costs a line for each key, which at least so many knocks share.
const LINES_PER_KEY: u64 = 4;

/// The floors and the file that keeps them, locked against other processes.
#[derive(Debug)]
pub struct FloorFile {
    path: Arc<Path>,
    file: File,
    floors: Floors,
    end: End,
    /// How many lines are enough for the log to be written anew.
    compact_at: u64,
    _lock: instance::Lock,
}

impl FloorFile {
    /// Makes the file for the first start, with the floors of upstream ruroco if there are any, and one of
    /// `now` for those of these keys that have none. One that comes later has a floor from then on, so that
    /// packets made before the first start are refused anyhow.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is one already, [`Error::Upstream`] if upstream's are not whole,
    /// [`Error::Write`] if there cannot be one.
    pub fn create(dir: &Path, keys: impl Iterator<Item = KeyId>, now: u128) -> Result<Made, Error> {
        let (path, _lock) = locate(dir)?;
        let upstreams = upstream_blocklist::read(dir)?;
        let taken_over = upstreams.as_ref().map(Floors::len);
        let mut text = Vec::new();
        floor_log::write(&upstreams.unwrap_or_default().with_new(now, keys), &mut text)
            .map_err(|error| Error::Write(path.as_path().into(), error))?;
        match durable::create(&path, &text) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists(path));
            }
            Err(error) => return Err(Error::Write(path.into(), error)),
        }
        if taken_over.is_some() {
            upstream_blocklist::set_aside(dir);
        }
        Ok(Made { path, taken_over })
    }

    /// Whether there is a file already, of whatever content.
    pub fn is_there(dir: &Path) -> bool {
        fs::symlink_metadata(dir.join(FLOORS)).is_ok()
    }

    /// Reads the file. If upstream ruroco has left floors since, the higher one of each key holds; they
    /// will do for a first start, too. Keys that are new to both get a floor of `now`. It is written anew
    /// at once, so that a directory that cannot be written is found at the start and not at the first knock.
    ///
    /// # Errors
    /// [`Error`]. Floors of keys that are gone are kept: the keys may come back.
    pub fn open(dir: &Path, keys: impl Iterator<Item = KeyId>, now: u128) -> Result<Self, Error> {
        let (path, lock) = locate(dir)?;
        let upstreams = upstream_blocklist::read(dir)?;
        let content = open_regular(&path)
            .map_err(ReadError::from)
            .and_then(|file| floor_log::read(BufReader::new(file)));
        let Content { mut floors, is_torn } = match content {
            Ok(content) => content,
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => match upstreams
            {
                Some(_) => Content { floors: Floors::default(), is_torn: false },
                None => return Err(Error::Missing(path)),
            },
            Err(ReadError::Io(error)) => return Err(Error::Read(path, error)),
            Err(ReadError::Damaged { line }) => return Err(Error::Damaged(path, line)),
        };
        if is_torn {
            tracing::warn!(
                file = %path.display(),
                "cut off a floor that was not written to its end: the knock has not run"
            );
        }
        for (key, floor) in upstreams.iter().flat_map(Floors::iter) {
            floors.raise(key, floor);
        }
        let floors = floors.with_new(now, keys);
        match write(&path, &floors) {
            Ok((file, end, compact_at)) => {
                // Not before they are on the disk.
                if upstreams.is_some() {
                    upstream_blocklist::set_aside(dir);
                }
                Ok(Self { path: path.into(), file, floors, end, compact_at, _lock: lock })
            }
            Err(error) => Err(Error::Write(path.into(), error)),
        }
    }

    /// The floors as they are on the disk.
    pub fn floors(&self) -> &Floors {
        &self.floors
    }

    /// Gives those of these keys that have no floor one of `now`, and returns once they are on the disk:
    /// before that they cannot be used.
    ///
    /// # Errors
    /// [`Error::Write`]; they have no floor then.
    pub fn admit(&mut self, keys: impl Iterator<Item = KeyId>, now: u128) -> Result<(), Error> {
        let mut new = keys.filter(|key| self.floors.of(*key).is_none()).peekable();
        if new.peek().is_none() {
            return Ok(());
        }
        let floors = self.floors.clone().with_new(now, new);
        (self.file, self.end, self.compact_at) =
            write(&self.path, &floors).map_err(|error| self.write_error(error))?;
        self.floors = floors;
        Ok(())
    }

    /// Raises the key's floor to the permit's counter and returns once that is on the disk.
    ///
    /// # Errors
    /// [`Error::Write`] and [`Error::Overtaken`]; the floor is then what it was, and there is
    /// neither order nor permit.
    pub fn persist(&mut self, permit: Permit) -> Result<AcceptedOrder, Error> {
        let order = permit.into_order();
        if !self.floors.is_below(order.key, order.counter) {
            return Err(Error::Overtaken);
        }
        let appended = self.restore().and_then(|()| self.append(order.key, order.counter));
        appended.map_err(|error| self.write_error(error))?;
        self.floors.raise(order.key, order.counter);
        Ok(AcceptedOrder(order))
    }

    /// Writes the log anew if it has become long, with one line for each key. For when no knock
    /// waits: it takes as long as there are many keys.
    ///
    /// # Errors
    /// [`Error::Write`]. No floor is lost then, and knocks can go on; the next attempt is due when
    /// the log has grown by as much again.
    pub fn compact_if_due(&mut self) -> Result<(), Error> {
        if self.end.lines() < self.compact_at {
            return Ok(());
        }
        self.compact_at = compact_at(&self.end, &self.floors);
        self.compact().map_err(|error| self.write_error(error))
    }

    /// Sees to it that the log and nothing else is in its place. What failed to be appended is cut
    /// off; and appending to a file that is no longer there would keep nothing.
    fn restore(&mut self) -> io::Result<()> {
        let (ours, there) = (self.file.metadata()?, fs::symlink_metadata(&self.path));
        let size = there
            .ok()
            .filter(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
            .map(|there| there.len());
        match size {
            Some(size) if size == self.end.size() => Ok(()),
            Some(size) if size > self.end.size() => self.file.set_len(self.end.size()),
            Some(_) | None => {
                tracing::warn!(
                    file = %self.path.display(),
                    "writing the floors anew: somebody has changed or removed them"
                );
                self.compact()
            }
        }
    }

    fn append(&mut self, key: KeyId, floor: u128) -> io::Result<()> {
        let (line, end) = self.end.with_floor(key, floor);
        // The new size is synced, too: without it the line could not be read (fdatasync(2)).
        let appended =
            self.file.write_all_at(&line, self.end.size()).and_then(|()| self.file.sync_data());
        match appended {
            Ok(()) => self.end = end,
            // Tried again before the next line if it fails.
            Err(_) => drop(self.restore()),
        }
        appended
    }

    fn compact(&mut self) -> io::Result<()> {
        (self.file, self.end, self.compact_at) = write(&self.path, &self.floors)?;
        Ok(())
    }

    fn write_error(&self, error: io::Error) -> Error {
        Error::Write(Arc::clone(&self.path), error)
    }
}

fn locate(dir: &Path) -> Result<(PathBuf, instance::Lock), Error> {
    if let Some(problem) = private_directory::trouble_with(dir) {
        return Err(Error::Place(problem));
    }
    let lock = instance::Lock::try_take(&dir.join("floors.lock"))?;
    Ok((dir.join(FLOORS), lock))
}

/// Replaces the log by one of these floors: the file that is now there, its end, and how many lines
/// will be enough for the next time.
fn write(path: &Path, floors: &Floors) -> io::Result<(File, End, u64)> {
    let (file, end) = durable::replace_with(path, |file| {
        let mut text = BufWriter::new(file);
        let end = floor_log::write(floors, &mut text)?;
        text.flush()?;
        Ok(end)
    })?;
    let compact_at = compact_at(&end, floors);
    Ok((file, end, compact_at))
}

fn compact_at(end: &End, floors: &Floors) -> u64 {
    let keys = u64::try_from(floors.len()).unwrap_or(u64::MAX);
    end.lines().saturating_add(keys.saturating_mul(LINES_PER_KEY).max(LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);

    #[test]
    fn a_first_start_needs_floors_that_were_made_on_purpose() {
        let dir = tempfile::tempdir().unwrap();
        let keys = || [KEY].into_iter();
        let missing = FloorFile::open(dir.path(), keys(), 5).unwrap_err();
        assert!(missing.to_string().contains("ruroco-server init"), "{missing}");
        FloorFile::create(dir.path(), keys(), 5).unwrap();
        assert!(matches!(FloorFile::create(dir.path(), keys(), 9), Err(Error::Exists(_))));
        let file = FloorFile::open(dir.path(), keys(), 9).unwrap();
        assert_eq!(file.floors().of(KEY), Some(5));
    }

    #[test]
    fn new_floors_get_their_name_only_when_they_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("floors.new");
        // As a power cut may leave it.
        fs::write(&new, "torn").unwrap();
        FloorFile::create(dir.path(), [KEY].into_iter(), 5).unwrap();
        assert!(!new.exists());
        let file = FloorFile::open(dir.path(), [].into_iter(), 9).unwrap();
        assert_eq!(file.floors().of(KEY), Some(5));

        let dir = tempfile::tempdir().unwrap();
        // What cannot be written there is nowhere.
        fs::create_dir(dir.path().join("floors.new")).unwrap();
        let error = FloorFile::create(dir.path(), [KEY].into_iter(), 5).unwrap_err();
        assert!(matches!(error, Error::Write(..)), "{error}");
        assert!(!FloorFile::is_there(dir.path()));
    }

    #[test]
    fn a_new_key_starts_at_now_and_an_old_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        FloorFile::create(dir.path(), [KEY].into_iter(), 5).unwrap();
        let other = KeyId([9; 8]);
        drop(FloorFile::open(dir.path(), [other].into_iter(), 7).unwrap());
        let file = FloorFile::open(dir.path(), [KEY, other].into_iter(), 9).unwrap();
        assert_eq!((file.floors().of(KEY), file.floors().of(other)), (Some(5), Some(7)));
    }

    #[test]
    fn a_key_that_comes_while_the_file_is_open_has_its_floor_on_the_disk_or_none() {
        let dir = tempfile::tempdir().unwrap();
        FloorFile::create(dir.path(), [].into_iter(), 5).unwrap();
        let mut file = FloorFile::open(dir.path(), [].into_iter(), 6).unwrap();
        assert!(file.floors().is_empty());
        let in_the_way = dir.path().join("floors.new");
        fs::create_dir(&in_the_way).unwrap();
        let error = file.admit([KEY].into_iter(), 7).unwrap_err();
        assert!(matches!(error, Error::Write(..)), "{error}");
        assert_eq!(file.floors().of(KEY), None);
        fs::remove_dir(in_the_way).unwrap();

        file.admit([KEY].into_iter(), 8).unwrap();
        let other = KeyId([9; 8]);
        file.admit([KEY, other].into_iter(), 9).unwrap();
        let written = fs::read(dir.path().join("floors")).unwrap();
        file.admit([other].into_iter(), 10).unwrap();
        assert_eq!(fs::read(dir.path().join("floors")).unwrap(), written);
        drop(file);
        let file = FloorFile::open(dir.path(), [].into_iter(), 11).unwrap();
        assert_eq!((file.floors().of(KEY), file.floors().of(other)), (Some(8), Some(9)));
    }

    /// Floors as upstream ruroco has written them, of [`KEY`], at 0x17f3598501473c02.
    const UPSTREAMS: &[u8] = b"\x91\x81\x98\x00\x01\x02\x03\x04\x05\x06\x07\xc4\x10\
        \x00\x00\x00\x00\x00\x00\x00\x00\x17\xf3\x59\x85\x01\x47\x3c\x02";
    const FLOOR: u128 = 0x17f3_5985_0147_3c02;
    const OTHER: KeyId = KeyId([9; 8]);

    fn with_upstreams(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blocklist.msgpck");
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    fn open(dir: &tempfile::TempDir, now: u128) -> Result<Floors, Error> {
        let file = FloorFile::open(dir.path(), [KEY, OTHER].into_iter(), now)?;
        Ok(file.floors().clone())
    }

    #[test]
    fn upstreams_floors_make_a_first_start_and_are_there_for_the_next() {
        for with_init in [false, true] {
            let (dir, path) = with_upstreams(UPSTREAMS);
            if with_init {
                let made = FloorFile::create(dir.path(), [OTHER].into_iter(), 7).unwrap();
                assert_eq!(made.taken_over, Some(1));
                assert!(!path.exists());
            }
            for now in [7, 9] {
                let floors = open(&dir, now).unwrap();
                assert_eq!((floors.of(KEY), floors.of(OTHER)), (Some(FLOOR), Some(7)));
                assert!(!path.exists());
            }
            let aside = dir.path().join("blocklist.msgpck.taken-over");
            assert_eq!(fs::read(aside).unwrap(), UPSTREAMS);
        }
    }

    #[test]
    fn of_two_floors_the_higher_one_holds() {
        for own in [FLOOR - 1, FLOOR, FLOOR + 1] {
            let (dir, path) = with_upstreams(UPSTREAMS);
            fs::rename(&path, dir.path().join("x")).unwrap();
            FloorFile::create(dir.path(), [KEY].into_iter(), own).unwrap();
            // Upstream has run again in between.
            fs::rename(dir.path().join("x"), &path).unwrap();
            assert_eq!(open(&dir, 3).unwrap().of(KEY), Some(own.max(FLOOR)));
            assert!(!path.exists());
            assert_eq!(open(&dir, 3).unwrap().of(KEY), Some(own.max(FLOOR)));
        }
    }

    #[test]
    fn floors_of_upstream_that_are_not_whole_stop_a_start_and_change_nothing() {
        for content in [&b""[..], &UPSTREAMS[..28], b"\x92", &[UPSTREAMS, b"\0"].concat()] {
            for own in [false, true] {
                let (dir, path) = with_upstreams(UPSTREAMS);
                fs::remove_file(&path).unwrap();
                if own {
                    FloorFile::create(dir.path(), [KEY].into_iter(), 5).unwrap();
                }
                let before = fs::read(dir.path().join("floors")).ok();
                fs::write(&path, content).unwrap();
                let error = open(&dir, 9).unwrap_err().to_string();
                assert!(error.contains(path.to_str().unwrap()), "{error}");
                assert!(error.contains("make new keys"), "{error}");
                assert!(FloorFile::create(dir.path(), [KEY].into_iter(), 9).is_err());
                assert_eq!(fs::read(&path).unwrap(), content);
                assert_eq!(fs::read(dir.path().join("floors")).ok(), before);
            }
        }
    }

    #[test]
    fn upstreams_floors_stay_until_they_are_on_the_disk_as_ours() {
        let (dir, path) = with_upstreams(UPSTREAMS);
        let in_the_way = dir.path().join("floors.new");
        fs::create_dir(&in_the_way).unwrap();
        assert!(matches!(open(&dir, 9), Err(Error::Write(..))));
        assert_eq!(fs::read(&path).unwrap(), UPSTREAMS);
        fs::remove_dir(in_the_way).unwrap();
        assert_eq!(open(&dir, 9).unwrap().of(KEY), Some(FLOOR));

        // Where it cannot be renamed it is read again, which changes nothing.
        let (dir, path) = with_upstreams(UPSTREAMS);
        fs::create_dir_all(dir.path().join("blocklist.msgpck.taken-over/x")).unwrap();
        for _ in 0..2 {
            assert_eq!(open(&dir, 9).unwrap().of(KEY), Some(FLOOR));
            assert!(path.exists());
        }
    }

    #[test]
    fn two_servers_do_not_share_floors() {
        let dir = tempfile::tempdir().unwrap();
        FloorFile::create(dir.path(), [KEY].into_iter(), 5).unwrap();
        let _first = FloorFile::open(dir.path(), [KEY].into_iter(), 5).unwrap();
        assert!(matches!(FloorFile::open(dir.path(), [KEY].into_iter(), 5), Err(Error::Lock(_))));
    }
}
