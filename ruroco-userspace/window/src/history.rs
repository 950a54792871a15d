//! The history of knocks. An entry is written to the disk as soon as its knock is sent, so it exists
//! even if the window is killed. Its result is added later.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::state_file::{Found, StateFile, WriteError};

/// The maximum number of entries. The oldest are removed first.
pub(super) const MAX_ENTRIES: usize = 500;

const FILE: &str = "history.json";

/// One knock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Nanoseconds since the epoch; unique among the entries.
    pub(super) at: u64,
    pub(super) host: String,
    pub(super) command: String,
    /// The addresses to which it was sent, if known.
    pub(super) address: Option<String>,
    pub(super) result: Result,
}

/// The result of a knock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Result {
    /// The knock was sent. No port was checked, or the window was closed before the result was known.
    Sent,
    /// The port opened after this time.
    Opened { port: u16, milliseconds: u64 },
    /// The port was already open, so it cannot show the effect of the knock.
    WasOpen { port: u16 },
    /// The port did not open.
    NothingOpened { port: u16 },
    /// The user stopped waiting.
    Cancelled,
    /// The knock was not sent.
    NotSent { why: String },
}

impl Entry {
    /// The time of the knock.
    pub(super) fn time(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_nanos(self.at)).unwrap_or(UNIX_EPOCH)
    }
}

/// All entries, the newest first.
pub(super) type Entries = VecDeque<Entry>;

/// The path of the history in the client's folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The history's file.
#[derive(Clone, Debug)]
pub(super) struct History(StateFile);

impl History {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(StateFile::new(folder, FILE))
    }

    pub(super) fn read(&self) -> Found<Entries> {
        self.0.read()
    }

    /// Adds an entry in the order of time, and returns all entries.
    ///
    /// # Errors
    /// If the history cannot be written.
    pub(super) fn add(&self, entry: Entry) -> std::result::Result<Entries, WriteError> {
        self.0.change(|entries: &mut Entries| {
            let newer = entries.partition_point(|other| other.at > entry.at);
            entries.insert(newer, entry);
            entries.truncate(MAX_ENTRIES);
        })
    }

    /// Replaces an entry by one with its result, unless the history was cleared in the meantime. Returns
    /// all entries.
    ///
    /// # Errors
    /// If the history cannot be written.
    pub(super) fn replace(&self, entry: Entry) -> std::result::Result<Entries, WriteError> {
        self.0.change(|entries: &mut Entries| {
            if let Some(same) = entries.iter_mut().find(|other| other.at == entry.at) {
                *same = entry;
            }
        })
    }

    /// Removes all entries.
    ///
    /// # Errors
    /// If the history cannot be written.
    pub(super) fn clear(&self) -> std::result::Result<Entries, WriteError> {
        self.0.change(Entries::clear)
    }
}

/// The current time in the format of an entry.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64, result: Result) -> Entry {
        let text = str::to_owned;
        Entry { at, host: text("home"), command: text("open"), address: None, result }
    }

    #[test]
    fn what_came_of_a_knock_takes_the_place_of_its_entry() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::in_folder(folder.path());
        history.add(entry(1, Result::Sent)).unwrap();
        history.add(entry(2, Result::Sent)).unwrap();
        let opened = entry(1, Result::Opened { port: 22, milliseconds: 180 });
        history.replace(opened.clone()).unwrap();
        assert_eq!(history.read().content, [entry(2, Result::Sent), opened.clone()]);
        history.clear().unwrap();
        history.replace(opened).unwrap();
        assert!(history.read().content.is_empty(), "what was cleared does not come back");
    }

    #[test]
    fn a_knock_that_is_noted_late_stands_where_it_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::in_folder(folder.path());
        for at in [2, 1, 4, 3] {
            history.add(entry(at, Result::Sent)).unwrap();
        }
        let entries = history.read().content;
        assert_eq!(entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), [4, 3, 2, 1]);
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::in_folder(folder.path());
        let full = (0..600).rev().map(|at| entry(at, Result::Sent)).collect::<Entries>();
        history.0.change(|entries: &mut Entries| *entries = full).unwrap();
        let kept = history.add(entry(1000, Result::Cancelled)).unwrap();
        assert_eq!(kept.len(), MAX_ENTRIES);
        assert_eq!((kept[0].at, kept[1].at), (1000, 599));
    }
}
