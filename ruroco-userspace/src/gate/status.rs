//! What the gate tells its operator, over a socket that only root can connect to.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use anyhow::{Context, bail};
use ruroco_common::verdict::Verdict;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with, sockopt,
};
use serde::{Deserialize, Serialize};

use crate::private_socket::PrivateListener;

/// File name of the status socket in `socket_dir`.
pub const SOCKET: &str = "status.sock";

/// Longest answer in bytes: the names of tens of thousands of keys.
const MAX_SIZE: usize = 8 << 20;

/// One answer is sent in pieces of this size, a message each; the shortest one is the last.
const PIECE: usize = 32 << 10;

/// The state of a running gate.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Whether the program is on all configured interfaces.
    pub closed: bool,
    /// The interfaces of the configuration.
    pub interfaces: Vec<InterfaceStatus>,
    /// Our UDP port.
    pub port: u16,
    /// Our addresses.
    pub ips: Vec<String>,
    /// Our keys.
    pub keys: Vec<KeyStatus>,
    /// Whether a server has the ring.
    pub server_connected: bool,
    /// Packets since this gate started, by the verdict's name.
    pub verdicts: BTreeMap<String, u64>,
}

/// The state of one interface.
#[derive(Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Whether the program is on it.
    pub attached: bool,
    /// `native` or `generic`, while it is.
    pub mode: Option<String>,
    /// Why it is not.
    pub problem: Option<String>,
}

/// What may be told of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyStatus {
    /// The stem of its file's name.
    pub name: String,
    /// Its id in hexadecimal.
    pub id: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "gate        {}",
            if self.closed { "closed" } else { "OPEN on some interface" }
        )?;
        writeln!(f, "guards      UDP port {} of {}", self.port, self.ips.join(", "))?;
        for interface in &self.interfaces {
            let state = match (&interface.mode, &interface.problem) {
                (Some(mode), _) => format!("attached, {mode}"),
                (None, Some(problem)) => problem.clone(),
                (None, None) => "not attached".to_owned(),
            };
            writeln!(f, "interface   {}: {state}", interface.name)?;
        }
        writeln!(f, "server      {}", if self.server_connected { "connected" } else { "away" })?;
        for key in &self.keys {
            writeln!(f, "key         {} {}", key.id, key.name)?;
        }
        for verdict in Verdict::ALL.map(Verdict::name) {
            let count = self.verdicts.get(verdict).copied().unwrap_or_default();
            writeln!(f, "verdict     {verdict:<13} {count}")?;
        }
        Ok(())
    }
}

/// Where the gate listens for questions.
#[derive(Debug)]
pub struct StatusSocket {
    listener: PrivateListener,
}

impl StatusSocket {
    /// Listens in `socket_dir` for processes of `user` (a uid).
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(socket_dir: &Path, user: u32) -> anyhow::Result<Self> {
        Ok(Self { listener: PrivateListener::listen(&socket_dir.join(SOCKET), user)? })
    }

    /// Answers everyone who has connected: connecting is the question.
    pub fn answer(&self, status: impl Fn() -> anyhow::Result<Status>) {
        while let Ok(Some(peer)) = self.listener.accept() {
            let answered = status().and_then(|status| {
                let text = serde_json::to_vec(&status)?;
                Ok(send_all(peer.as_fd(), &text)?)
            });
            if let Err(error) = answered {
                tracing::warn!("could not answer a question for the status: {error:#}");
            }
        }
    }
}

impl AsFd for StatusSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Asks the running gate.
///
/// # Errors
/// If there is none, or this process may not ask.
pub fn ask(socket_dir: &Path) -> anyhow::Result<Status> {
    let path = socket_dir.join(SOCKET);
    let text = question(&path).with_context(|| {
        format!(
            "could not ask the gate at {}; is ruroco-gate running, and are you root?",
            path.display()
        )
    })?;
    serde_json::from_slice(&text)
        .context("could not read the gate's answer: is it of another release?")
}

fn question(path: &Path) -> anyhow::Result<Vec<u8>> {
    let gate = open_socket(path)?;
    let mut text = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let (_, length) = recv(&gate, &mut piece[..], RecvFlags::empty())?;
        text.extend_from_slice(piece.get(..length).unwrap_or_default());
        if length < PIECE {
            return Ok(text);
        }
        if text.len() > MAX_SIZE {
            bail!("the answer does not end");
        }
    }
}

fn open_socket(path: &Path) -> io::Result<OwnedFd> {
    let gate = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let patience = std::time::Duration::from_secs(5);
    sockopt::set_socket_timeout(&gate, sockopt::Timeout::Recv, Some(patience))?;
    connect(&gate, &SocketAddrUnix::new(path)?)?;
    Ok(gate)
}

/// Does not wait for one who asks and then does not listen.
fn send_all(peer: BorrowedFd<'_>, text: &[u8]) -> io::Result<()> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    for piece in text.chunks(PIECE) {
        send(peer, piece, flags)?;
    }
    if text.len().is_multiple_of(PIECE) {
        send(peer, &[], flags)?;
    }
    Ok(())
}
