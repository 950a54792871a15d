//! Notices changes of the kernel's nftables: another program may flush all tables, ours included.
//!
//! The gate does not read the change from the message, but lists its table again.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind,
    netlink::{self, SocketAddrNetlink},
    socket_with,
};

/// `NFNLGRP_NFTABLES` (linux/netfilter/nfnetlink.h), group 7, as a bit.
const NFTABLES: u32 = 1 << 6;

/// The kernel's messages.
#[derive(Debug)]
pub(crate) struct Changes(OwnedFd);

impl Changes {
    /// Begins to receive them.
    ///
    /// # Errors
    /// If the kernel has no nftables.
    pub(crate) fn watch() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, NFTABLES))?;
        Ok(Self(socket))
    }

    /// Drops all messages.
    pub(crate) fn drain(&self) {
        crate::netlink::drain(&self.0);
    }
}

impl AsFd for Changes {
    /// Readable when some table has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
