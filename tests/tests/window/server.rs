//! The other side: a socket that takes knocks and says nothing, and a port that one of them opens.

use std::{
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use ruroco_common::{
    datagram::Datagram,
    plaintext::{Plaintext, SIZE},
};
use ruroco_keys::key::Key;
use ruroco_lab::wait;
use ruroco_seal::Aead;
use zerocopy::FromBytes;

/// A host that is knocked at.
pub(crate) struct Server(UdpSocket);

impl Server {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next knock, opened with the key that it was made with.
    pub(crate) fn receives(&self, key: &Key) -> Plaintext {
        let mut bytes = [0; 200];
        let size = self.0.recv(&mut bytes).expect("no knock has come");
        let datagram = Datagram::read_from_bytes(&bytes[..size]).expect("it is 94 bytes long");
        let opened: [u8; SIZE] = Aead::new(key).open(&datagram).expect("it is authentic");
        Plaintext::decode(&opened).unwrap()
    }

    /// Whether another one has come.
    pub(crate) fn has_received(&self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        self.0.recv(&mut [0; 200]).is_ok()
    }
}

/// A port on which nobody listens yet.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A port that neither accepts nor refuses, as behind a firewall that drops: its queue is full.
pub(crate) struct SilentPort {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl SilentPort {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(stream);
        }
        Self { listener, _queued: queued }
    }

    pub(crate) fn number(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}
