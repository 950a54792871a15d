//! Other programs change the client's files, too: the command line, an editor, or a second window.

#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::{
    fs::{self, Permissions},
    mem,
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::{Duration, SystemTime},
};

use ruroco_client::folder::Folder;

use crate::{history, task::Task};

/// How often the client's files are checked for changes.
const ROUND: Duration = Duration::from_secs(1);

/// The files that others change.
#[derive(Debug)]
pub(super) struct Watched {
    files: Vec<PathBuf>,
    /// The folder of keys: each of its files counts, because one that gets other permissions cannot be
    /// used any more, or can be again.
    keys: PathBuf,
}

/// What tells one state of a file from another, without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// None if there is no such file.
    state: Option<State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    modified: Option<SystemTime>,
    size: u64,
    permissions: Permissions,
    /// When anything about it last changed, permissions included, even if they are what they were.
    #[cfg(unix)]
    changed: (i64, i64),
}

impl Watched {
    pub(super) fn of(folder: &Folder) -> Self {
        let files = vec![folder.profiles().path().to_owned(), history::path(folder.path())];
        Self { files, keys: folder.path().join("keys") }
    }

    pub(super) fn keep_watch(&self, tasks: &Sender<Task>, closed: &Receiver<()>) {
        let mut before = self.stamps();
        while closed.recv_timeout(ROUND) == Err(RecvTimeoutError::Timeout) {
            let now = self.stamps();
            if now != mem::replace(&mut before, now.clone()) {
                let _ = tasks.send(Task::ReadAll);
            }
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let keys = fs::read_dir(&self.keys).into_iter().flatten();
        let mut keys: Vec<PathBuf> = keys.filter_map(|key| Some(key.ok()?.path())).collect();
        keys.sort_unstable();
        self.files.iter().cloned().chain(keys).map(Stamp::of).collect()
    }
}

impl Stamp {
    fn of(path: PathBuf) -> Self {
        let state = fs::metadata(&path).ok().map(|metadata| State {
            modified: metadata.modified().ok(),
            size: metadata.len(),
            permissions: metadata.permissions(),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        Self { path, state }
    }
}
