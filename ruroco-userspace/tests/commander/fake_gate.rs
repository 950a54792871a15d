//! A gate that only has the socket for doors, and answers as a test wants.

use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use ruroco_ipc::lease::{Answer, Request, SIZE, SOCKET};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind,
    listen, recv, send, socket_with,
};

use super::harness::{Host, eventually};

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// Sends this.
    Bytes(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Nothing, and keeps the connection.
    Hang,
}

impl From<Answer> for Reaction {
    fn from(answer: Answer) -> Self {
        Self::Bytes(vec![answer.encode()])
    }
}

/// A gate that reacts to a number of requests, and is gone then.
pub(crate) struct FakeGate {
    requests: Arc<Mutex<Vec<Request>>>,
    path: PathBuf,
}

impl FakeGate {
    /// Reacts to a request for each of `reactions`.
    pub(crate) fn start<T: Into<Reaction>>(host: &Host, reactions: Vec<T>) -> Self {
        let path = host.path("run").join(SOCKET);
        let listener = listening(&path, 8);
        let reactions: Vec<Reaction> = reactions.into_iter().map(Into::into).collect();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, place) = (Arc::clone(&requests), path.clone());
        thread::spawn(move || {
            let mut open = Vec::new();
            for reaction in reactions {
                let peer = accept(&listener).unwrap();
                let mut message = [0; SIZE + 1];
                let (length, _) = recv(&peer, &mut message[..], RecvFlags::empty()).unwrap();
                let request = Request::decode(&message[..length]).unwrap();
                let keeps = react(&peer, &reaction);
                // What comes next must find it gone.
                seen.lock().unwrap().push(request);
                open.extend(keeps.then_some(peer));
            }
            fs::remove_file(place).unwrap();
            drop(listener);
            // Hanging connections stay, as those of a process that was stopped do.
            while !open.is_empty() {
                thread::park();
            }
        });
        Self { requests, path }
    }

    /// The requests, once there are so many.
    pub(crate) fn requests(&self, count: usize) -> Vec<Request> {
        eventually("requests to the gate", || {
            let requests = self.requests.lock().unwrap();
            (requests.len() >= count).then(|| requests.clone())
        })
    }

    /// Waits until it has reacted to all requests and is gone.
    pub(crate) fn gone(&self) {
        eventually("the gate to go", || (!self.path.exists()).then_some(()));
    }
}

/// Whether the connection is kept.
fn react(peer: &OwnedFd, reaction: &Reaction) -> bool {
    match reaction {
        Reaction::Bytes(bytes) => {
            send(peer.as_fd(), bytes, SendFlags::NOSIGNAL).unwrap();
            false
        }
        Reaction::Close => false,
        Reaction::Hang => true,
    }
}

/// A socket that listens, with so much room for connections that are not accepted yet.
pub(crate) fn listening(path: &Path, backlog: i32) -> OwnedFd {
    let _ = fs::create_dir(path.parent().unwrap());
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&socket, backlog).unwrap();
    socket
}
