//! File systems that a test needs for itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

/// Gives this thread, and what it starts from now on, a view of the file systems of its own: what
/// is mounted then is seen by nobody else and gone when the last of them has ended.
///
/// # Panics
/// If this process may not.
pub fn keep_to_this_thread() {
    unshare(CloneFlags::CLONE_NEWNS).expect("make a mount namespace: are you root?");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .expect("keep mounts from spreading");
}

/// A mounted file system, unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
}

impl Mount {
    /// A BPF file system, for pins that go when the lab goes.
    ///
    /// # Panics
    /// If it cannot be mounted.
    pub fn bpf(path: &Path) -> Self {
        Self::new(path, "bpf", "mode=0700")
    }

    /// A file system in memory with room for so many bytes.
    ///
    /// # Panics
    /// If it cannot be mounted.
    pub fn memory(path: &Path, size: usize) -> Self {
        Self::new(path, "tmpfs", &format!("size={size},mode=0755"))
    }

    /// A file in the place of another one, such as `/etc/hosts`.
    ///
    /// # Panics
    /// If one of them is not there.
    pub fn file(content: &Path, place: &Path) -> Self {
        let none: Option<&str> = None;
        mount(Some(content), place, none, MsFlags::MS_BIND, none)
            .unwrap_or_else(|e| panic!("put a file in the place of {}: {e}", place.display()));
        Self { path: place.to_owned() }
    }

    /// A folder as it is, without one of its programs; `scratch` is for the kernel.
    ///
    /// # Panics
    /// If it cannot be mounted, or the program is not there.
    pub fn without(program: &Path, scratch: &Path) -> Self {
        let folder = program.parent().expect("a program lies in a folder");
        let mount = Self::overlay(folder, folder, &scratch.join("upper"), &scratch.join("work"));
        fs::remove_file(program).expect("hide a program");
        mount
    }

    /// One folder over another: what is written goes to `upper`, and `lower` stays as it is. `work`
    /// is for the kernel, beside `upper`.
    ///
    /// # Panics
    /// If it cannot be mounted.
    pub fn overlay(path: &Path, lower: &Path, upper: &Path, work: &Path) -> Self {
        for folder in [upper, work] {
            fs::create_dir_all(folder).expect("make a folder for an overlay");
        }
        let [lower, upper, work] = [lower, upper, work].map(Path::display);
        Self::new(path, "overlay", &format!("lowerdir={lower},upperdir={upper},workdir={work}"))
    }

    fn new(path: &Path, kind: &str, options: &str) -> Self {
        fs::create_dir_all(path).expect("make a mount point");
        mount(Some(kind), path, Some(kind), MsFlags::empty(), Some(options))
            .unwrap_or_else(|e| panic!("mount a {kind} file system on {}: {e}", path.display()));
        Self { path: path.to_owned() }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Detached: it goes for good when the last one who uses it has gone.
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            eprintln!("could not unmount {}: {error}", self.path.display());
        }
    }
}
