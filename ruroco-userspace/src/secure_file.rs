//! Reading files that decide about security only when nobody else could have read or written them.
//!
//! The checks look at the opened file, not at its path, so nothing can be exchanged in between. A daemon
//! also trusts the whole [path](crate::trusted_path) or nothing. A person's own files are checked by
//! themselves: home directories that a group can write, or that lie on file systems of the person's own,
//! are common, and nobody but that person is harmed.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::problems::{Problem, shell_word};
#[cfg(feature = "daemon")]
use crate::trusted_path::{self, Fault, Leaf, Trust};

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
    Denied { owner: Option<u32>, remedy: Remedy },
    /// The way to it is not trusted.
    #[cfg(feature = "daemon")]
    Path(Fault, Remedy),
    /// What is there is no file of this kind.
    Unfit(String),
    /// A secret that others can read.
    OthersCanRead { mode: u32 },
    /// A file that others can change.
    OthersCanWrite { mode: u32 },
    /// A file that belongs to somebody who has no business with it.
    WrongOwner { owner: u32, expected: u32, is_secret: bool },
}

/// What helps somebody who may not read a file.
#[derive(Debug)]
enum Remedy {
    /// To have it be theirs: it is their own file, perhaps with a secret in it.
    Give { is_secret: bool },
    /// To be root, or where that is so and not enough, to have root's files be root's.
    #[cfg(feature = "daemon")]
    BeRoot,
    /// To let this group read it, which the server is in.
    #[cfg(feature = "daemon")]
    LetGroupRead(String),
}

impl Error {
    fn new(path: &Path, cause: Cause) -> Self {
        Self { path: path.to_owned(), cause }
    }

    fn of_io(path: &Path, error: io::Error, remedy: Remedy) -> Self {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let cause = match is_denied {
            true => Cause::Denied { owner: owner(path), remedy },
            false => Cause::Unreadable(error),
        };
        Self::new(path, cause)
    }

    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.cause, Cause::Unreadable(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// The same for a file that the server has to read: it names how this user's group gets to it, and
    /// nobody else.
    #[cfg(feature = "daemon")]
    #[must_use]
    pub fn of_server(self) -> Self {
        let group = Remedy::LetGroupRead(crate::users::own_group());
        let cause = match self.cause {
            Cause::Denied { owner, .. } => Cause::Denied { owner, remedy: group },
            Cause::Path(fault, _) if fault.is_denied() => Cause::Path(fault, group),
            cause @ (Cause::Path(..)
            | Cause::Unreadable(_)
            | Cause::Unfit(_)
            | Cause::OthersCanRead { .. }
            | Cause::OthersCanWrite { .. }
            | Cause::WrongOwner { .. }) => cause,
        };
        Self { cause, ..self }
    }
}

impl From<&Error> for Problem {
    fn from(Error { path, cause }: &Error) -> Self {
        let shown = shell_word(path);
        let message = match cause {
            #[cfg(feature = "daemon")]
            Cause::Path(fault, Remedy::LetGroupRead(group)) => {
                let remedy = match trusted_path::layout::is_systems(fault.path()) {
                    true => format!(
                        "move {} to a directory that the group {group} may enter, such as /etc/ruroco",
                        shell_word(&fault.object())
                    ),
                    false => {
                        let shown = shell_word(fault.path());
                        format!("run: chgrp {group} {shown} && chmod g+x {shown}")
                    }
                };
                let message = format!("{}; {remedy}", fault.reason());
                return Self::error(fault.path(), message);
            }
            #[cfg(feature = "daemon")]
            Cause::Path(fault, _) => return fault.into(),
            Cause::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                "not found".to_owned()
            }
            Cause::Unreadable(error) => format!("could not be read: {error}"),
            Cause::Denied { owner, remedy } => denied(*owner, remedy, &shown),
            Cause::Unfit(why) => format!("{why}; remove it, or write it anew"),
            Cause::OthersCanRead { mode } => format!(
                "its mode {mode:04o} lets others read the key; run: chmod 600 {shown} (and replace the \
                 key if anyone else may have read it)"
            ),
            Cause::OthersCanWrite { mode } => format!(
                "its mode {mode:04o} lets others write it; check its content, then run: chmod go-w \
                 {shown}"
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

fn denied(owner: Option<u32>, remedy: &Remedy, shown: &str) -> String {
    let me = this_user();
    #[cfg(feature = "daemon")]
    let whose = owner.map(|owner| format!(", it belongs to uid {owner}")).unwrap_or_default();
    match remedy {
        Remedy::Give { is_secret } => match owner {
            None => "permission denied; check who may enter the directories above it".to_owned(),
            Some(owner) if owner == me => {
                format!("permission denied, although it is yours; run: chmod u+r {shown}")
            }
            Some(owner) => format!(
                "permission denied, it belongs to uid {owner}; {run}: chown {me} {shown}{known}",
                run = run_as_root(),
                known = known_to_its_owner(*is_secret),
            ),
        },
        #[cfg(feature = "daemon")]
        Remedy::BeRoot if me == 0 => format!(
            "permission denied{whose}, and this process may not open the files of others; check its \
             content, then run: chown root {shown}"
        ),
        #[cfg(feature = "daemon")]
        Remedy::BeRoot => format!("permission denied for uid {me}; run this as root"),
        #[cfg(feature = "daemon")]
        Remedy::LetGroupRead(group) => format!(
            "permission denied for uid {me}; run: chgrp {group} {shown} && chmod g+r {shown}"
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
    let file = open_own(path, Remedy::Give { is_secret: true })?;
    secret(&file, path, None, Access::Read, max)
}

/// Reads configuration of this user's own: refused if anyone but root and this user could have written
/// it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
pub fn read_own(path: &Path) -> Result<String, Error> {
    configuration(&open_own(path, Remedy::Give { is_secret: false })?, path)
}

/// Reads configuration that a daemon goes by: refused if anyone but root and this process's user could
/// have written it, or put another file in its place.
///
/// # Errors
/// [`Error`], naming what is not trusted on the way, and what to do.
#[cfg(feature = "daemon")]
pub fn read_trusted(path: &Path) -> Result<String, Error> {
    let file = trusted_path::open_file(path, Trust::own());
    configuration(&file.map_err(|fault| of_fault(path, fault))?, path)
}

/// Reads a secret that lies in a trusted directory: refused if anyone but root, this process's user and
/// `also_allowed` (a uid) could have read it.
///
/// # Errors
/// [`Error`], naming the file and what to do.
#[cfg(feature = "daemon")]
pub fn read_secret(
    path: &Path,
    leaf: &Leaf,
    also_allowed: Option<u32>,
) -> Result<Zeroizing<String>, Error> {
    let file = leaf.open().map_err(|fault| of_fault(path, fault))?;
    secret(&file, path, also_allowed, Access::Read, MAX_SECRET_SIZE)
}

/// The same for a secret that systemd has passed to this process (`LoadCredential=`). It belongs to
/// root or to this user, and lies where nobody else gets to. An access list lets this user read
/// it where the file system has such lists, and then the mode shows their mask in the place of
/// the group's permissions (acl(5)): 0440.
///
/// # Errors
/// [`Error`], naming the file and what to do.
#[cfg(feature = "daemon")]
pub fn read_credential(path: &Path, leaf: &Leaf) -> Result<Zeroizing<String>, Error> {
    let file = leaf.open().map_err(|fault| of_fault(path, fault))?;
    secret(&file, path, None, Access::ReadCredential, MAX_SECRET_SIZE)
}

#[cfg(feature = "daemon")]
pub(crate) fn of_fault(path: &Path, fault: Fault) -> Error {
    match fault.into_io() {
        Ok(error) if error.kind() == io::ErrorKind::InvalidInput => {
            Error::new(path, Cause::Unfit(error.to_string()))
        }
        Ok(error) => Error::of_io(path, error, Remedy::BeRoot),
        Err(fault) => Error::new(path, Cause::Path(fault, Remedy::BeRoot)),
    }
}

fn secret(
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

fn configuration(file: &File, path: &Path) -> Result<String, Error> {
    check(file, path, None, Access::Write)?;
    let mut content = Vec::new();
    read(file, path, MAX_CONFIGURATION_SIZE, &mut content).map(str::to_owned)
}

/// Longest secret in bytes; a key has less than 100.
const MAX_SECRET_SIZE: usize = 4 << 10;

/// Longest configuration file in bytes.
const MAX_CONFIGURATION_SIZE: usize = 4 << 20;

/// What nobody else may be able to do with a file.
#[derive(Clone, Copy)]
enum Access {
    Read,
    #[cfg(feature = "daemon")]
    ReadCredential,
    Write,
}

fn open_own(path: &Path, remedy: Remedy) -> Result<File, Error> {
    open_regular(path).map_err(|error| match error.kind() == io::ErrorKind::InvalidInput {
        true => Error::new(path, Cause::Unfit(error.to_string())),
        false => Error::of_io(path, error, remedy),
    })
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
            "it is UTF-16, as some editors of Windows save \"Unicode\"; save it as UTF-8, or convert it: \
             iconv -f UTF-16 -t UTF-8 {}",
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
        #[cfg(feature = "daemon")]
        Access::ReadCredential if mode & 0o037 != 0 => refused(Cause::OthersCanRead { mode }),
        Access::Write if mode & 0o022 != 0 => refused(Cause::OthersCanWrite { mode }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check(_: &File, _: &Path, _: Option<u32>, _: Access) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
