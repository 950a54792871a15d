//! Why a path is not trusted: at which component, whose that is, and what to run.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustix::{fs::Stat, io::Errno};

use crate::{
    problems::{Problem, shell_word},
    users,
};

/// Permission bits that let others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Only the owner of a file renames or removes it (unlink(2)).
const STICKY: u32 = 0o1000;

/// What is wrong with a path, at the first component that is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("{}", Problem::from(self))]
pub struct Fault {
    path: PathBuf,
    cause: Cause,
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
        Self { path: path.to_owned(), cause }
    }

    pub(super) fn io(path: &Path, error: impl Into<io::Error>) -> Self {
        Self::new(path, Cause::Io(error.into()))
    }

    /// The component at which the path fails.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path leads nowhere, and all of it that is there is trusted.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.cause, Cause::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// That a path leads to nothing of the wanted kind.
    pub fn not_found(path: &Path) -> Self {
        Self::io(path, Errno::NOENT)
    }

    /// Whether somebody else could change where the path leads, or what is there.
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

    /// What is wrong with the component, as it goes on after its path.
    pub fn reason(&self) -> String {
        match &self.cause {
            Cause::Io(error) => format!("cannot be opened: {error}"),
            Cause::Denied(rights) => format!("{rights}, so this user may not enter it"),
            Cause::Foreign(Kind::Directory, rights) => {
                format!("{rights}: {} can replace everything in it", users::shown(rights.owner))
            }
            Cause::Foreign(Kind::Link, rights) => {
                format!("is a symbolic link of {}", users::shown(rights.owner))
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
                "is on a file system of the kernel's ({name}), where users decide what files say that \
                 belong to root"
            ),
            Cause::Fuse => {
                "is on a FUSE file system, which shows any owner and content it likes".to_owned()
            }
        }
    }

    /// What to do about it, for a component that is to belong to this user.
    pub fn remedy_for(&self, owner: &str) -> Option<String> {
        let shown = shell_word(&self.path);
        let what = match &self.cause {
            Cause::Io(_) => return None,
            Cause::Denied(_) => return Some("run this as root".to_owned()),
            Cause::Foreign(Kind::Link, _) => {
                return Some(format!(
                    "check where it leads, then run: chown --no-dereference {owner} {shown}"
                ));
            }
            Cause::Foreign(Kind::Directory, _)
            | Cause::Loose(Kind::Directory, _)
            | Cause::Shared(_) => "check what is in it",
            Cause::Foreign(Kind::File, _) | Cause::Loose(Kind::Link | Kind::File, _) => {
                "check its content"
            }
            Cause::InShared(..) => return Some("move it to a directory of its own".to_owned()),
            Cause::NotADirectory => return Some("remove it".to_owned()),
            Cause::Fuse | Cause::MadeUp(_) => {
                return Some("keep it on another file system".to_owned());
            }
        };
        Some(format!("{what}, then run: chown {owner} {shown} && chmod go-w {shown}"))
    }

    /// The same as a problem, where it is not root but this user whose the component is to be.
    pub fn to_problem_for(&self, owner: &str) -> Problem {
        let reason = self.reason();
        let message = self.remedy_for(owner).map(|remedy| format!("{reason}; {remedy}"));
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
        fault.to_problem_for("root")
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}
