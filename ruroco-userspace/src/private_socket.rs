//! Unix sockets that one user and nobody else can connect to, from the moment they exist.
//!
//! Message boundaries are kept (`SOCK_SEQPACKET`): a record is received whole or not at all.

use std::{
    fs,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt, chown},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rustix::{
    fs::Mode,
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen,
        socket_with, sockopt::socket_peercred,
    },
    process::{geteuid, umask},
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 8;

/// A listening socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct PrivateListener {
    path: PathBuf,
    socket: OwnedFd,
    user: u32,
}

impl PrivateListener {
    /// Listens at `path` for processes of `user` (a uid), replacing a socket that a predecessor has
    /// left. The caller has [prepared the directory](prepare_directory) and holds a lock that makes
    /// sure that the predecessor is gone.
    ///
    /// # Errors
    /// If a step of making the socket fails.
    pub fn listen(path: &Path, user: u32) -> anyhow::Result<Self> {
        let socket = create(path, user)
            .with_context(|| format!("could not listen on {}", path.display()))?;
        Ok(Self { path: path.to_owned(), socket, user })
    }

    /// The next connection from the right user. Connections from others are closed.
    ///
    /// # Errors
    /// If the kernel has no connection to give; `None` if nobody is waiting.
    pub fn accept(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let peer = match accept_with(&self.socket, flags) {
                Ok(peer) => peer,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            // The file's mode lets only this user in, and root, who passes every mode.
            let uid = socket_peercred(&peer)?.uid.as_raw();
            if uid == self.user {
                return Ok(Some(peer));
            }
            tracing::warn!(uid, socket = %self.path.display(), "turned away a process of another user");
        }
    }
}

impl AsFd for PrivateListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for PrivateListener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the directory if it is missing; refuses one in which others could exchange the socket.
///
/// # Errors
/// If it cannot be made, or others can write to it.
pub fn prepare_directory(dir: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755);
    builder.create(dir).with_context(|| format!("could not create {}", dir.display()))?;
    let metadata = dir.metadata().with_context(|| format!("could not look at {}", dir.display()))?;
    let owner_is_trusted = metadata.uid() == 0 || metadata.uid() == geteuid().as_raw();
    if !owner_is_trusted || metadata.mode() & 0o022 != 0 {
        bail!(
            "refusing to put a socket into {dir}, where others could exchange it; \
             run: chown root {dir}; chmod 755 {dir}",
            dir = dir.display()
        );
    }
    Ok(())
}

fn create(path: &Path, user: u32) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let address = SocketAddrUnix::new(path)?;
    // Until it is given to its user nobody but root can connect; and nobody at all until `listen`.
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = bind(&socket, &address);
    umask(before);
    bound?;
    if user != geteuid().as_raw() {
        chown(path, Some(user), None)?;
    }
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
