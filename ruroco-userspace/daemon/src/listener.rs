//! A listening socket that does not wake the gate at full speed while nobody can be accepted.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use ruroco_ipc::private_socket::PrivateListener;

/// How long nobody is asked for after a failure: there are no descriptors or no memory left, which
/// passes. The gate has other things to do meanwhile, so it does not sleep.
const PAUSE: Duration = Duration::from_millis(100);

/// A [`PrivateListener`], and whether to wait for it.
#[derive(Debug)]
pub struct Listener {
    listener: PrivateListener,
    paused_until: Option<Instant>,
}

impl Listener {
    /// As [`PrivateListener::listen`].
    ///
    /// # Errors
    /// If a step of making the socket fails.
    pub fn listen(path: &Path, user: u32) -> anyhow::Result<Self> {
        Ok(Self { listener: PrivateListener::listen(path, user)?, paused_until: None })
    }

    /// What to wait for, if anything.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.paused_until.is_none().then(|| self.listener.as_fd())
    }

    /// When to come back though nobody was waited for.
    pub fn next_wake(&self) -> Option<Instant> {
        self.paused_until
    }

    /// The next connection from the right user; `None` if nobody is waiting, or during a pause.
    ///
    /// # Errors
    /// If the kernel has no connection to give.
    pub fn accept(&mut self, now: Instant) -> io::Result<Option<OwnedFd>> {
        if self.paused_until.is_some_and(|until| now < until) {
            return Ok(None);
        }
        let accepted = self.listener.accept();
        self.pause_after(now, &accepted);
        accepted
    }

    fn pause_after<T>(&mut self, now: Instant, accepted: &io::Result<T>) {
        self.paused_until = accepted.as_ref().err().and_then(|_| now.checked_add(PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_ipc::private_socket::connect;
    use rustix::process::geteuid;

    #[test]
    fn after_a_failure_nobody_is_waited_for_or_accepted_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut listener = Listener::listen(&path, geteuid().as_raw()).unwrap();
        let _client = connect(&path).unwrap();
        let now = Instant::now();
        listener.pause_after::<()>(now, &Err(io::ErrorKind::OutOfMemory.into()));
        assert!(listener.accept(now).unwrap().is_none());
        assert!(listener.descriptor().is_none());
        assert_eq!(listener.next_wake(), Some(now + PAUSE));

        assert!(listener.accept(now + PAUSE).unwrap().is_some());
        assert!(listener.descriptor().is_some());
        assert_eq!(listener.next_wake(), None);
    }
}
