//! Paths that only root and one trusted user can change.
//!
//! A user who can write to a directory controls what its names stand for, even if other users own the files.
//! So a path is trusted as a whole or not at all: [`find`] walks it from `/` on, each step relative to the
//! descriptor of the previous step, and follows symbolic links itself. So the checked file is the opened
//! file; and if a whole path is trusted, a later use of the same path ends at the same place.
//!
//! - Each directory and each symbolic link belongs to a trusted user, and no other user can write to the
//!   directories.
//! - Through a sticky directory such as `/tmp`, to which all users can write, a path may lead to another
//!   *directory*: other users cannot rename or remove it there, and directories have no hard links. Files and
//!   symbolic links do, so a file directly in such a directory is not trusted.
//! - Files on a FUSE file system have the owners, modes and contents that its daemon makes up.
//!
//! Rationale: decision 0023.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use rustix::{
    fs::{
        CWD, Dir, FileType, Mode, OFlags, Stat, fchmod, fchown, fstat, fstatfs, mkdirat, openat,
        readlinkat,
    },
    io::Errno,
    process::{Gid, Uid, geteuid},
};

pub use self::fault::Fault;
use self::fault::{Cause, Kind, Rights};

mod fault;
pub mod layout;
#[cfg(test)]
mod tests;

/// Most symbolic links on the way, as the kernel has it (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// FUSE (linux/magic.h).
const FUSE: u64 = 0x6573_5546;

/// File systems whose files the kernel makes up, by their names for mount(8). A file there may belong to root
/// although another user controls its content, as with `/proc/PID/cmdline` (linux/magic.h).
const MADE_UP: [(u64, &str); 18] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0xcafe_4a11, "bpf"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x6265_6570, "configfs"),
    (0x1980_0202, "mqueue"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x0000_1cd1, "devpts"),
    (0x0765_5821, "resctrl"),
    (0x6e73_6673, "nsfs"),
];

/// Whose directories, links and files are trusted: root's, and those of one more user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    user: u32,
}

impl Trust {
    /// Root's and this process's own user's.
    pub fn own() -> Self {
        Self::in_user(geteuid().as_raw())
    }

    /// Root's alone.
    pub const fn root() -> Self {
        Self::in_user(0)
    }

    /// Root's and this user's (a uid).
    pub const fn in_user(user: u32) -> Self {
        Self { user }
    }

    fn includes(self, user: u32) -> bool {
        user == 0 || user == self.user
    }
}

/// What a trusted path leads to.
#[derive(Debug)]
pub enum Found {
    /// A directory.
    Directory(Directory),
    /// Something else, not opened yet.
    Leaf(Leaf),
}

/// A directory on a trusted path, and all that are above it.
#[derive(Clone, Debug)]
pub struct Directory {
    trust: Trust,
    /// From `/` on; there is always one.
    nodes: Vec<Rc<Node>>,
}

#[derive(Debug)]
struct Node {
    fd: OwnedFd,
    path: PathBuf,
    stat: Stat,
}

/// What is no directory, in a directory that is trusted.
#[derive(Debug)]
pub struct Leaf {
    directory: Rc<Node>,
    name: OsString,
    path: PathBuf,
    stat: Stat,
}

/// Where a path leads.
///
/// # Errors
/// The first component that is not trusted or not there.
pub fn find(path: &Path, trust: Trust) -> Result<Found, Fault> {
    Walk::from_root(trust)?.go(&absolute(path)?)
}

/// Opens a regular file that no untrusted user can replace. Who can write or read the file itself is
/// for the caller to judge.
///
/// # Errors
/// As for [`find`], and if it is no regular file.
pub fn open_file(path: &Path, trust: Trust) -> Result<File, Fault> {
    match find(path, trust)? {
        Found::Leaf(leaf) => leaf.open(),
        Found::Directory(_) => Err(Fault::io(path, not_regular())),
    }
}

/// A directory on a trusted path, to which no untrusted user can add anything.
///
/// # Errors
/// As for [`find`], and if it is no directory.
pub fn find_directory(path: &Path, trust: Trust) -> Result<Directory, Fault> {
    match find(path, trust)? {
        Found::Directory(directory) => directory.unshared(),
        Found::Leaf(leaf) => Err(Fault::new(&leaf.path, Cause::NotADirectory)),
    }
}

/// The same; what of it is missing is made, with this mode.
///
/// # Errors
/// As for [`find_directory`], and if it cannot be made.
pub fn make_directory(path: &Path, trust: Trust, mode: u32) -> Result<Directory, Fault> {
    let mut walk = Walk::from_root(trust)?;
    walk.make = Some(Mode::from_raw_mode(mode));
    match walk.go(&absolute(path)?)? {
        Found::Directory(directory) => directory.unshared(),
        Found::Leaf(leaf) => Err(Fault::new(&leaf.path, Cause::NotADirectory)),
    }
}

impl Directory {
    /// Makes it another user's.
    ///
    /// # Errors
    /// If this user may not.
    pub fn give_to(&self, user: Uid, group: Gid) -> io::Result<()> {
        let Some(node) = self.nodes.last() else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&node.fd, ".", flags, Mode::empty())?;
        Ok(fchown(&directory, Some(user), Some(group))?)
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        self.nodes.last().map_or(Path::new("/"), |node| &node.path)
    }

    /// What a name in it leads to.
    ///
    /// # Errors
    /// As for [`find`].
    pub fn find(&self, name: &OsStr) -> Result<Found, Fault> {
        let (trust, nodes) = (self.trust, self.nodes.clone());
        Walk { trust, nodes, links: 0, make: None }.go(Path::new(name))
    }

    /// The names in it, without `.` and `..`.
    ///
    /// # Errors
    /// If it may not be listed.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let Some(node) = self.nodes.last() else { return Ok(Vec::new()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listing = Dir::new(openat(&node.fd, ".", flags, Mode::empty())?)?;
        let names =
            listing.map(|entry| Ok(OsString::from_vec(entry?.file_name().to_bytes().to_vec())));
        let names: io::Result<Vec<_>> = names.collect();
        Ok(names?.into_iter().filter(|name| name != "." && name != "..").collect())
    }

    fn unshared(self) -> Result<Self, Fault> {
        match self.nodes.last() {
            Some(node) if node.is_shared() => {
                Err(Fault::new(&node.path, Cause::Shared(Rights::of(&node.stat))))
            }
            Some(_) | None => Ok(self),
        }
    }
}

impl Node {
    /// Whether everybody can add to it.
    fn is_shared(&self) -> bool {
        Rights::of(&self.stat).are_loose()
    }
}

impl Leaf {
    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile
    }

    /// Whether it is a regular file that at least one user may execute.
    pub fn is_program(&self) -> bool {
        self.is_file() && self.stat.st_mode & 0o111 != 0
    }

    /// Whom it belongs to (a uid).
    pub fn owner(&self) -> u32 {
        self.stat.st_uid
    }

    /// Makes sure that no untrusted user can change it.
    ///
    /// # Errors
    /// That one can.
    pub fn check_content(&self, trust: Trust) -> Result<(), Fault> {
        let rights = Rights::of(&self.stat);
        if !trust.includes(rights.owner()) {
            return Err(Fault::new(&self.path, Cause::Foreign(Kind::File, rights)));
        }
        if rights.are_loose() {
            return Err(Fault::new(&self.path, Cause::Loose(Kind::File, rights)));
        }
        Ok(())
    }

    /// Opens it for reading, if it is a regular file: other files are never opened, and nothing waits.
    ///
    /// # Errors
    /// If it is not a regular file, or may not be read.
    pub fn open(&self) -> Result<File, Fault> {
        let failed = |error: io::Error| Fault::io(&self.path, error);
        if !self.is_file() {
            return Err(failed(not_regular()));
        }
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.directory.fd, &self.name, flags, Mode::empty());
        let file = File::from(file.map_err(|error| failed(error.into()))?);
        let kind = file_system(&file).map_err(|error| failed(error.into()))?;
        if let Some((_, name)) = MADE_UP.into_iter().find(|(made_up, _)| *made_up == kind) {
            return Err(Fault::new(&self.path, Cause::MadeUp(name)));
        }
        let is_same =
            |now: &Metadata| (now.dev(), now.ino()) == (self.stat.st_dev, self.stat.st_ino);
        match file.metadata() {
            Ok(now) if is_same(&now) => Ok(file),
            Ok(_) => Err(failed(io::Error::other("another process replaced it during the check"))),
            Err(error) => Err(failed(error)),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|error| Fault::io(path, error))
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// On the way.
struct Walk {
    trust: Trust,
    nodes: Vec<Rc<Node>>,
    links: u32,
    /// The mode of directories that are missing, if they are to be made.
    make: Option<Mode>,
}

impl Walk {
    fn from_root(trust: Trust) -> Result<Self, Fault> {
        let root = Path::new("/");
        let failed = |error: Errno| Fault::io(root, error);
        let fd = openat(CWD, root, DIRECTORY, Mode::empty()).map_err(failed)?;
        let stat = fstat(&fd).map_err(failed)?;
        let root = Node { fd, path: root.to_owned(), stat };
        check_directory(&root, trust)?;
        Ok(Self { trust, nodes: vec![Rc::new(root)], links: 0, make: None })
    }

    fn go(mut self, path: &Path) -> Result<Found, Fault> {
        let mut ahead = VecDeque::new();
        self.put_ahead(&mut ahead, path);
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                self.nodes.truncate(self.nodes.len().saturating_sub(1).max(1));
                continue;
            }
            let Some(parent) = self.nodes.last().map(Rc::clone) else { break };
            let at = parent.path.join(&name);
            let step = self.step(&parent, &name, &at, ahead.is_empty());
            let object = || ahead.iter().fold(at.clone(), |path, name| path.join(name));
            match step.map_err(|fault| fault.on_the_way_to(&object()))? {
                Step::Directory(node) => self.nodes.push(Rc::new(node)),
                Step::Link(target) => {
                    self.links = self.links.saturating_add(1);
                    if self.links > MAX_LINKS {
                        return Err(Fault::io(&at, Errno::LOOP));
                    }
                    self.put_ahead(&mut ahead, &target);
                }
                Step::Other(stat) if ahead.is_empty() => {
                    return Ok(Found::Leaf(Leaf { directory: parent, name, path: at, stat }));
                }
                Step::Other(_) => {
                    return Err(Fault::new(&at, Cause::NotADirectory).on_the_way_to(&object()));
                }
            }
        }
        Ok(Found::Directory(Directory { trust: self.trust, nodes: self.nodes }))
    }

    /// Goes on with this path, which begins at `/` or here.
    fn put_ahead(&mut self, ahead: &mut VecDeque<OsString>, path: &Path) {
        if path.is_absolute() {
            self.nodes.truncate(1);
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => ahead.push_front(name.to_owned()),
                Component::ParentDir => ahead.push_front("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn step(&self, parent: &Node, name: &OsStr, at: &Path, is_last: bool) -> Result<Step, Fault> {
        let failed = |error: Errno| match error {
            Errno::ACCESS => Fault::new(&parent.path, Cause::Denied(Rights::of(&parent.stat))),
            error => Fault::io(at, error),
        };
        // As a directory first: only so does the kernel mount what is mounted on demand.
        match openat(&parent.fd, name, DIRECTORY, Mode::empty()) {
            Ok(fd) => return self.enter(fd, at).map(Step::Directory),
            Err(Errno::NOENT) if let Some(mode) = self.make => {
                let mode = if is_last { mode } else { ANCESTORS };
                return Self::make(parent, name, mode)
                    .map_err(failed)
                    .and_then(|fd| self.enter(fd, at).map(Step::Directory));
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&parent.fd, name, flags, Mode::empty()).map_err(failed)?;
        let stat = fstat(&fd).map_err(failed)?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if parent.is_shared() {
            return Err(Fault::new(at, Cause::InShared(parent.path.clone())));
        }
        self.check_file_system(&fd, &stat, at)?;
        if !is_link {
            return Ok(Step::Other(stat));
        }
        if !self.trust.includes(stat.st_uid) {
            return Err(Fault::new(at, Cause::Foreign(Kind::Link, Rights::of(&stat))));
        }
        let target = readlinkat(&fd, "", Vec::new()).map_err(failed)?;
        Ok(Step::Link(PathBuf::from(OsString::from_vec(target.into_bytes()))))
    }

    fn enter(&self, fd: OwnedFd, at: &Path) -> Result<Node, Fault> {
        let stat = fstat(&fd).map_err(|error| Fault::io(at, error))?;
        self.check_file_system(&fd, &stat, at)?;
        let node = Node { fd, path: at.to_owned(), stat };
        check_directory(&node, self.trust)?;
        Ok(node)
    }

    fn make(parent: &Node, name: &OsStr, mode: Mode) -> Result<OwnedFd, Errno> {
        match mkdirat(&parent.fd, name, mode) {
            Ok(()) => {
                // The umask may have taken away the way in that others need.
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                fchmod(openat(&parent.fd, name, flags, Mode::empty())?, mode)?;
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        openat(&parent.fd, name, DIRECTORY, Mode::empty())
    }

    /// If everything is on such a file system, as in some containers, the user who controls it is as powerful
    /// as root anyway.
    fn check_file_system(&self, fd: impl AsFd, stat: &Stat, at: &Path) -> Result<(), Fault> {
        let is_roots = self.nodes.first().is_some_and(|root| root.stat.st_dev == stat.st_dev);
        match file_system(fd) {
            Ok(FUSE) if !is_roots => Err(Fault::new(at, Cause::Fuse)),
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::io(at, error)),
        }
    }
}

enum Step {
    Directory(Node),
    Link(PathBuf),
    Other(Stat),
}

/// The mode of directories that are created above the wanted directory.
const ANCESTORS: Mode = Mode::from_raw_mode(0o755);

const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn check_directory(node: &Node, trust: Trust) -> Result<(), Fault> {
    let rights = Rights::of(&node.stat);
    if !trust.includes(rights.owner()) {
        return Err(Fault::new(&node.path, Cause::Foreign(Kind::Directory, rights)));
    }
    if rights.are_loose() && !rights.is_sticky() {
        return Err(Fault::new(&node.path, Cause::Loose(Kind::Directory, rights)));
    }
    Ok(())
}

/// The kind of file system that something is on (statfs(2)).
pub fn file_system(fd: impl AsFd) -> rustix::io::Result<u64> {
    let kind = fstatfs(fd)?.f_type;
    // The type differs between architectures; all numbers fit into 32 bits.
    Ok(u64::try_from(kind).unwrap_or_default() & 0xffff_ffff)
}
