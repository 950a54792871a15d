//! Reading files that decide about security only when nobody else could have read or written them.
//!
//! The checks look at the opened file, not at its path, so nothing can be exchanged in between.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// A file that was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system said no.
    #[error("could not read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// A secret of somebody else's, which this process may not open although it may be root: the gate
    /// has given up the capability for that.
    #[error(
        "could not read {path}: it belongs to uid {owner}, and this process, of uid {expected}, may not \
         open the files of others; run: chown {expected} {path}"
    )]
    OthersOwn {
        /// The file.
        path: PathBuf,
        /// The uid it belongs to.
        owner: u32,
        /// The uid it is to belong to.
        expected: u32,
    },
    /// A secret that others can read.
    #[error(
        "refusing to use the key in {path}: its mode {mode:04o} lets others read it; \
         run: chmod 600 {path} (and consider the key known to them)"
    )]
    OthersCanRead {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that others can change.
    #[error(
        "refusing to trust {path}: its mode {mode:04o} lets others write it; \
         look at its content, then run: chmod go-w {path}"
    )]
    OthersCanWrite {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that belongs to somebody who has no business with it.
    #[error("refusing to use {path}: it belongs to uid {owner}; run: chown {expected} {path}")]
    WrongOwner {
        /// The file.
        path: PathBuf,
        /// The uid it belongs to.
        owner: u32,
        /// A uid it may belong to.
        expected: u32,
    },
}

/// Reads a secret: refused if anyone but root, this process's user and `also_allowed` (a uid)
/// could have read it. The text is wiped from memory when dropped.
///
/// On systems without Unix permissions the file is read unchecked.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_secret(path: &Path, also_allowed: Option<u32>) -> Result<Zeroizing<String>, Error> {
    read_secret_with(path, also_allowed, Access::Read)
}

/// The same for a secret that systemd has passed to this process (`LoadCredential=`). It belongs to
/// root or to this user, and lies where nobody else gets to. An access list lets this user read
/// it where the file system has such lists, and then the mode shows their mask in the place of
/// the group's permissions (acl(5)): 0440.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_credential(path: &Path) -> Result<Zeroizing<String>, Error> {
    read_secret_with(path, None, Access::ReadCredential)
}

fn read_secret_with(
    path: &Path,
    also_allowed: Option<u32>,
    access: Access,
) -> Result<Zeroizing<String>, Error> {
    let file = open(path).map_err(others_own)?;
    check(&file, path, also_allowed, access)?;
    // One allocation of the final size: a growing buffer would leave copies of the secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_SECRET_SIZE.saturating_add(1)));
    let text = read(&file, path, MAX_SECRET_SIZE, &mut content)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads configuration: refused if anyone but root and this process's user could have written it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_trusted(path: &Path) -> Result<String, Error> {
    let file = open(path)?;
    check(&file, path, None, Access::Write)?;
    let mut content = Vec::new();
    read(&file, path, MAX_CONFIGURATION_SIZE, &mut content).map(str::to_owned)
}

/// Longest secret in bytes; a key has less than 100.
const MAX_SECRET_SIZE: usize = 4 << 10;

/// Longest configuration file in bytes.
const MAX_CONFIGURATION_SIZE: usize = 4 << 20;

/// What nobody else may be able to do with a file.
#[derive(Clone, Copy)]
enum Access {
    Read,
    ReadCredential,
    Write,
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|cause| Error::Read { path: path.to_owned(), cause })
}

/// The reason why a secret could not be opened, if it is that of its owner.
#[cfg(unix)]
fn others_own(error: Error) -> Error {
    use std::os::unix::fs::MetadataExt;

    let Error::Read { path, cause } = &error else { return error };
    let expected = rustix::process::geteuid().as_raw();
    match path.metadata().map(|metadata| metadata.uid()) {
        Ok(owner) if owner != expected && cause.kind() == io::ErrorKind::PermissionDenied => {
            Error::OthersOwn { path: path.clone(), owner, expected }
        }
        Ok(_) | Err(_) => error,
    }
}

#[cfg(not(unix))]
fn others_own(error: Error) -> Error {
    error
}

/// Reads at most `max` bytes into `content`, whatever the file's owner has put into it, and gives
/// them as text.
fn read<'a>(
    file: &File,
    path: &Path,
    max: usize,
    content: &'a mut Vec<u8>,
) -> Result<&'a str, Error> {
    let failed = |cause| Error::Read { path: path.to_owned(), cause };
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(content).map_err(failed)?;
    if content.len() > max {
        return Err(failed(io::Error::other(format!("it is longer than {max} bytes"))));
    }
    str::from_utf8(content).map_err(|_| failed(io::Error::other("it is not UTF-8")))
}

#[cfg(unix)]
fn check(file: &File, path: &Path, also_allowed: Option<u32>, access: Access) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;

    let path = path.to_owned();
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(cause) => return Err(Error::Read { path, cause }),
    };
    if !metadata.is_file() {
        let cause = io::Error::other("not a regular file");
        return Err(Error::Read { path, cause });
    }
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let this_user = rustix::process::geteuid().as_raw();
    if owner != 0 && owner != this_user && Some(owner) != also_allowed {
        return Err(Error::WrongOwner { path, owner, expected: this_user });
    }
    match access {
        Access::Read if mode & 0o077 != 0 => Err(Error::OthersCanRead { path, mode }),
        Access::ReadCredential if mode & 0o037 != 0 => Err(Error::OthersCanRead { path, mode }),
        Access::Write if mode & 0o022 != 0 => Err(Error::OthersCanWrite { path, mode }),
        Access::Read | Access::ReadCredential | Access::Write => Ok(()),
    }
}

#[cfg(not(unix))]
fn check(_: &File, _: &Path, _: Option<u32>, _: Access) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn file_with_mode(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_secret_is_read_only_if_no_one_else_can_read_it() {
        for mode in 0..=0o777_u32 {
            let (_dir, path) = file_with_mode(mode | 0o400);
            assert_eq!(read_secret(&path, None).is_ok(), mode & 0o077 == 0, "{mode:o}");
        }
    }

    #[test]
    fn of_a_credential_the_group_may_be_the_mask_of_an_access_list() {
        for mode in 0..=0o777_u32 {
            let (_dir, path) = file_with_mode(mode | 0o400);
            assert_eq!(read_credential(&path).is_ok(), mode & 0o037 == 0, "{mode:o}");
        }
    }

    #[test]
    fn configuration_is_read_only_if_no_one_else_can_write_it() {
        for mode in 0..=0o777_u32 {
            let (_dir, path) = file_with_mode(mode | 0o400);
            assert_eq!(read_trusted(&path).is_ok(), mode & 0o022 == 0, "{mode:o}");
        }
    }

    #[test]
    fn the_refusal_says_what_to_do() {
        let (_dir, path) = file_with_mode(0o644);
        let message = read_secret(&path, None).unwrap_err().to_string();
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        assert!(!message.contains("content"));
    }

    #[test]
    fn a_directory_is_not_a_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read_trusted(dir.path()), Err(Error::Read { .. })));
    }

    #[test]
    fn a_file_that_its_owner_has_made_huge_is_not_read_to_its_end() {
        let (_dir, path) = file_with_mode(0o600);
        File::options().write(true).open(&path).unwrap().set_len(3 << 30).unwrap();
        assert!(read_secret(&path, None).unwrap_err().to_string().contains("longer than"));
        assert!(read_trusted(&path).unwrap_err().to_string().contains("longer than"));
    }
}
