//! All runs that have not ended, each in a thread of its own that does nothing but wait for it.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{audit::Audit, permit::Permitted, run};

/// The running commands.
#[derive(Debug)]
pub struct Runs {
    threads: Vec<JoinHandle<()>>,
    /// Closed to end all runs; they hold the other end.
    keep_going: UnixStream,
    stop: Arc<UnixStream>,
    audit: Audit,
}

impl Runs {
    /// None yet; of all of them the audit trail will tell.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new(audit: Audit) -> io::Result<Self> {
        let (keep_going, stop) = UnixStream::pair()?;
        Ok(Self { threads: Vec::new(), keep_going, stop: Arc::new(stop), audit })
    }

    /// How many there are.
    pub fn count(&mut self) -> usize {
        self.threads.retain(|thread| !thread.is_finished());
        self.threads.len()
    }

    /// Starts one and returns at once.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start(&mut self, permitted: Permitted) -> io::Result<()> {
        let (stop, audit) = (Arc::clone(&self.stop), self.audit.clone());
        let run = move || run::run(&permitted, stop.as_fd(), &audit);
        let thread = thread::Builder::new().spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends all of them and returns when they have ended.
    pub fn end(self) {
        drop(self.keep_going);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}
