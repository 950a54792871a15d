//! Detects changes of the client's files by other programs: the command line, an editor, or a second window.

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

/// The files to watch.
#[derive(Debug)]
pub(super) struct Watched {
    files: Vec<PathBuf>,
    /// The folder of keys. Its files are watched, too, because their permissions decide whether a key
    /// can be used.
    keys: PathBuf,
}

/// The metadata of a file, which shows whether it was changed.
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
    /// When the content or the metadata last changed.
    #[cfg(unix)]
    changed: (i64, i64),
}

impl Watched {
    pub(super) fn of(folder: &Folder) -> Self {
        let files = vec![folder.profiles().path().to_owned(), history::path(folder.path())];
        Self { files, keys: folder.path().join("keys") }
    }

    pub(super) fn run(&self, tasks: &Sender<Task>, closed: &Receiver<()>) {
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
