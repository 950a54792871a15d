//! All runs that have not ended, each in a thread of its own that does nothing but wait for it.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{permit::Permitted, run};

/// The running commands.
#[derive(Debug)]
pub struct Runs {
    threads: Vec<JoinHandle<()>>,
    /// Closed to end all runs; they hold the other end.
    keep_going: UnixStream,
    stop: Arc<UnixStream>,
}

impl Runs {
    /// None yet.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (keep_going, stop) = UnixStream::pair()?;
        Ok(Self { threads: Vec::new(), keep_going, stop: Arc::new(stop) })
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
        let stop = Arc::clone(&self.stop);
        let thread = thread::Builder::new().spawn(move || run::run(&permitted, stop.as_fd()))?;
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
