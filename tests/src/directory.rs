//! The temporary directory of a lab, which must not outlive it: there are keys in it.
//!
//! It is removed when dropped, but a process that a signal ends drops nothing. So its name says
//! whose it is, `ruroco-lab-PID-XXXXXX`, and the first lab that a process makes removes those whose
//! process is no more. If another process has that number by now, or it belongs to another user,
//! it stays. A program that catches signals can do it at once, with [`remove_all_and_exit`].

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::kill,
    unistd::{Pid, geteuid},
};
use tempfile::TempDir;

/// What the names of all of them begin with.
const PREFIX: &str = "ruroco-lab-";

/// Those of this process.
static PRESENT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A temporary directory, removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Directory {
    // Always there, but for the end of `drop`.
    directory: Option<TempDir>,
    path: PathBuf,
}

impl Directory {
    /// Makes one.
    ///
    /// # Panics
    /// If that fails.
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| remove_abandoned(&env::temp_dir()));

        // Locked before it is made, so that none is made behind the back of a signal.
        let mut present = present();
        let prefix = format!("{PREFIX}{}-", process::id());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir_in(env::temp_dir());
        let directory = directory.expect("make a temporary directory");
        let path = directory.path().to_owned();
        present.push(path.clone());
        Self { directory: Some(directory), path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let mut present = present();
        drop(self.directory.take());
        present.retain(|path| *path != self.path);
    }
}

/// Removes the directories of all labs of this process, as far as possible, and ends it, and with
/// it what the labs have started. No lab can be made or dropped meanwhile.
pub fn remove_all_and_exit(status: i32) -> ! {
    let present = present();
    for path in &*present {
        remove(path);
    }
    process::exit(status)
}

fn present() -> MutexGuard<'static, Vec<PathBuf>> {
    PRESENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is left of labs whose process is no more.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.filter_map(Result::ok) {
        let owner = entry.file_name().to_str().and_then(owner);
        // Of the entry itself: nobody can make us follow a link.
        let ours = entry.metadata().is_ok_and(|is| is.is_dir() && is.uid() == geteuid().as_raw());
        if ours && owner.is_some_and(is_gone) {
            remove(&entry.path());
        }
    }
}

/// The process that made the directory of this name.
fn owner(name: &str) -> Option<Pid> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    // Zero and less are no processes, but groups of them.
    pid.parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

fn is_gone(pid: Pid) -> bool {
    kill(pid, None) == Err(Errno::ESRCH)
}

/// Removes a directory in which programs may still be making files.
fn remove(path: &Path) {
    const ATTEMPTS: u32 = 20;
    for attempt in 1..=ATTEMPTS {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if attempt == ATTEMPTS => {
                eprintln!("could not remove {}: {error}", path.display());
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    /// The number of a process that has ended and been reaped.
    fn ended() -> u32 {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn it_bears_the_number_of_its_process_and_goes_when_dropped() {
        let directory = Directory::new();
        let path = directory.path().to_owned();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(owner(name), Some(Pid::this()));
        fs::write(path.join("laptop.key"), "key").unwrap();
        assert!(present().contains(&path));
        drop(directory);
        assert!(!path.exists());
        assert!(!present().contains(&path));
    }

    #[test]
    fn only_directories_of_ended_processes_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path = |name: &str| parent.path().join(name);
        let abandoned = format!("{PREFIX}{}-abcdef", ended());
        fs::create_dir_all(path(&abandoned).join("client")).unwrap();
        fs::write(path(&abandoned).join("client/laptop.key"), "key").unwrap();

        let present = format!("{PREFIX}{}-abcdef", process::id());
        let others = ["ruroco-lab-abcdef", "ruroco-lab-0-abcdef", "ruroco-lab--1-abcdef", "other"];
        for name in others.into_iter().chain([&*present]) {
            fs::create_dir(path(name)).unwrap();
        }
        let (file, link) =
            (format!("{PREFIX}{}-file", ended()), format!("{PREFIX}{}-link", ended()));
        fs::write(path(&file), "").unwrap();
        symlink(path("other"), path(&link)).unwrap();

        remove_abandoned(parent.path());
        assert!(!path(&abandoned).exists());
        for name in others.into_iter().chain([&*present, &file, &link]) {
            assert!(path(name).exists(), "{name}");
        }
    }
}
