//! A listening socket that does not wake a daemon at full speed while no connection can be accepted.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use ruroco_ipc::private_socket::PrivateListener;

/// How long no connection is waited for after a failure: there are no descriptors or no memory left, which
/// passes. The daemon has other things to do meanwhile, so it does not sleep.
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

    /// What to wait for at `now`, if anything.
    pub fn descriptor(&self, now: Instant) -> Option<BorrowedFd<'_>> {
        self.next_wake(now).is_none().then(|| self.listener.as_fd())
    }

    /// When to wait for connections again, during a pause.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| now < *until)
    }

    /// The next connection from the right user; `None` if no process is waiting, or during a pause.
    ///
    /// # Errors
    /// If the kernel has no connection to give.
    pub fn accept(&mut self, now: Instant) -> io::Result<Option<OwnedFd>> {
        if self.next_wake(now).is_some() {
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
    fn after_a_failure_no_connection_is_waited_for_or_accepted_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut listener = Listener::listen(&path, geteuid().as_raw()).unwrap();
        let _client = connect(&path).unwrap();
        let now = Instant::now();
        listener.pause_after::<()>(now, &Err(io::ErrorKind::OutOfMemory.into()));
        assert!(listener.accept(now).unwrap().is_none());
        assert!(listener.descriptor(now).is_none());
        let end = now + PAUSE;
        assert_eq!(listener.next_wake(now), Some(end));

        assert!(listener.descriptor(end).is_some());
        assert_eq!(listener.next_wake(end), None);
        assert!(listener.accept(end).unwrap().is_some());
    }
}
