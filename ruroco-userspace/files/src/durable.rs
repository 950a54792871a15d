//! Replaces a file so that after a crash either the old or the new content is there, complete.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Replaces the content of `path` and returns once it is on the disk: written to `path` with
/// `.new` appended, synced, renamed, and the directory synced. The file is readable by its owner
/// alone. A leftover `.new` from a crash is overwritten; the caller makes sure that there is only
/// one writer.
///
/// # Errors
/// The first failing step's. The old content is then still there, unless only the last step
/// failed: then either may be found after a power cut.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, |mut file| file.write_all(content)).map(drop)
}

/// The same with what `write` writes; gives the file that is now there, and what `write` gave.
///
/// # Errors
/// As for [`replace`].
pub fn replace_with<T>(
    path: &Path,
    write: impl FnOnce(&File) -> io::Result<T>,
) -> io::Result<(File, T)> {
    let (new, file, written) = write_beside(path, write)?;
    if let Err(error) = fs::rename(&new, path) {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    sync_parent(path)?;
    Ok((file, written))
}

/// Creates `path`, in a folder of ours, with this content, readable by its owner alone, so that after a crash
/// it is there whole or not at all: written as for [`replace`], and given its name only then. On file
/// systems without links, such as FAT, a crash may leave it cut off. The caller makes sure that there is
/// only one writer.
///
/// # Errors
/// `AlreadyExists` if there is such a file; it is left alone.
pub fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    create_with(path, |mut file| file.write_all(content))
}

/// The same with what `write` writes, which may also have others read it.
///
/// # Errors
/// As for [`create`].
pub fn create_with(path: &Path, write: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let (new, _, ()) = write_beside(path, &write)?;
    // Unlike a rename, a link replaces nothing.
    let linked = fs::hard_link(&new, path);
    let _ = fs::remove_file(&new);
    match linked.map_err(|error| (error.kind(), error)) {
        // What Linux (EPERM) and others say where there are none.
        Err((io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported, _)) => {
            write_in_place(path, write)
        }
        linked => linked.map_err(|(_, error)| error),
    }?;
    sync_parent(path)
}

/// Creates `path` with this content, readable by its owner alone, in a user's folder in which no other file
/// is touched. A crash may leave an incomplete file.
///
/// # Errors
/// `AlreadyExists` if there is such a file, which is not changed.
pub fn create_in_place(path: &Path, content: &[u8]) -> io::Result<()> {
    write_in_place(path, |mut file| file.write_all(content))?;
    sync_parent(path)
}

/// Removes a file and returns once it is gone from the disk.
///
/// # Errors
/// The first failing step's. If only the last one failed, the file may be back after a power cut.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_parent(path)
}

/// Gives a file another name in the same folder, which no other file may have, and returns once that is on the
/// disk.
///
/// # Errors
/// `AlreadyExists` if there is such a file; it is left alone.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    // Unlike a rename, a link replaces nothing.
    fs::hard_link(from, to)?;
    fs::remove_file(from)?;
    sync_parent(to)
}

fn write_in_place(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let file = private().create_new(true).open(path)?;
    let written = write(&file).and_then(|()| file.sync_all());
    if written.is_err() {
        // Ours: `create_new` has just made it.
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes a file with `.new` appended to the name of `path` and returns once its content is on the disk.
fn write_beside<T>(
    path: &Path,
    write: impl FnOnce(&File) -> io::Result<T>,
) -> io::Result<(PathBuf, File, T)> {
    let new = with_suffix(path, ".new");
    // Removed rather than truncated: a file left by somebody else keeps neither owner nor mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = private().create_new(true).open(&new)?;
    let written = write(&file).and_then(|written| file.sync_all().map(|()| written));
    match written {
        Ok(written) => Ok((new, file, written)),
        Err(error) => {
            // Ours, and of no use: what failed is told, and not that a leftover stays.
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_parent(_: &Path) -> io::Result<()> {
    Ok(()) // directories cannot be opened as files there
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let full = |mut file: &File| {
            file.write_all(b"half")?;
            Err::<(), _>(io::ErrorKind::StorageFull.into())
        };
        assert!(replace_with(&path, full).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
