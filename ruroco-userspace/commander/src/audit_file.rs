//! The audit trail on the disk: two files of bounded size, of whole lines.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ruroco_ipc::audit::{FILE, MAX_REFUSED_SIZE, MAX_SIZE, OLD_FILE, REFUSED};
use rustix::{fs::OFlags, process::geteuid};

use super::{audit_rotation::latest_of_each_key, json::Object};

/// Of a new file: root writes, root's group reads.
const MODE: u32 = 0o640;

/// The trail. No other process writes it: see [`AuditFile::open`].
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    old: PathBuf,
    /// `None` after a failure, until the next line.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// How many of its bytes are refusals.
    refused: u64,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A command that was run.
    Run,
    /// Orders that were refused.
    Refusal,
}

impl AuditFile {
    /// Opens the trail in a directory, or begins one. The caller has locked it.
    ///
    /// # Errors
    /// If it cannot be read and written.
    ///
    /// A file with a second name, as `cp -al` makes one, is rotated, which writes nothing to it: whatever has
    /// the other name stays as it is.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let (path, old) = (dir.join(FILE), dir.join(OLD_FILE));
        let mut file = Self { path, old, open: None };
        if has_another_name(&file.path) {
            file.rotate()?;
        }
        file.open = Some(Open::new(&file.path)?);
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, completely or not at all. Returns whether there was room: rejections have only a part
    /// of the file.
    ///
    /// # Errors
    /// If it could not be written. The next line is a new attempt.
    pub fn append(&mut self, subject: Subject, line: &str) -> io::Result<bool> {
        let mut open = match self.open.take() {
            // Somebody may have moved or removed it.
            Some(open) if open.is_at(&self.path) => open,
            _ => Open::new(&self.path)?,
        };
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
        if open.size.saturating_add(length) > MAX_SIZE {
            self.rotate()?;
            open = Open::new(&self.path)?;
        }
        let refused = match subject {
            Subject::Run => open.refused,
            Subject::Refusal => open.refused.saturating_add(length),
        };
        let has_room = refused <= MAX_REFUSED_SIZE;
        if has_room {
            open.write(format!("{line}\n").as_bytes())?;
            open.size = open.size.saturating_add(length);
            open.refused = refused;
        }
        self.open = Some(open);
        Ok(has_room)
    }

    /// Makes the trail the old one, together with [some lines](latest_of_each_key) of the previous old one.
    fn rotate(&self) -> io::Result<()> {
        // Without an old one, or if the disk is full, the trail itself is what is kept.
        if self.merge().is_ok() {
            return fs::remove_file(&self.path);
        }
        let _ = fs::remove_file(self.merged());
        fs::rename(&self.path, &self.old)
    }

    fn merge(&self) -> io::Result<()> {
        let (older, newer) = (read(&self.old)?, read(&self.path)?);
        let room = usize::try_from(MAX_SIZE).unwrap_or_default();
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(MODE);
        let merged = self.merged();
        options.open(&merged)?.write_all(&latest_of_each_key(&older, &newer, room))?;
        fs::rename(merged, &self.old)
    }

    fn merged(&self) -> PathBuf {
        self.old.with_extension("new")
    }
}

/// No more of a file than one of ours has.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_SIZE).read_to_end(&mut text)?;
    Ok(text)
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
        let file = options.read(true).append(true).create(true).mode(MODE).open(path)?;
        check(&file.metadata()?)?;
        let mut text = Vec::new();
        (&file).take(MAX_SIZE.saturating_add(1)).read_to_end(&mut text)?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_SIZE {
            // Not by us. With the next line it becomes the old one.
            return Ok(Self { size: file.metadata()?.len(), file, refused: 0 });
        }
        // What a crash has left of a line is none.
        let whole =
            text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
        if whole < text.len() {
            file.set_len(u64::try_from(whole).unwrap_or_default())?;
        }
        text.truncate(whole);
        let is_refusal = |line: &&[u8]| contains(line, event(REFUSED).as_bytes());
        let refusals = text.split_inclusive(|byte| *byte == b'\n').filter(is_refusal);
        let refused = u64::try_from(refusals.map(<[u8]>::len).sum::<usize>()).unwrap_or(u64::MAX);
        Ok(Self { file, size: u64::try_from(whole).unwrap_or(u64::MAX), refused })
    }

    fn is_at(&self, path: &Path) -> bool {
        let identity = |of: fs::Metadata| (of.dev(), of.ino());
        let own = self.file.metadata().map(identity);
        let there = fs::symlink_metadata(path).map(identity);
        matches!((own, there), (Ok(own), Ok(there)) if own == there)
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line).inspect_err(|_| {
            // A part may have fitted on the disk.
            let _ = self.file.set_len(self.size);
        })
    }
}

/// Whether it is a file of this user's own that has a second name.
fn has_another_name(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|file| file.is_file() && file.uid() == geteuid().as_raw() && file.nlink() > 1)
}

/// A file from before the directory belonged to root may belong to another user, or be another file by a
/// second name.
fn check(file: &fs::Metadata) -> io::Result<()> {
    let is_ours = file.is_file() && file.uid() == geteuid().as_raw() && file.nlink() == 1;
    match is_ours {
        true => Ok(()),
        false => Err(io::Error::other(
            "it is not a regular file that belongs to this user and has a single name. Move it away",
        )),
    }
}

/// How a line with this event has it.
fn event(name: &str) -> String {
    let object = Object::default().text("event", name).close();
    object.trim_start_matches('{').trim_end_matches('}').to_owned()
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn run(number: usize) -> String {
        Object::default().text("event", "running").text("counter", &number.to_string()).close()
    }

    fn refusal(number: usize) -> String {
        Object::default().text("event", REFUSED).text("detail", &format!("{number:0100}")).close()
    }

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap_or_default()
    }

    fn length(text: &str) -> u64 {
        text.len().try_into().unwrap()
    }

    fn counters(text: &str) -> Vec<usize> {
        let counter = |line: &str| line.strip_suffix("\"}")?.rsplit('"').next()?.parse().ok();
        text.lines().filter(|line| line.contains("running")).filter_map(counter).collect()
    }

    #[test]
    fn it_is_bounded_and_the_latest_lines_are_there_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = AuditFile::open(dir.path()).unwrap();
        for number in 0..100_000 {
            if number % 997 == 0 {
                file = AuditFile::open(dir.path()).unwrap();
            }
            assert!(file.append(Subject::Run, &run(number)).unwrap());
            if number % 100 == 0 {
                let sizes = [FILE, OLD_FILE].map(|name| length(&read(dir.path(), name)));
                assert!(sizes.iter().all(|size| *size <= MAX_SIZE), "{sizes:?}");
            }
        }
        let all = counters(&(read(dir.path(), OLD_FILE) + &read(dir.path(), FILE)));
        assert_eq!(all, (100_000 - all.len()..100_000).collect::<Vec<_>>());
        // At least one file's worth is always there.
        assert!(length(&read(dir.path(), OLD_FILE)) > MAX_SIZE - 100, "it was not full");
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777 & !MODE, 0, "{mode:o}");
    }

    #[test]
    fn no_key_has_the_runs_of_others_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = AuditFile::open(dir.path()).unwrap();
        let run = |key: &str, number: usize| {
            let line = Object::default().text("event", "running").text("key", key);
            line.text("counter", &number.to_string()).close()
        };
        for number in 0..100 {
            file.append(Subject::Run, &run("seldom", number)).unwrap();
        }
        // Some five times what both files have room for.
        for number in 0..200_000 {
            file.append(Subject::Run, &run("often", number)).unwrap();
        }
        file.append(Subject::Run, &run("seldom", 100)).unwrap();
        let all = read(dir.path(), OLD_FILE) + &read(dir.path(), FILE);
        let of = |key: &str| {
            let lines: Vec<_> = all.lines().filter(|line| line.contains(key)).collect();
            counters(&lines.join("\n"))
        };
        assert_eq!(of("seldom"), (0..=100).collect::<Vec<_>>());
        let often = of("often");
        assert_eq!(often, (200_000 - often.len()..200_000).collect::<Vec<_>>());
        assert!(length(&read(dir.path(), OLD_FILE)) > MAX_SIZE - 100, "it was not full");
        assert!(length(&read(dir.path(), OLD_FILE)) <= MAX_SIZE);
    }

    #[test]
    fn refusals_have_only_so_much_room_and_no_restart_gives_them_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = AuditFile::open(dir.path()).unwrap();
        for number in 0..100 {
            file.append(Subject::Run, &run(number)).unwrap();
        }
        let mut told = 0;
        for number in 0..20_000 {
            if number % 5_000 == 0 {
                file = AuditFile::open(dir.path()).unwrap();
            }
            told += u64::from(file.append(Subject::Refusal, &refusal(number)).unwrap());
        }
        assert_eq!(told, MAX_REFUSED_SIZE / (length(&refusal(0)) + 1));
        assert_eq!(read(dir.path(), OLD_FILE), "", "nothing had to make room");
        assert_eq!(counters(&read(dir.path(), FILE)), (0..100).collect::<Vec<_>>());
        // What runs still has its place.
        assert!(file.append(Subject::Run, &run(100)).unwrap());
        assert!(!file.append(Subject::Refusal, &refusal(0)).unwrap());
    }

    #[test]
    fn a_file_with_a_second_name_is_rotated_and_never_written_to() {
        for has_old in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (path, copy) = (dir.path().join(FILE), dir.path().join("copy"));
            if has_old {
                fs::write(dir.path().join(OLD_FILE), format!("{}\n", run(0))).unwrap();
            }
            // Half a line at its end would be cut off.
            let text = format!("{}\n{{\"event\":\"runn", run(1));
            fs::write(&path, &text).unwrap();
            // As `cp -al` does.
            fs::hard_link(&path, &copy).unwrap();
            let mut file = AuditFile::open(dir.path()).unwrap();
            file.append(Subject::Run, &run(2)).unwrap();
            assert_eq!(fs::read_to_string(&copy).unwrap(), text);
            assert_eq!(counters(&read(dir.path(), FILE)), [2]);
            let old = counters(&read(dir.path(), OLD_FILE));
            assert_eq!(old, if has_old { vec![0, 1] } else { vec![1] });
        }
    }

    #[test]
    fn half_a_line_is_cut_off_and_a_file_taken_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, format!("{}\n{{\"event\":\"runn", run(1))).unwrap();
        let mut file = AuditFile::open(dir.path()).unwrap();
        file.append(Subject::Run, &run(2)).unwrap();
        assert_eq!(read(dir.path(), FILE), format!("{}\n{}\n", run(1), run(2)));

        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        file.append(Subject::Run, &run(3)).unwrap();
        assert_eq!(counters(&read(dir.path(), FILE)), [3]);
        assert_eq!(counters(&read(dir.path(), "elsewhere")), [1, 2]);
    }
}
