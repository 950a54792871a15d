//! Sockets that send and receive whole Ethernet frames (`AF_PACKET`, packet(7)).

use std::os::fd::{AsRawFd, OwnedFd};

use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, getsockopt, recv,
        sendto, setsockopt, socket, sockopt::RcvBufForce,
    },
};

mod options {
    //! What nix does not have.
    #![allow(missing_docs, reason = "the macro writes the items")]
    use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// Leaves out what this host sends itself (Linux 4.20).
        IgnoreOutgoing, SetOnly, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, bool
    );
    sockopt_impl!(
        /// How many frames came, and how many of them found no room, since it was last asked.
        Statistics, GetOnly, libc::SOL_PACKET, libc::PACKET_STATISTICS, libc::tpacket_stats
    );
}

/// The longest frame there is: the lab's interfaces have an MTU of 1500, and loopback is not
/// listened to for content.
const MAX_FRAME: usize = 65_536;

/// Sends frames, as they are, from one interface.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl Sender {
    /// To be called inside the namespace of the interface.
    ///
    /// # Panics
    /// If there is no such interface, or this process may not.
    pub fn new(interface: &str) -> Self {
        // No protocol: it receives nothing.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .expect("make a packet socket");
        let interface = getifaddrs()
            .expect("list the interfaces")
            .filter(|address| address.interface_name == interface)
            .find_map(|address| address.address?.as_link_addr().copied())
            .unwrap_or_else(|| panic!("there is no interface {interface}"));
        Self { socket, interface }
    }

    /// Sends one frame.
    ///
    /// # Panics
    /// If the interface does not take it.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        let sent = sendto(self.socket.as_raw_fd(), frame, &self.interface, MsgFlags::empty())
            .expect("send a frame");
        assert_eq!(sent, frame.len(), "the frame was cut");
    }
}

/// Receives what comes in on all interfaces of a namespace, also on those that are added later.
/// What came is kept by the kernel until it is asked for.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedFd,
}

impl Receiver {
    /// Room for what arrives between two questions: tens of thousands of small frames.
    const BUFFER: usize = 64 << 20;

    /// To be called inside the namespace.
    ///
    /// # Panics
    /// If this process may not.
    pub fn new() -> Self {
        let receiver = Self::of_both_directions();
        setsockopt(&receiver.socket, options::IgnoreOutgoing, &true)
            .expect("leave out what is sent");
        receiver
    }

    /// One that receives what this namespace sends, too. To be called inside the namespace.
    ///
    /// # Panics
    /// If this process may not.
    pub fn of_both_directions() -> Self {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
            .expect("make a packet socket");
        setsockopt(&socket, RcvBufForce, &Self::BUFFER).expect("set the size of the buffer");
        Self { socket }
    }

    /// The frames that came since it was last asked.
    ///
    /// # Panics
    /// If some were lost: nothing could be concluded from what is not there.
    pub fn received(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buffer = vec![0; MAX_FRAME];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => frames.push(buffer[..length].to_vec()),
                Err(Errno::EAGAIN) => break,
                // Said once when an interface goes down; what came before and after is there.
                Err(Errno::ENETDOWN) => {}
                Err(error) => panic!("receive frames: {error}"),
            }
        }
        let statistics = getsockopt(&self.socket, options::Statistics).expect("ask for statistics");
        assert_eq!(statistics.tp_drops, 0, "the capture is not complete");
        frames
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}
