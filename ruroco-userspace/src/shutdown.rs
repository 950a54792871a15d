//! SIGTERM and SIGINT, and SIGHUP, as something that a poll loop can wait for.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    low_level::pipe,
};

/// Becomes readable when the process has been asked to end.
#[derive(Debug)]
pub struct Shutdown(UnixStream);

impl Shutdown {
    /// From now on the two signals no longer kill this process.
    ///
    /// # Errors
    /// If the kernel has no socket pair or refuses a handler.
    pub fn on_signals() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        pipe::register(SIGTERM, write.try_clone()?)?;
        pipe::register(SIGINT, write)?;
        Ok(Self(read))
    }

    /// Whether one of the signals has come.
    pub fn is_requested(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(1..))
    }
}

impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Becomes readable when the process has been asked to read its files anew.
#[derive(Debug)]
pub struct Reload(UnixStream);

impl Reload {
    /// From now on SIGHUP no longer kills this process.
    ///
    /// # Errors
    /// If the kernel has no socket pair or refuses a handler.
    pub fn on_signal() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        pipe::register(SIGHUP, write)?;
        Ok(Self(read))
    }

    /// Whether the signal has come since this was last asked, however often.
    pub fn is_requested(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 256]), Ok(1..))
    }
}

impl AsFd for Reload {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
