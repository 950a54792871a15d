//! Reading files that decide about security only when nobody else could have read or written them.
//!
//! The checks look at the opened file, not at its path, so nothing can be exchanged in between.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::problems::Problem;

/// A file that was not read.
#[derive(Debug, thiserror::Error)]
#[error("{}", Problem::from(self))]
pub struct Error {
    path: PathBuf,
    cause: Cause,
}

/// Why it was not.
#[derive(Debug)]
enum Cause {
    /// The operating system said no.
    Unreadable(io::Error),
    /// The operating system said no to this user; what somebody with more rights can do about it.
    Forbidden { remedy: String },
    /// A secret of somebody else's, which this process may not open although it may be root: a running
    /// gate has given up the capability for that.
    OthersOwn { owner: u32 },
    /// What is there is no file of this kind.
    Unfit(String),
    /// A secret that others can read.
    OthersCanRead { mode: u32 },
    /// A file that others can change.
    OthersCanWrite { mode: u32 },
    /// A file that belongs to somebody who has no business with it.
    WrongOwner { owner: u32, expected: u32 },
}

impl Error {
    fn new(path: &Path, cause: Cause) -> Self {
        Self { path: path.to_owned(), cause }
    }

    fn of_io(path: &Path, error: io::Error, access: Access) -> Self {
        let cause = match (error.kind(), access) {
            (io::ErrorKind::PermissionDenied, Access::Read | Access::ReadCredential) => {
                match owner(path) {
                    Some(owner) if owner != this_user() => Cause::OthersOwn { owner },
                    Some(_) | None => Cause::Forbidden { remedy: format!("chown {}", this_user()) },
                }
            }
            (io::ErrorKind::PermissionDenied, Access::Write) => {
                Cause::Forbidden { remedy: "chmod a+r".to_owned() }
            }
            _ => Cause::Unreadable(error),
        };
        Self::new(path, cause)
    }
}

impl From<&Error> for Problem {
    fn from(Error { path, cause }: &Error) -> Self {
        let shown = path.display();
        let message = match cause {
            Cause::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                "there is no such file; make it, or name another".to_owned()
            }
            Cause::Unreadable(error) => format!("could not be read: {error}"),
            Cause::Forbidden { remedy } => format!(
                "permission denied; run: {remedy} {shown} (and see that the directories above it can \
                 be entered)"
            ),
            Cause::OthersOwn { owner } => format!(
                "it belongs to uid {owner}, and this process may not open the files of others; run: \
                 chown {} {shown}",
                this_user()
            ),
            Cause::Unfit(why) => format!("{why}; remove it, or write it anew"),
            Cause::OthersCanRead { mode } => format!(
                "its mode {mode:04o} lets others read the key; run: chmod 600 {shown} (and consider \
                 the key known to them)"
            ),
            Cause::OthersCanWrite { mode } => format!(
                "its mode {mode:04o} lets others write it; look at its content, then run: chmod go-w \
                 {shown}"
            ),
            Cause::WrongOwner { owner, expected } => {
                format!("it belongs to uid {owner}; run: chown {expected} {shown}")
            }
        };
        Self::error(path, message)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// Reads a secret: refused if anyone but root, this process's user and `also_allowed` (a uid)
/// could have read it. The text is wiped from memory when dropped.
///
/// On systems without Unix permissions the file is read unchecked.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_secret(path: &Path, also_allowed: Option<u32>) -> Result<Zeroizing<String>, Error> {
    read_secret_with(path, also_allowed, Access::Read, MAX_SECRET_SIZE)
}

/// The same for a text of at most `max` bytes that has a secret somewhere in it, of this user's.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_text_with_secret(path: &Path, max: usize) -> Result<Zeroizing<String>, Error> {
    read_secret_with(path, None, Access::Read, max)
}

/// The same for a secret that systemd has passed to this process (`LoadCredential=`). It belongs to
/// root or to this user, and lies where nobody else gets to. An access list lets this user read
/// it where the file system has such lists, and then the mode shows their mask in the place of
/// the group's permissions (acl(5)): 0440.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_credential(path: &Path) -> Result<Zeroizing<String>, Error> {
    read_secret_with(path, None, Access::ReadCredential, MAX_SECRET_SIZE)
}

fn read_secret_with(
    path: &Path,
    also_allowed: Option<u32>,
    access: Access,
    max: usize,
) -> Result<Zeroizing<String>, Error> {
    let file = open(path, access)?;
    check(&file, path, also_allowed, access)?;
    // One allocation of the final size: a growing buffer would leave copies of the secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(max.saturating_add(1)));
    let text = read(&file, path, max, &mut content)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads configuration: refused if anyone but root and this process's user could have written it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_trusted(path: &Path) -> Result<String, Error> {
    let file = open(path, Access::Write)?;
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

fn open(path: &Path, access: Access) -> Result<File, Error> {
    File::open(path).map_err(|error| Error::of_io(path, error, access))
}

#[cfg(unix)]
fn this_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn this_user() -> u32 {
    0
}

/// Whom a file belongs to, if that can be found out.
#[cfg(unix)]
fn owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    path.metadata().ok().map(|metadata| metadata.uid())
}

#[cfg(not(unix))]
fn owner(_: &Path) -> Option<u32> {
    None
}

/// Reads at most `max` bytes into `content`, whatever the file's owner has put into it, and gives
/// them as text.
fn read<'a>(
    file: &File,
    path: &Path,
    max: usize,
    content: &'a mut Vec<u8>,
) -> Result<&'a str, Error> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let read = file.take(limit).read_to_end(content);
    read.map_err(|error| Error::new(path, Cause::Unreadable(error)))?;
    if content.len() > max {
        return Err(Error::new(path, Cause::Unfit(format!("it is longer than {max} bytes"))));
    }
    str::from_utf8(content)
        .map_err(|_| Error::new(path, Cause::Unfit("it is not UTF-8".to_owned())))
}

#[cfg(unix)]
fn check(file: &File, path: &Path, also_allowed: Option<u32>, access: Access) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;

    let refused = |cause| Err(Error::new(path, cause));
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return refused(Cause::Unreadable(error)),
    };
    if !metadata.is_file() {
        return refused(Cause::Unfit("it is not a regular file".to_owned()));
    }
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != 0 && owner != this_user() && Some(owner) != also_allowed {
        let expected = also_allowed.unwrap_or_else(this_user);
        return refused(Cause::WrongOwner { owner, expected });
    }
    match access {
        Access::Read if mode & 0o077 != 0 => refused(Cause::OthersCanRead { mode }),
        Access::ReadCredential if mode & 0o037 != 0 => refused(Cause::OthersCanRead { mode }),
        Access::Write if mode & 0o022 != 0 => refused(Cause::OthersCanWrite { mode }),
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
        let message = read_trusted(dir.path()).unwrap_err().to_string();
        assert!(message.contains("not a regular file"), "{message}");
    }

    #[test]
    fn a_file_that_its_owner_has_made_huge_is_not_read_to_its_end() {
        let (_dir, path) = file_with_mode(0o600);
        File::options().write(true).open(&path).unwrap().set_len(3 << 30).unwrap();
        assert!(read_secret(&path, None).unwrap_err().to_string().contains("longer than"));
        assert!(read_trusted(&path).unwrap_err().to_string().contains("longer than"));
    }
}
