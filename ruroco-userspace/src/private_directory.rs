//! Directories in which only root and this process's user can put, exchange or remove anything:
//! the places of sockets and pins.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, bail};
use rustix::process::geteuid;

/// Makes sure of such a directory; one that is missing is made, with this mode.
///
/// # Errors
/// If it cannot be made, or others can change what is in it.
pub fn prepare(dir: &Path, mode: u32) -> anyhow::Result<()> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(dir, mode)?,
        _ => {}
    }
    let metadata =
        fs::metadata(dir).with_context(|| format!("could not look at {}", dir.display()))?;
    refusal(dir, &metadata, mode)
        .map_or(Ok(()), |why| bail!("refusing to use {}: {why}", dir.display()))
}

/// Why such a directory would be refused, if it is there; nothing is changed.
pub fn trouble_with(dir: &Path, mode: u32) -> Option<String> {
    match fs::metadata(dir) {
        Ok(metadata) => refusal(dir, &metadata, mode),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("could not look at it: {error}")),
    }
}

/// Why others could change what is in it, and what to do.
fn refusal(dir: &Path, metadata: &fs::Metadata, mode: u32) -> Option<String> {
    let owner_is_trusted = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
    if metadata.is_dir() && owner_is_trusted && metadata.mode() & 0o022 == 0 {
        return None;
    }
    if !metadata.is_dir() {
        return Some("it is no directory; remove what is there".to_owned());
    }
    Some(format!(
        "others can exchange things in it: it belongs to uid {owner} and has mode {has:04o}; look at \
         what is in it, then run: chown root {dir}; chmod {mode:o} {dir}",
        dir = dir.display(),
        owner = metadata.uid(),
        has = metadata.mode() & 0o7777,
    ))
}

fn make(dir: &Path, mode: u32) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(mode)
        .create(dir)
        // The umask may have taken away the way in that others need.
        .and_then(|()| fs::set_permissions(dir, Permissions::from_mode(mode)))
        .with_context(|| format!("could not create the directory {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_made_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("run/ruroco");
        prepare(&dir, 0o755).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o755);
        prepare(&dir, 0o755).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o775, 0o757, 0o1777] {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let error = prepare(dir.path(), 0o755).unwrap_err().to_string();
            assert!(error.contains("chmod 755"), "{error}");
        }
    }

    #[test]
    fn something_else_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(prepare(&file, 0o755).is_err());
    }
}
