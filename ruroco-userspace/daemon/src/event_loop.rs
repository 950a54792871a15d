//! The one loop of all daemons. It waits for the events of a [`Daemon`] and for [signals](crate::signals),
//! makes the daemon reload or end, reports to the [service manager](crate::service_manager), and gives its
//! watchdog signs of life.
//!
//! In normal operation, the loop allocates no memory: senders of packets have no influence on how much memory
//! the server uses.

use std::{
    array, fmt, io, iter, mem,
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use anyhow::Context;

use crate::{
    logging,
    service_manager::ServiceManager,
    signals::{Request, Signals},
    wait::wait,
};

/// Most descriptors that a loop waits for, the signals' included.
const MOST: usize = 16;

/// An event that a daemon waits for, and the descriptor that is readable when it has happened; `None`
/// while it is not waited for.
pub type Watched<'a, Event> = (Event, Option<BorrowedFd<'a>>);

/// What a daemon waits for, and what it does then. `N` is how many events it can wait for.
pub trait Daemon<const N: usize> {
    /// Its events, by name.
    type Event: Copy;

    /// The events to wait for at `now`. They are [passed on](Daemon::on) in this order.
    fn watched(&self, now: Instant) -> [Watched<'_, Self::Event>; N];

    /// When to [tend](Daemon::tend) to what is due, even if nothing happens until then.
    fn next_wake(&self, now: Instant) -> Option<Instant>;

    /// An event that may have happened: a handler finds nothing if an earlier one has dealt with it.
    ///
    /// # Errors
    /// Those that end the daemon.
    fn on(&mut self, event: Self::Event) -> anyhow::Result<()>;

    /// Does what is due, before each wait.
    ///
    /// # Errors
    /// Those that end the daemon.
    fn tend(&mut self) -> anyhow::Result<()>;

    /// Puts the current content of the files into force.
    ///
    /// # Errors
    /// The errors in the files. The earlier state stays in force then.
    fn reload(&mut self) -> anyhow::Result<()>;

    /// Writes what it does, in a line for a person.
    ///
    /// # Errors
    /// Those of `line`.
    fn summarise(&self, line: &mut dyn fmt::Write) -> fmt::Result;
}

/// The loop, which handles signals from the moment it exists.
#[derive(Debug)]
pub struct EventLoop {
    signals: Signals,
    service_manager: ServiceManager,
    /// The summary that the service manager has.
    reported: String,
    /// Room for the next one.
    summary: String,
}

impl EventLoop {
    /// From now on no signal that a daemon obeys kills this process, until its end.
    ///
    /// # Errors
    /// If the signals cannot be handled.
    pub fn begin() -> anyhow::Result<Self> {
        Ok(Self {
            signals: Signals::handle().context("could not handle signals")?,
            service_manager: ServiceManager::of_environment(),
            reported: String::new(),
            summary: String::new(),
        })
    }

    /// Reports the daemon as ready, and runs it until a signal ends it. The caller then cleans up.
    ///
    /// # Errors
    /// Why it cannot continue.
    pub fn run<const N: usize, D: Daemon<N>>(mut self, daemon: &mut D) -> anyhow::Result<()> {
        self.summarise(daemon);
        self.service_manager.ready(&self.reported);
        loop {
            daemon.tend()?;
            if self.summarise(daemon) {
                self.service_manager.status(&self.reported);
            }
            let events = self.wait(daemon).context("could not wait for events")?;
            self.service_manager.give_sign_of_life(Instant::now());
            match self.signals.next_request() {
                Some(Request::End) => {
                    self.service_manager.stopping();
                    return Ok(());
                }
                Some(Request::Reload) => self.reload(daemon),
                None => {}
            }
            for event in events.into_iter().flatten() {
                daemon.on(event)?;
            }
        }
    }

    /// Waits for a signal, an event or the next time something is due: the events that have happened.
    fn wait<const N: usize, D: Daemon<N>>(&self, daemon: &D) -> io::Result<[Option<D::Event>; N]> {
        const { assert!(N < MOST, "a daemon waits for more events than the loop has room for") };
        let now = Instant::now();
        let wakes = [daemon.next_wake(now), self.service_manager.next_sign_of_life()];
        let watched = daemon.watched(now);
        let descriptors = watched.iter().map(|(_, descriptor)| *descriptor);
        let mut descriptors = iter::once(Some(self.signals.as_fd())).chain(descriptors);
        let descriptors: [_; MOST] = array::from_fn(|_| descriptors.next().flatten());
        let [_, ready @ ..] = wait(descriptors, wakes.into_iter().flatten().min())?;
        let mut ready = ready.into_iter();
        Ok(watched.map(|(event, _)| ready.next().unwrap_or_default().then_some(event)))
    }

    fn reload<const N: usize, D: Daemon<N>>(&mut self, daemon: &mut D) {
        self.service_manager.reloading();
        let reloaded = daemon.reload();
        self.summarise(daemon);
        match reloaded {
            Ok(()) => self.service_manager.ready(&self.reported),
            Err(error) => {
                logging::not_reloaded(&error);
                let status = format!("{}; not reloaded: {error:#}", self.reported);
                self.service_manager.ready(&status);
            }
        }
    }

    /// Notes what the daemon does now; whether that has changed.
    fn summarise<const N: usize, D: Daemon<N>>(&mut self, daemon: &D) -> bool {
        self.summary.clear();
        // A string takes everything.
        let _ = daemon.summarise(&mut self.summary);
        let has_changed = self.summary != self.reported;
        mem::swap(&mut self.summary, &mut self.reported);
        has_changed
    }
}

#[cfg(test)]
mod tests;
