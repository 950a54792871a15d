//! Reads security-relevant files only if no other user could have read or written them.
//!
//! The checks apply to the opened file, not to its path, so no other file can replace it in between. For a
//! person's own files, only the file itself is checked: home directories that a group can write, or that are
//! on the person's own file systems, are common, and only that person can be harmed. A daemon checks the
//! whole path: see crate `ruroco-trust`, which checks the opened file with the same functions.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};

use ruroco_messages::problems::{Problem, shell_word};
use zeroize::Zeroizing;

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
    /// The operating system has failed.
    Unreadable(io::Error),
    /// This user may not read it.
    Denied { owner: Option<u32>, is_secret: bool },
    /// What is there is no file of this kind.
    Unfit(String),
    /// A secret that others can read.
    OthersCanRead { mode: u32 },
    /// A file that others can change.
    OthersCanWrite { mode: u32 },
    /// A file that belongs to a wrong user.
    WrongOwner { owner: u32, expected: u32, is_secret: bool },
}

impl Error {
    fn new(path: &Path, cause: Cause) -> Self {
        Self { path: path.to_owned(), cause }
    }

    /// A file that could not be opened or read.
    pub fn unreadable(path: &Path, error: io::Error) -> Self {
        let cause = match error.kind() == io::ErrorKind::InvalidInput {
            true => Cause::Unfit(error.to_string()),
            false => Cause::Unreadable(error),
        };
        Self::new(path, cause)
    }

    fn of_own(path: &Path, error: io::Error, is_secret: bool) -> Self {
        match error.kind() == io::ErrorKind::PermissionDenied {
            true => Self::new(path, Cause::Denied { owner: owner(path), is_secret }),
            false => Self::unreadable(path, error),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.cause, Cause::Unreadable(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<&Error> for Problem {
    fn from(Error { path, cause }: &Error) -> Self {
        let shown = shell_word(path);
        let message = match cause {
            Cause::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                "not found".to_owned()
            }
            Cause::Unreadable(error) => format!("could not be read: {error}"),
            Cause::Denied { owner, is_secret } => denied(*owner, *is_secret, &shown),
            Cause::Unfit(why) => format!("{why}; remove it, or create it again"),
            Cause::OthersCanRead { mode } => format!(
                "readable by other users (mode {mode:04o}). Run `chmod 600 {shown}`, and replace the key if \
                 anyone else may have read it"
            ),
            Cause::OthersCanWrite { mode } => format!(
                "writable by other users (mode {mode:04o}). Check its content, then run `chmod go-w {shown}`"
            ),
            Cause::WrongOwner { owner, expected, is_secret } => format!(
                "it belongs to uid {owner}; check its content, then {run}: chown {expected} {shown}{known}",
                run = run_as_root(),
                known = known_to_its_owner(*is_secret),
            ),
        };
        Self::error(path, message)
    }
}

fn denied(owner: Option<u32>, is_secret: bool, shown: &str) -> String {
    let me = this_user();
    match owner {
        None => {
            "permission denied on a directory above it; check their owners and modes".to_owned()
        }
        Some(owner) if owner == me => {
            format!("permission denied, although it belongs to you; run: chmod u+r {shown}")
        }
        Some(owner) => format!(
            "permission denied, it belongs to uid {owner}; {run}: chown {me} {shown}{known}",
            run = run_as_root(),
            known = known_to_its_owner(is_secret),
        ),
    }
}

/// How advice begins that takes root.
fn run_as_root() -> &'static str {
    if this_user() == 0 { "run" } else { "run as root" }
}

/// What another owner of a secret means.
fn known_to_its_owner(is_secret: bool) -> &'static str {
    match is_secret {
        true => " (and replace the key if that user must not have it)",
        false => "",
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// Reads a secret of this user's own: refused if anyone but root and this user could have read it. The
/// text is wiped from memory when dropped.
///
/// On systems without Unix permissions the file is read unchecked.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_own_secret(path: &Path) -> Result<Zeroizing<String>, Error> {
    read_text_with_secret(path, MAX_SECRET_SIZE)
}

/// The same for a text of at most `max` bytes that has a secret somewhere in it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_text_with_secret(path: &Path, max: usize) -> Result<Zeroizing<String>, Error> {
    let file = open_own(path, true)?;
    secret(&file, path, None, Access::Read, max)
}

/// Reads configuration of this user's own: refused if anyone but root and this user could have written
/// it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_own(path: &Path) -> Result<String, Error> {
    configuration(&open_own(path, false)?, path)
}

/// Reads an opened file with a secret of at most `max` bytes: refused if it gives `access` to anyone but
/// root, this process's user and `also_allowed` (a uid). `path` is what messages name.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn secret(
    file: &File,
    path: &Path,
    also_allowed: Option<u32>,
    access: Access,
    max: usize,
) -> Result<Zeroizing<String>, Error> {
    check(file, path, also_allowed, access)?;
    // One allocation of the final size: a growing buffer would leave copies of the secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(max.saturating_add(1)));
    let text = read(file, path, max, &mut content)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads an opened file of configuration: refused if anyone but root and this process's user could have
/// written it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn configuration(file: &File, path: &Path) -> Result<String, Error> {
    check(file, path, None, Access::Write)?;
    let mut content = Vec::new();
    read(file, path, MAX_CONFIGURATION_SIZE, &mut content).map(str::to_owned)
}

/// Longest secret in bytes; a key has less than 100.
pub const MAX_SECRET_SIZE: usize = 4 << 10;

/// Longest configuration file in bytes.
const MAX_CONFIGURATION_SIZE: usize = 4 << 20;

/// What other users must not be able to do with a file.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// To read it.
    Read,
    /// To read it, except as a credential that systemd passes: an access list lets this user read it,
    /// and then the mode shows their mask in the place of the group's permissions (acl(5)): 0440.
    ReadCredential,
    /// To write it.
    Write,
}

fn open_own(path: &Path, is_secret: bool) -> Result<File, Error> {
    open_regular(path).map_err(|error| Error::of_own(path, error, is_secret))
}

/// Opens a file, without waiting for what may be at the other end of anything else.
///
/// # Errors
/// If it cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    open_regular_with(OpenOptions::new().read(true), path)
}

/// The same with other options.
///
/// # Errors
/// As for [`open_regular`].
pub fn open_regular_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags);
    }
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
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
    let text = str::from_utf8(content);
    let text = text.map_err(|_| Error::new(path, Cause::Unfit(not_utf_8(content, path))))?;
    // Some editors of Windows begin with it; it says nothing but that this is UTF-8.
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

/// U+FEFF at the beginning of a text.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

fn not_utf_8(content: &[u8], path: &Path) -> String {
    match content {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => format!(
            "it is UTF-16, as some editors on Windows save \"Unicode\"; save it as UTF-8, or convert it: iconv -f \
            UTF-16 -t UTF-8 {}",
            shell_word(path)
        ),
        _ => "it is not UTF-8".to_owned(),
    }
}

#[cfg(unix)]
fn check(file: &File, path: &Path, also_allowed: Option<u32>, access: Access) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;

    let refused = |cause| Err(Error::new(path, cause));
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return refused(Cause::Unreadable(error)),
    };
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != 0 && owner != this_user() && Some(owner) != also_allowed {
        let expected = also_allowed.unwrap_or_else(this_user);
        let is_secret = !matches!(access, Access::Write);
        return refused(Cause::WrongOwner { owner, expected, is_secret });
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
mod tests;
