//! The last rejected knocks of known keys, in a [file](ruroco_ipc::refusal_record) that `ruroco status`
//! reads: the log is the only other trace of them.
//!
//! Only a knock with a right tag is recorded, so a sender without a key causes no record. A key has one line
//! for each reason and writes it at most once a second, so the work and the space that a key holder can cause
//! do not grow with the number of packets. If all lines are in use, a new one replaces the oldest.

use ruroco_daemon::clock::Now;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use ruroco_common::{address::Address, datagram::KeyId};
use ruroco_daemon::timestamp;
use ruroco_ipc::refusal_record::{BLANK, FILE, FILE_SIZE, RECORDS, Record, SIZE};

use super::refusal::Refusal;

/// A line is written at most once in this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// The file, and what its lines hold.
#[derive(Debug)]
pub struct RefusalLog {
    path: PathBuf,
    file: File,
    lines: [Line; RECORDS],
    sequence: u64,
    /// For the time of the next record.
    time: String,
    /// Why the last record could not be written.
    problem: Option<io::Error>,
}

/// What a line of the file holds.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// 0 for a blank line.
    sequence: u64,
    of: Option<(KeyId, Refusal)>,
    /// When this process wrote it, on the boot clock.
    written_at: Option<Duration>,
}

impl RefusalLog {
    /// Opens the file and continues from its content. A missing file, or a file of another size, is created
    /// again.
    ///
    /// # Errors
    /// If it cannot be read or created. The server can run without it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let mut content = Vec::new();
        let mut file = open(&path)?;
        // Not more than there should be, whatever is there.
        let limit = u64::try_from(FILE_SIZE).unwrap_or(u64::MAX).saturating_add(1);
        (&mut file).take(limit).read_to_end(&mut content)?;
        if content.len() != FILE_SIZE {
            // All at once, so that no record ever needs new room on the disk.
            content = BLANK.repeat(RECORDS);
            file.set_len(0)?;
            file.write_all_at(&content, 0)?;
        }
        let mut lines = [Line::default(); RECORDS];
        for (line, bytes) in lines.iter_mut().zip(content.chunks_exact(SIZE)) {
            if let Some(record) = Record::decode(bytes) {
                line.sequence = record.sequence;
                line.of = Refusal::of_name(&record.reason).map(|reason| (record.key, reason));
            }
        }
        let sequence = lines.iter().map(|line| line.sequence).max().unwrap_or_default();
        let time = String::with_capacity(SIZE);
        Ok(Self { path, file, lines, sequence, time, problem: None })
    }

    /// Records that a knock with this key, from this address, was refused for this reason. The caller has
    /// made sure that its tag is right. Allocates nothing.
    pub fn note(&mut self, now: Now, key: KeyId, reason: Refusal, from: Address) {
        let of = Some((key, reason));
        let lines = self.lines.iter_mut().enumerate();
        // Its own line, or else the one that was written longest ago.
        let Some((index, line)) = lines.min_by_key(|(_, line)| (line.of != of, line.sequence))
        else {
            return;
        };
        let is_due = |at: Duration| at.checked_add(INTERVAL).is_none_or(|next| next <= now.boot);
        if line.of == of && !line.written_at.is_none_or(is_due) {
            return;
        }
        let Some(sequence) = self.sequence.checked_add(1) else { return };
        self.time.clear();
        timestamp::write_now(&mut self.time);
        let (time, reason) = (&*self.time, reason.name());
        let record = Record { sequence, time, key, reason, address: from.into() };
        let offset = u64::try_from(index.saturating_mul(SIZE)).unwrap_or(u64::MAX);
        // Not synced: what a power cut loses is of no use after it.
        match record.encode().and_then(|text| self.file.write_all_at(&text, offset)) {
            Ok(()) => self.sequence = sequence,
            Err(error) => self.problem = Some(error),
        }
        // After an error as well: it must not cost a system call for each packet.
        *line = Line { sequence, of, written_at: Some(now.boot) };
    }

    /// Where the file is and why the last record is not in it, if it is not.
    pub fn problem(&self) -> Option<(&Path, &io::Error)> {
        self.problem.as_ref().map(|error| (&*self.path, error))
    }
}

/// Opens the file in a directory, or logs why the server goes on without it.
pub fn open_or_warn(dir: &Path) -> Option<RefusalLog> {
    let opened = RefusalLog::open(dir);
    opened.inspect_err(|error| warn_without(&dir.join(FILE), error)).ok()
}

/// Logs that refused knocks are not recorded.
pub fn warn_without(path: &Path, error: &io::Error) {
    tracing::warn!(
        file = %path.display(),
        "rejected knocks are not recorded, and `ruroco status` cannot show them: {error}"
    );
}

/// Opens a regular file, for this user alone. It neither follows a link nor waits for a pipe that another
/// process may have put there.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    match file.metadata()?.file_type().is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cmp::Reverse, fs, os::unix::fs::symlink};

    const KEY: KeyId = KeyId([1; 8]);
    const OTHER: KeyId = KeyId([2; 8]);

    fn at(seconds: u64) -> Now {
        Now { epoch: 0, boot: Duration::from_secs(seconds) }
    }

    fn from(last: u8) -> Address {
        Address::from_ipv4([192, 0, 2, last])
    }

    /// Reasons and addresses, the latest first.
    fn records(dir: &Path, key: KeyId) -> Vec<(String, String)> {
        let bytes = fs::read(dir.join(FILE)).unwrap();
        assert_eq!(bytes.len(), FILE_SIZE);
        let mut all: Vec<_> = bytes.chunks(SIZE).filter_map(Record::decode).collect();
        all.sort_by_key(|record| Reverse(record.sequence));
        let of_key = all.into_iter().filter(|record| record.key == key);
        of_key.map(|record| (record.reason, record.address.to_string())).collect()
    }

    #[test]
    fn a_key_has_one_line_for_each_reason_and_writes_it_once_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let mut refusals = RefusalLog::open(dir.path()).unwrap();
        refusals.note(at(1), OTHER, Refusal::WrongSource, from(9));
        for packet in 0..100_000 {
            let from = from(u8::try_from(packet % 7).unwrap());
            refusals.note(at(2), KEY, Refusal::OldCounter, from);
            refusals.note(at(2), KEY, Refusal::RateLimited, from);
        }
        let one = |reason: &str, from: &str| (reason.to_owned(), from.to_owned());
        let expected = [one("rate_limited", "192.0.2.0"), one("old_counter", "192.0.2.0")];
        assert_eq!(records(dir.path(), KEY), expected);
        refusals.note(at(3), KEY, Refusal::OldCounter, from(5));
        let expected = [one("old_counter", "192.0.2.5"), one("rate_limited", "192.0.2.0")];
        assert_eq!(records(dir.path(), KEY), expected);
        assert_eq!(records(dir.path(), OTHER), [one("wrong_source", "192.0.2.9")]);
    }

    #[test]
    fn the_file_goes_on_after_a_restart_and_never_grows() {
        let dir = tempfile::tempdir().unwrap();
        let note = |key: u8| {
            let mut refusals = RefusalLog::open(dir.path()).unwrap();
            refusals.note(at(1), KeyId([key; 8]), Refusal::OldCounter, from(1));
            assert!(refusals.problem().is_none());
        };
        (0..100).for_each(note);
        let has = |key: u8| !records(dir.path(), KeyId([key; 8])).is_empty();
        let kept: Vec<u8> = (0..100).filter(|key| has(*key)).collect();
        assert_eq!(kept, (36..100).collect::<Vec<_>>());
        fs::write(dir.path().join(FILE), "torn").unwrap();
        note(7);
        assert!(has(7) && !has(99));
    }

    #[test]
    fn what_is_not_a_file_of_our_own_is_neither_followed_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join(FILE), dir.path().join("other"));
        fs::write(&other, "of value").unwrap();
        symlink(&other, &path).unwrap();
        assert!(RefusalLog::open(dir.path()).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "of value");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(RefusalLog::open(dir.path()).is_err());
    }
}
