//! Reads the files of a daemon: the whole [path](crate::trusted_path) to them must be trusted, and the file
//! is checked as any [secure file](secure_file).

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ruroco_files::{
    secure_file::{self, Access, MAX_SECRET_SIZE},
    toml_file::Source,
};
use ruroco_messages::problems::{Problem, shell_word};
use rustix::process::geteuid;
use zeroize::Zeroizing;

use crate::{
    trusted_path::{self, Fault, Leaf, Trust, layout},
    users,
};

/// A file that was not read.
#[derive(Debug, thiserror::Error)]
#[error("{}", Problem::from(self))]
pub struct Error {
    path: PathBuf,
    cause: Cause,
    reader: Reader,
}

/// Why it was not.
#[derive(Debug)]
enum Cause {
    /// This process may not read it.
    Denied { owner: Option<u32> },
    /// The path to it is not trusted.
    Path(Fault),
    /// The file itself.
    File(secure_file::Error),
}

/// The process that must read a file. The remedy for missing permissions depends on it.
#[derive(Debug)]
enum Reader {
    /// Root, whose files are to be root's.
    Root,
    /// The server, which is in this group.
    Server { group: String },
}

impl Error {
    fn new(path: &Path, cause: Cause) -> Self {
        Self { path: path.to_owned(), cause, reader: Reader::Root }
    }

    /// A file whose path is not trusted, or leads nowhere.
    pub fn of_path(path: &Path, fault: Fault) -> Self {
        match fault.into_io() {
            Ok(error) => Self::of_io(path, error),
            Err(fault) => Self::new(path, Cause::Path(fault)),
        }
    }

    fn of_io(path: &Path, error: io::Error) -> Self {
        let cause = match error.kind() == io::ErrorKind::PermissionDenied {
            true => Cause::Denied { owner: path.metadata().ok().map(|metadata| metadata.uid()) },
            false => Cause::File(secure_file::Error::unreadable(path, error)),
        };
        Self::new(path, cause)
    }

    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.cause, Cause::File(error) if error.is_not_found())
    }

    /// The same for a file that the server must read: the message explains how this user's group gets access,
    /// and no other user.
    #[must_use]
    pub fn of_server(self) -> Self {
        Self { reader: Reader::Server { group: users::own_group() }, ..self }
    }
}

impl From<&Error> for Problem {
    fn from(Error { path, cause, reader }: &Error) -> Self {
        match (cause, reader) {
            (Cause::File(error), _) => error.into(),
            (Cause::Path(fault), Reader::Server { group }) if fault.is_denied() => {
                let message = format!("{}; {}", fault.reason(), let_group_enter(fault, group));
                Self::error(fault.path(), message)
            }
            (Cause::Path(fault), _) => fault.into(),
            (Cause::Denied { owner }, reader) => Self::error(path, denied(path, *owner, reader)),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<secure_file::Error> for Error {
    fn from(error: secure_file::Error) -> Self {
        let path = error.path().to_owned();
        Self { path, cause: Cause::File(error), reader: Reader::Root }
    }
}

fn let_group_enter(fault: &Fault, group: &str) -> String {
    match layout::is_systems(fault.path()) {
        true => format!(
            "move {} to a directory that the group {group} may enter, such as /etc/ruroco",
            shell_word(&fault.object())
        ),
        false => {
            let shown = shell_word(fault.path());
            format!("run: chgrp {group} {shown} && chmod g+x {shown}")
        }
    }
}

fn denied(path: &Path, owner: Option<u32>, reader: &Reader) -> String {
    let me = geteuid().as_raw();
    let shown = shell_word(path);
    match reader {
        Reader::Server { group } => format!(
            "permission denied for uid {me}; run: chgrp {group} {shown} && chmod g+r {shown}"
        ),
        Reader::Root if me == 0 => format!(
            "permission denied{whose}, and this process may not override file permissions; check its content, then \
            run: chown root {shown}",
            whose = owner.map(|owner| format!(", it belongs to uid {owner}")).unwrap_or_default(),
        ),
        Reader::Root => format!("permission denied for uid {me}; run this as root"),
    }
}

/// Reads a TOML file that only root and this process's user can write or replace.
///
/// # Errors
/// The file that cannot be read, or what of its path is not trusted.
pub fn read_toml(path: &Path) -> Result<Source, Error> {
    Ok(Source::new(path, read(path)?))
}

/// Reads configuration that a daemon goes by: refused if anyone but root and this process's user could
/// have written it, or put another file in its place.
///
/// # Errors
/// [`Error`], naming what is not trusted on the way, and what to do.
pub fn read(path: &Path) -> Result<String, Error> {
    let file = trusted_path::open_file(path, Trust::own());
    let file = file.map_err(|fault| Error::of_path(path, fault))?;
    Ok(secure_file::configuration(&file, path)?)
}

/// Reads a secret that lies in a trusted directory: refused if anyone but root, this process's user and
/// `also_allowed` (a uid) could have read it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_secret(
    path: &Path,
    leaf: &Leaf,
    also_allowed: Option<u32>,
) -> Result<Zeroizing<String>, Error> {
    let file = open(path, leaf)?;
    Ok(secure_file::secret(&file, path, also_allowed, Access::Read, MAX_SECRET_SIZE)?)
}

/// The same for a secret that systemd has passed to this process (`LoadCredential=`). It belongs to root or
/// to this user, and other users cannot reach it.
///
/// # Errors
/// [`Error`], with the file and the remedy.
pub fn read_credential(path: &Path, leaf: &Leaf) -> Result<Zeroizing<String>, Error> {
    let file = open(path, leaf)?;
    Ok(secure_file::secret(&file, path, None, Access::ReadCredential, MAX_SECRET_SIZE)?)
}

fn open(path: &Path, leaf: &Leaf) -> Result<File, Error> {
    leaf.open().map_err(|fault| Error::of_path(path, fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    use crate::trusted_path::Found;

    fn file_with_mode(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn of_a_credential_the_group_may_be_the_mask_of_an_access_list() {
        for mode in 0..=0o777_u32 {
            let (_dir, path) = file_with_mode(mode | 0o400);
            let Found::Leaf(leaf) = trusted_path::find(&path, Trust::own()).unwrap() else {
                panic!()
            };
            assert_eq!(read_credential(&path, &leaf).is_ok(), mode & 0o037 == 0, "{mode:o}");
        }
    }

    #[test]
    fn configuration_is_read_only_if_no_one_else_can_write_it() {
        for mode in 0..=0o777_u32 {
            let (_dir, path) = file_with_mode(mode | 0o400);
            assert_eq!(read(&path).is_ok(), mode & 0o022 == 0, "{mode:o}");
        }
    }
}
