//! The signals of a daemon, as a descriptor for a poll loop: SIGTERM and SIGINT end the daemon, SIGHUP makes
//! it read its files again.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    low_level::pipe,
};

/// What the operator, or the service manager, asks for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To end.
    End,
    /// Read configuration and keys again.
    Reload,
}

/// Becomes readable when there may be a [`Request`].
#[derive(Debug)]
pub struct Signals {
    end: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Signals {
    /// From now on the three signals no longer kill this process.
    ///
    /// # Errors
    /// If the kernel has no socket pair or refuses a handler.
    pub fn handle() -> io::Result<Self> {
        let (end, reload) = (Arc::default(), Arc::default());
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        for (signal, asked) in [(SIGTERM, &end), (SIGINT, &end), (SIGHUP, &reload)] {
            // In this order: whoever is woken finds out why.
            flag::register(signal, Arc::clone(asked))?;
            pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self { end, reload, wake })
    }

    /// What has been asked for. Once it is the end, it stays that; reloads that were asked for since
    /// the last answer are one, as the next finds the same files.
    pub fn next_request(&mut self) -> Option<Request> {
        // First, so that a signal which comes now wakes once too often and not once too rarely.
        while let Ok(1..) = self.wake.read(&mut [0; 64]) {}
        if self.end.load(Ordering::SeqCst) {
            return Some(Request::End);
        }
        self.reload.swap(false, Ordering::SeqCst).then_some(Request::Reload)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::wait::wait;
    use signal_hook::low_level::raise;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Signals are the whole process's: one test at a time sends any.
    pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
        static SIGNALS: Mutex<()> = Mutex::new(());
        SIGNALS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn a_reload_is_asked_for_once_and_an_end_for_good() {
        let _signals = one_at_a_time();
        let mut signals = Signals::handle().unwrap();
        assert_eq!(signals.next_request(), None);
        for _ in 0..3 {
            raise(SIGHUP).unwrap();
        }
        assert_eq!(wait([Some(signals.as_fd())], None).unwrap(), [true]);
        assert_eq!(signals.next_request(), Some(Request::Reload));
        assert_eq!(signals.next_request(), None);
        assert!(signals.wake.read(&mut [0]).is_err(), "no thread is left to wake another");

        raise(SIGHUP).unwrap();
        raise(SIGTERM).unwrap();
        assert_eq!(wait([Some(signals.as_fd())], None).unwrap(), [true]);
        for _ in 0..2 {
            assert_eq!(signals.next_request(), Some(Request::End));
        }
    }
}
