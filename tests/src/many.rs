//! Many datagrams with one system call (sendmmsg(2)): as fast as sockets go.

use std::{io::IoSlice, net::UdpSocket, os::fd::AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

use crate::network::SERVER;

/// How many with one call.
const BATCH: usize = 64;

/// Sends datagrams to one port of the server, from one socket.
#[derive(Debug)]
pub struct Sender {
    socket: UdpSocket,
    headers: MultiHeaders<SockaddrIn>,
}

impl Sender {
    /// To be called inside the namespace.
    ///
    /// # Panics
    /// If there can be no such socket.
    pub fn new(port: u16) -> Self {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("make a UDP socket");
        socket.connect((SERVER.v4, port)).expect("set the address");
        Self { socket, headers: MultiHeaders::preallocate(BATCH, None) }
    }

    /// Sends datagrams one after the other; how many of them the kernel took.
    pub fn send_each<D: AsRef<[u8]>>(&mut self, datagrams: &[D]) -> usize {
        let batches = datagrams.chunks(BATCH).map(|batch| {
            let contents: Vec<_> =
                batch.iter().map(|datagram| [IoSlice::new(datagram.as_ref())]).collect();
            let nowhere = vec![None::<SockaddrIn>; batch.len()];
            let socket = self.socket.as_raw_fd();
            let sent =
                sendmmsg(socket, &mut self.headers, &contents, nowhere, [], MsgFlags::empty());
            sent.map_or(0, Iterator::count)
        });
        batches.sum()
    }

    /// Sends the same datagram some times; how many of them the kernel took.
    pub fn send(&mut self, payload: &[u8]) -> usize {
        let content = [IoSlice::new(payload)];
        let contents = [content; BATCH];
        let nowhere = [None::<SockaddrIn>; BATCH];
        let socket = self.socket.as_raw_fd();
        let sent = sendmmsg(socket, &mut self.headers, &contents, nowhere, [], MsgFlags::empty());
        // A host that has nothing there may say so; that is the next packet's error.
        sent.map_or(0, Iterator::count)
    }
}
