//! Unix sockets to which only one user can connect, from the moment they exist.
//!
//! At no moment of their creation can another user connect:
//!
//! 1. Only root and this process's user can write to the directory, so no other user can put another file
//!    there between the steps.
//! 2. The socket gets mode 0600 *before* it is bound. The kernel gives the file the mode of the socket
//!    (`unix_bind`), so the file never has another. Setting the umask would do the same, however for all threads
//!    of the process.
//! 3. It is bound, given to its user, and checked: another mode or owner is an error. A process that may not
//!    change owners (`CAP_CHOWN`) gives the socket to the user's own group, if it is in that group itself.
//! 4. Only then does it listen. Until then, every connection fails, even root's (`ECONNREFUSED`), so that
//!    even a kernel with another behaviour in step 2 would open no gap.
//!
//! File permissions are the first check. The second is the uid of the peer, which the kernel recorded when it
//! connected: only the user's uid is accepted, so root is rejected like all others.
//!
//! Message boundaries are kept (`SOCK_SEQPACKET`): a record is received whole or not at all.

use std::{
    array,
    fs::{self, Permissions},
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use nix::unistd::{Uid, User};
use ruroco_trust::trusted_path::{self, Trust};
use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, fchmod},
    io::Errno,
    net::{
        self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
        SocketType, accept_with, bind, listen, recv, recvmsg, sendmsg, socket_with,
        sockopt::socket_peercred,
    },
    process::geteuid,
};

/// Connecting needs both read and write permission, and only the owner has either.
const MODE: u32 = 0o600;

/// The same for a group.
const GROUP_MODE: u32 = 0o660;

/// Mode for the directory of a socket: others can reach what is in it.
pub const DIRECTORY_MODE: u32 = 0o755;

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
    /// left. The caller has [prepared the directory](ruroco_trust::private_directory) and holds a lock that makes
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
    /// If the kernel reports an error. The result is `None` if no connection waits.
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
            tracing::warn!(uid, socket = %self.path.display(), "rejected the connection of another user");
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

/// Connects to a listening socket without ever waiting for it: if its program hangs, connections are rejected
/// (`EAGAIN`) as soon as too many wait to be accepted. The connection does not block either.
///
/// # Errors
/// If no process listens there, it does not accept this process, or others could have put the socket there.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    // Who can write the directory decides who listens. Nothing has been sent yet; and while no process
    // listens, a server that tries again for each knock allocates nothing here.
    let directory = path.parent().unwrap_or(Path::new("/"));
    trusted_path::find_directory(directory, Trust::own())?;
    Ok(socket)
}

/// Whether the peer of a connection on which it has nothing to say is gone: it has closed its end,
/// or says something after all.
pub fn has_gone(peer: BorrowedFd<'_>) -> bool {
    !matches!(recv(peer, &mut [0], RecvFlags::DONTWAIT), Err(Errno::AGAIN | Errno::INTR))
}

/// Most descriptors that go with a message.
const MOST_DESCRIPTORS: usize = 2;

/// Sends one message with a file descriptor (`SCM_RIGHTS`).
///
/// # Errors
/// If the peer is gone.
pub fn send_descriptor(
    peer: BorrowedFd<'_>,
    message: &[u8],
    descriptor: BorrowedFd<'_>,
) -> io::Result<()> {
    send_descriptors(peer, message, &[descriptor])
}

/// Sends one message with one or two file descriptors (`SCM_RIGHTS`).
///
/// # Errors
/// If the peer is gone, or there are more descriptors.
pub fn send_descriptors(
    peer: BorrowedFd<'_>,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = descriptors.len() <= MOST_DESCRIPTORS
        && ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    if !fits {
        return Err(io::Error::other("too many descriptors"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(peer, &[IoSlice::new(message)], &mut ancillary, flags)?;
    Ok(())
}

/// Receives what [`send_descriptor`] sent, if it comes within `patience`: the message's length, and
/// the descriptor unless there was none. A length of 0 is the end of the connection.
///
/// # Errors
/// If nothing came.
pub fn receive_descriptor(
    peer: BorrowedFd<'_>,
    message: &mut [u8],
    patience: Duration,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let mut fds = [PollFd::from_borrowed_fd(peer, PollFlags::IN)];
    if poll(&mut fds, Some(&patience))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let (length, [descriptor, _]) = receive_descriptors(peer, message)?;
    Ok((length, descriptor))
}

/// Receives what [`send_descriptors`] sent, without waiting: the message's length, and the
/// descriptors in their order. A length of 0 is the end of the connection.
///
/// # Errors
/// If nothing is there (`WouldBlock`), or nothing will come.
pub fn receive_descriptors(
    peer: BorrowedFd<'_>,
    message: &mut [u8],
) -> io::Result<(usize, [Option<OwnedFd>; MOST_DESCRIPTORS])> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(peer, &mut [IoSliceMut::new(message)], &mut ancillary, flags)?;
    let mut descriptors = ancillary.drain().find_map(|message| {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            Some(descriptors)
        } else {
            None
        }
    });
    let mut next = || descriptors.as_mut().and_then(Iterator::next);
    Ok((received.bytes, array::from_fn(|_| next())))
}

fn create(path: &Path, user: u32) -> io::Result<OwnedFd> {
    remove_old(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    fchmod(&socket, Mode::from_raw_mode(MODE))?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let listening = give_to(path, user).and_then(|()| Ok(listen(&socket, BACKLOG)?));
    match listening {
        Ok(()) => Ok(socket),
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(error)
        }
    }
}

/// Removes what a predecessor has left, and nothing else.
fn remove_old(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if file.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::other(
            "its path is occupied by a file that is not a socket. Remove that file",
        )),
    }
}

/// By path, because the descriptor stands for the socket and not for the file it is bound to.
fn give_to(path: &Path, user: u32) -> io::Result<()> {
    let own = geteuid().as_raw();
    let group = match lchown(path, Some(user), None) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && user != own => {
            Some(give_to_group_of(path, user)?)
        }
        Err(error) => return Err(error),
    };
    let file = fs::symlink_metadata(path)?;
    let mode = file.mode() & 0o7777;
    let is_private = match group {
        None => file.uid() == user && mode == MODE,
        Some(group) => file.uid() == own && file.gid() == group && mode == GROUP_MODE,
    };
    if !(file.file_type().is_socket() && is_private) {
        return Err(io::Error::other("its owner or mode differs from what was set"));
    }
    Ok(())
}

/// The group, after it was given the socket.
fn give_to_group_of(path: &Path, user: u32) -> io::Result<u32> {
    let user = User::from_uid(Uid::from_raw(user))?;
    let user = user.ok_or_else(|| io::Error::other("its user is not in the user database"))?;
    let group = user.gid.as_raw();
    lchown(path, None, Some(group)).map_err(|error| {
        let name = user.name;
        io::Error::new(error.kind(), format!("could neither be given to {name} nor to its group"))
    })?;
    fs::set_permissions(path, Permissions::from_mode(GROUP_MODE))?;
    Ok(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_uid() -> u32 {
        geteuid().as_raw()
    }

    #[test]
    fn the_socket_is_for_one_user_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        let listener = PrivateListener::listen(&path, own_uid()).unwrap();
        let socket = fs::symlink_metadata(&path).unwrap();
        assert_eq!((socket.mode() & 0o7777, socket.uid()), (0o600, own_uid()));
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn connecting_never_waits_for_a_peer_that_is_stuck() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        let _stuck = PrivateListener::listen(&path, own_uid()).unwrap();
        let connections: Vec<_> = (0..=BACKLOG + 1).map(|_| connect(&path)).collect();
        let refused = connections.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_socket_is_replaced_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        let left = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(left);
        drop(PrivateListener::listen(&path, own_uid()).unwrap());

        fs::write(&path, "something of value").unwrap();
        let error = PrivateListener::listen(&path, own_uid()).unwrap_err();
        assert!(format!("{error:#}").contains("not a socket"), "{error:#}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "something of value");
    }

    #[test]
    fn descriptors_come_in_their_order_and_no_more_than_there_is_room_for() {
        let [(near, far), (one, _), (other, _)] =
            array::from_fn(|_| std::os::unix::net::UnixDatagram::pair().unwrap());
        let inode = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).unwrap().st_ino;
        let mut message = [0; 8];
        let nothing = receive_descriptors(far.as_fd(), &mut message).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        for sent in
            [&[one.as_fd()][..], &[one.as_fd(), other.as_fd()], &[other.as_fd(), one.as_fd()]]
        {
            send_descriptors(near.as_fd(), b"both", sent).unwrap();
            let (length, came) = receive_descriptors(far.as_fd(), &mut message).unwrap();
            assert_eq!(&message[..length], b"both");
            let came = came.iter().flatten().map(|fd| inode(fd.as_fd()));
            assert!(came.eq(sent.iter().map(|fd| inode(*fd))));
        }
        assert!(send_descriptors(near.as_fd(), b"x", &[one.as_fd(); 3]).is_err());
    }

    #[test]
    fn a_failure_leaves_no_socket() {
        if own_uid() == 0 {
            return; // root can give a socket to anybody
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        assert!(PrivateListener::listen(&path, 0).is_err());
        assert!(!path.exists());
    }
}
