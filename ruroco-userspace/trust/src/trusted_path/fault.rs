//! Why a path is not trusted: the component, its owner, and the command that helps.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use ruroco_messages::problems::{Problem, shell_word};
use rustix::{fs::Stat, io::Errno, process::geteuid};

use super::layout;
use crate::users;

/// Permission bits that let others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Only the owner of a file renames or removes it (unlink(2)).
const STICKY: u32 = 0o1000;

/// Where what root uses is safe.
const ROOTS_PLACE: &str =
    "to a place where root owns all directories above it and only root can write them";

/// Why a path is not trusted, at the first such component.
#[derive(Debug, thiserror::Error)]
#[error("{}", Problem::from(self))]
pub struct Fault {
    path: PathBuf,
    cause: Cause,
    /// Where the path would have gone on; empty if it fails at its end.
    ahead: PathBuf,
}

#[derive(Debug)]
pub(super) enum Cause {
    Io(io::Error),
    /// The directory that was not to be entered, with its owner and mode.
    Denied(Rights),
    Foreign(Kind, Rights),
    Loose(Kind, Rights),
    /// Directly in this directory, to which everybody can add.
    InShared(PathBuf),
    Shared(Rights),
    NotADirectory,
    Fuse,
    /// On this file system of the kernel's.
    MadeUp(&'static str),
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Link,
    File,
}

/// Owner and mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    owner: u32,
    mode: u32,
}

impl Rights {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { owner: stat.st_uid, mode: stat.st_mode & 0o7777 }
    }

    pub(super) fn is_sticky(self) -> bool {
        self.mode & STICKY != 0
    }

    pub(super) fn owner(self) -> u32 {
        self.owner
    }

    pub(super) fn are_loose(self) -> bool {
        self.mode & WRITABLE_BY_OTHERS != 0
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "belongs to {} and has mode {:04o}", users::shown(self.owner), self.mode)
    }
}

impl Fault {
    pub(super) fn new(path: &Path, cause: Cause) -> Self {
        Self { path: path.to_owned(), cause, ahead: PathBuf::new() }
    }

    /// On the way to `object`.
    pub(super) fn on_the_way_to(mut self, object: &Path) -> Self {
        if let Ok(ahead) = object.strip_prefix(&self.path) {
            self.ahead = ahead.to_owned();
        }
        self
    }

    pub(super) fn io(path: &Path, error: impl Into<io::Error>) -> Self {
        Self::new(path, Cause::Io(error.into()))
    }

    /// The component at which the path fails.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it fails at its end, and not at a directory above that.
    pub fn is_at_end(&self) -> bool {
        self.ahead.as_os_str().is_empty()
    }

    /// The path's end, as far as it is known: links that are ahead have not been followed.
    pub fn object(&self) -> PathBuf {
        if self.is_at_end() { self.path.clone() } else { self.path.join(&self.ahead) }
    }

    /// Whether the path leads nowhere, and all of it that is there is trusted.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.cause, Cause::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// That a path leads to nothing of the wanted kind.
    pub fn not_found(path: &Path) -> Self {
        Self::io(path, Errno::NOENT)
    }

    /// Whether another user could change where the path leads, or the file there.
    pub fn is_untrusted(&self) -> bool {
        !matches!(self.cause, Cause::Io(_) | Cause::Denied(_) | Cause::NotADirectory)
    }

    /// Whether this process may not go so far.
    pub fn is_denied(&self) -> bool {
        matches!(self.cause, Cause::Denied(_))
    }

    /// The error of the operating system, if it is that.
    ///
    /// # Errors
    /// This, if it is something else.
    pub fn into_io(self) -> Result<io::Error, Self> {
        if let Cause::Io(error) = self.cause {
            return Ok(error);
        }
        Err(self)
    }

    /// The fault of the component, as a text that follows its path.
    pub fn reason(&self) -> String {
        match &self.cause {
            Cause::Io(error) => format!("cannot be opened: {error}"),
            Cause::Denied(rights) => format!("{rights}, so this user may not enter it"),
            Cause::Foreign(Kind::Directory, rights) => {
                format!("{rights}: {} can replace everything in it", users::shown(rights.owner))
            }
            Cause::Foreign(Kind::Link, rights) => {
                format!("is a symbolic link that belongs to {}", users::shown(rights.owner))
            }
            Cause::Foreign(Kind::File, rights) => {
                format!("{rights}: {} can change it", users::shown(rights.owner))
            }
            Cause::Loose(Kind::Directory, rights) | Cause::Shared(rights) => {
                format!("{rights}: other users can replace what is in it")
            }
            Cause::Loose(Kind::Link | Kind::File, rights) => {
                format!("{rights}: other users can change it")
            }
            Cause::InShared(directory) => format!(
                "lies directly in {}, to which every user can add files",
                directory.display()
            ),
            Cause::NotADirectory => "is not a directory".to_owned(),
            Cause::MadeUp(name) => format!(
                "is on a virtual file system of the kernel ({name}), where users control the content of files that \
                belong to root"
            ),
            Cause::Fuse => {
                "is on a FUSE file system, which can report any owner and any content".to_owned()
            }
        }
    }

    /// What to do about it, if the path's end is to belong to this user.
    pub fn remedy_for(&self, owner: &str) -> Option<String> {
        let shown = shell_word(&self.path);
        Some(match &self.cause {
            Cause::Io(_) => return None,
            Cause::Denied(_) => self.remedy_of_denied(),
            Cause::Foreign(Kind::Link, _) => {
                format!("check where it leads, then run: chown --no-dereference {owner} {shown}")
            }
            Cause::Foreign(Kind::Directory, _) | Cause::Loose(Kind::Directory, _) => {
                self.remedy_of_directory(owner)
            }
            Cause::Shared(_) => {
                let own = shell_word(&self.path.join("ruroco"));
                format!("use a separate directory in it, such as {own}")
            }
            Cause::Foreign(Kind::File, _) | Cause::Loose(Kind::Link | Kind::File, _) => {
                format!("check its content, then run: chown {owner} {shown} && chmod go-w {shown}")
            }
            Cause::InShared(..) => "move it to a separate directory".to_owned(),
            Cause::NotADirectory => "use a directory instead".to_owned(),
            Cause::Fuse | Cause::MadeUp(_) => "keep it on another file system".to_owned(),
        })
    }

    /// A directory that others need stays as it is, and what is above the path's end may be one. So its
    /// owner is changed only if a person says that it is ours.
    fn remedy_of_directory(&self, owner: &str) -> String {
        let (shown, object) = (shell_word(&self.path), shell_word(&self.object()));
        let otherwise = match self.ahead.components().count() {
            0 => "use another directory".to_owned(),
            1 => "move what ruroco uses in it to a directory that only root can write".to_owned(),
            _ => return format!("move {object} {ROOTS_PLACE}"),
        };
        if layout::is_systems(&self.path) {
            return match self.is_at_end() {
                true => format!("use a separate directory {ROOTS_PLACE}"),
                false => format!("move {object} {ROOTS_PLACE}"),
            };
        }
        format!(
            "check what is in it; if only ruroco uses it, run: chown {owner} {shown} && chmod go-w \
             {shown}; otherwise {otherwise}"
        )
    }

    fn remedy_of_denied(&self) -> String {
        if !geteuid().is_root() {
            return "run this as root".to_owned();
        }
        format!(
            "this process is root, but may not override permissions (its unit grants no \
             CAP_DAC_READ_SEARCH, or hides homes with ProtectHome=); move {} {ROOTS_PLACE}",
            shell_word(&self.object())
        )
    }

    /// As a problem, with what to do about it.
    pub fn to_problem(&self, remedy: Option<String>) -> Problem {
        let reason = self.reason();
        let message = remedy.map(|remedy| format!("{reason}; {remedy}"));
        Problem::error(&self.path, message.unwrap_or(reason))
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault.into_io() {
            Ok(error) => error,
            Err(fault) if fault.is_denied() => {
                Self::new(io::ErrorKind::PermissionDenied, fault.to_string())
            }
            Err(fault) => Self::other(fault.to_string()),
        }
    }
}

impl From<&Fault> for Problem {
    fn from(fault: &Fault) -> Self {
        fault.to_problem(fault.remedy_for("root"))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}
