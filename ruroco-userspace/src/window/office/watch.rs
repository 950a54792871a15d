//! Other programs change the client's files, too: the command line, or an editor.

use std::{
    fs, mem,
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::{Duration, SystemTime},
};

use crate::{client::folder::Folder, window::task::Task};

/// How often the client's files are looked at.
const ROUND: Duration = Duration::from_secs(1);

/// The files that others change.
#[derive(Debug)]
pub(super) struct Watched {
    paths: Vec<PathBuf>,
}

/// What tells one state of a file from another, without reading it.
type Stamp = Option<(SystemTime, u64)>;

impl Watched {
    pub(super) fn of(folder: &Folder) -> Self {
        let keys = folder.path().join("keys");
        Self { paths: vec![folder.profiles().path().to_owned(), keys] }
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
        let stamp = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.paths.iter().map(stamp).collect()
    }
}
