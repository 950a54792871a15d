//! The files of an import. They are read although another user may have written them, because a person
//! confirms their content; and no file is replaced without a copy.

use std::{
    fs::{self, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ruroco_files::{durable, secure_file::open_regular};
use ruroco_trust::private_directory;
use zeroize::Zeroizing;

/// What is appended to the name of a file that an import has replaced.
const BACKUP: &str = ".before-import";

/// Longest file that is read, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// The text of a file.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    open_regular(path)
        .and_then(|file| file.take(MAX_SIZE).read_to_string(&mut text))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

/// The files of keys in a directory.
pub(super) fn keys_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let is_key = |path: &PathBuf| {
        path.is_file() && path.extension().is_some_and(|extension| extension == "key")
    };
    let mut keys: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_key).collect();
    keys.sort();
    Ok(keys)
}

/// Has a file or directory be root's, with this mode.
pub(super) fn give_to_root(path: &Path, mode: u32, out: &mut impl Write) -> anyhow::Result<()> {
    let failed = || format!("cannot give {} to root", path.display());
    lchown(path, Some(0), Some(0)).with_context(failed)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(failed)?;
    Ok(writeln!(out, "gave {} to root (mode {mode:o})", path.display())?)
}

/// Moves keys to a directory that only root can enter.
pub(super) fn move_keys(keys: &[PathBuf], to: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    private_directory::prepare(to, 0o700)?;
    for key in keys {
        let Some(name) = key.file_name() else { continue };
        let new = to.join(name);
        if new.exists() {
            bail!("{} exists already. Move it away, and run this again", new.display());
        }
        let failed = || format!("cannot move {} to {}", key.display(), new.display());
        let mode = key.metadata().with_context(failed)?.permissions().mode();
        if key.is_symlink() {
            let text = Zeroizing::new(read(key)?);
            durable::create(&new, text.as_bytes()).and_then(|()| fs::remove_file(key))
        } else {
            fs::rename(key, &new)
        }
        .with_context(failed)?;
        give_to_root(&new, 0o600, out)?;
        if mode & 0o077 != 0 {
            writeln!(
                out,
                "Warning: {} was readable by other users (mode {:04o}). Replace the key if anyone else may have \
                 read it",
                key.display(),
                mode & 0o7777
            )?;
        }
    }
    Ok(())
}

/// A file before its replacement, and the name under which the original is kept.
pub(super) struct Backup<'a> {
    path: &'a Path,
    kept: PathBuf,
}

impl<'a> Backup<'a> {
    pub(super) fn of(path: &'a Path) -> Self {
        let mut kept = path.as_os_str().to_owned();
        kept.push(BACKUP);
        Self { path, kept: kept.into() }
    }

    /// Gives the file the other name.
    pub(super) fn set_aside(&self, out: &mut impl Write) -> anyhow::Result<()> {
        fs::rename(self.path, &self.kept).with_context(|| self.failed())?;
        Ok(writeln!(out, "renamed {} to {}", self.path.display(), self.kept.display())?)
    }

    /// Puts another content into its place.
    pub(super) fn replace(
        &self,
        text: &str,
        mode: u32,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        match fs::hard_link(self.path, &self.kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !self.is_kept() => bail!(
                "{} exists already, from an earlier import. Move it away, and run this again",
                self.kept.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => linked.with_context(|| self.failed())?,
        }
        durable::replace_with(self.path, |mut file| {
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())
        })
        .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(writeln!(
            out,
            "converted {}; the original is {}",
            self.path.display(),
            self.kept.display()
        )?)
    }

    /// Whether this very file is kept already: by an import that was interrupted, or because a person has
    /// copied the original back.
    fn is_kept(&self) -> bool {
        let inode = |path: &Path| fs::symlink_metadata(path).ok().map(|is| (is.dev(), is.ino()));
        let is_same_text =
            || matches!((read(self.path), read(&self.kept)), (Ok(a), Ok(b)) if a == b);
        inode(self.path) == inode(&self.kept) || is_same_text()
    }

    fn failed(&self) -> String {
        format!("cannot keep {} as {}", self.path.display(), self.kept.display())
    }
}

/// A new configuration that is not in force yet, for the server's program to read. Removed when dropped.
pub(super) struct Draft(PathBuf);

impl Draft {
    pub(super) fn write(config: &Path, text: &str) -> anyhow::Result<Self> {
        let mut path = config.as_os_str().to_owned();
        path.push(".import");
        let draft = Self(path.into());
        fs::write(&draft.0, text)
            .and_then(|()| fs::set_permissions(&draft.0, Permissions::from_mode(0o644)))
            .with_context(|| format!("cannot write {}", draft.0.display()))?;
        Ok(draft)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
