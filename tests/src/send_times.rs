//! When packets left a host, as its kernel has noted it: what a program does before it sends is not
//! a part of how long its packet takes.

use std::{io::IoSliceMut, os::fd::AsRawFd, os::fd::OwnedFd};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
        setsockopt, socket, sockopt::ReceiveTimestampns,
    },
};

use crate::namespace::Namespace;

/// Notes every IPv4 UDP packet to one port that a host sends or receives, from the moment it is
/// made. For a few packets: what nobody asks for is lost some time.
#[derive(Debug)]
pub struct SendTimes {
    socket: OwnedFd,
    port: u16,
}

impl SendTimes {
    /// Begins to note.
    ///
    /// # Panics
    /// If this process may not.
    pub fn of(host: &Namespace, port: u16) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = host
            .enter(|| socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll))
            .expect("make a packet socket");
        setsockopt(&socket, ReceiveTimestampns, &true).expect("ask for times");
        Self { socket, port }
    }

    /// The times since it was last asked, in nanoseconds since 1970, in the order of the packets.
    ///
    /// # Panics
    /// If the kernel does not tell them.
    pub fn take(&self) -> Vec<u128> {
        let mut times = Vec::new();
        let mut buffer = [0; 2048];
        let mut control = nix::cmsg_space!(libc::timespec);
        loop {
            let mut room = [IoSliceMut::new(&mut buffer)];
            let socket = self.socket.as_raw_fd();
            let received = recvmsg::<()>(socket, &mut room, Some(&mut control), MsgFlags::empty());
            let message = match received {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return times,
                Err(error) => panic!("receive frames: {error}"),
            };
            let parts = message.cmsgs().expect("room for the time");
            let mut times_of_frame = parts.filter_map(|part| {
                if let ControlMessageOwned::ScmTimestampns(time) = part { Some(time) } else { None }
            });
            let time = times_of_frame.next();
            let length = message.bytes;
            if self.concerns(&buffer[..length]) {
                let time = time.expect("the time of a frame");
                let seconds = u128::try_from(time.tv_sec()).expect("a clock after 1970");
                let nanoseconds = u128::try_from(time.tv_nsec()).expect("a fraction of a second");
                times.push(seconds * 1_000_000_000 + nanoseconds);
            }
        }
    }

    fn concerns(&self, frame: &[u8]) -> bool {
        const IPV4: [u8; 2] = [0x08, 0];
        const UDP: u8 = 17;
        // Without IP options: nothing here sends any.
        frame.len() >= 42
            && frame[12..14] == IPV4
            && frame[23] == UDP
            && frame[36..38] == self.port.to_be_bytes()
    }
}
