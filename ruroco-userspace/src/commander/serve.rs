//! The commander's one loop: signals, connections and orders, whichever comes first.
//!
//! Nothing in it blocks but the wait itself. In a turn it accepts one connection and reads one
//! message from each, so that a server which never stops talking keeps neither a signal nor a
//! second server waiting.

use std::{
    array, io, mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{audit::Audit, permit::Judge, runs::Runs, status::StatusSocket};
use crate::{
    boot_clock, logging,
    notices::{Due, Notices},
    order,
    private_socket::PrivateListener,
    service_manager::ServiceManager,
    signals::{Request, Signals},
    wait::wait,
};

/// Most connections at the same time. The server needs one; a second is there when it restarts.
const MAX_CONNECTIONS: usize = 4;

/// What it does, in a line for the service manager.
const READY: &str = "waiting for orders";

/// The running commander.
#[derive(Debug)]
pub struct Service {
    listener: PrivateListener,
    status: StatusSocket,
    connections: Vec<OwnedFd>,
    judge: Judge,
    runs: Runs,
    refusals: Notices,
    audit: Audit,
    service_manager: ServiceManager,
}

impl Service {
    /// Puts it together; nothing happens yet.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new(
        listener: PrivateListener,
        status: StatusSocket,
        judge: Judge,
        audit: Audit,
    ) -> io::Result<Self> {
        let (runs, refusals) = (Runs::new(audit.clone())?, Notices::default());
        let service_manager = ServiceManager::of_environment();
        let connections = Vec::new();
        Ok(Self { listener, status, connections, judge, runs, refusals, audit, service_manager })
    }

    /// Carries out orders until a signal ends this, then ends all runs and removes the socket. When
    /// another signal asks for it, `reload` is to have the judge go by what is in the files then, or
    /// to leave it as it is and say why. Runs go on as they were begun.
    ///
    /// # Errors
    /// If the kernel cannot go on waiting or accepting. The runs are ended then, too.
    pub fn run(
        mut self,
        signals: &mut Signals,
        reload: impl FnMut(&mut Judge) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.service_manager.ready(READY);
        let result = self.until_ended(signals, reload);
        self.service_manager.stopping();
        tracing::info!(running = self.runs.count(), "stopping");
        // The server is to see at once that nobody takes its orders any more.
        drop(self.connections);
        drop(self.listener);
        drop(self.status);
        for due in self.refusals.rest(Instant::now()) {
            tell(&self.audit, &due);
        }
        self.runs.end();
        result
    }

    fn until_ended(
        &mut self,
        signals: &mut Signals,
        mut reload: impl FnMut(&mut Judge) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            let wake = [self.refusals.next(), self.service_manager.next_sign_of_life()];
            let wake = wake.into_iter().flatten().min();
            let [_, connecting, asked, talking @ ..] =
                wait(self.descriptors(signals), wake).context("could not wait for orders")?;
            self.service_manager.give_sign_of_life(Instant::now());
            match signals.next_request() {
                Some(Request::End) => return Ok(()),
                Some(Request::Reload) => self.reload(&mut reload),
                None => {}
            }
            let mut talking = talking.into_iter();
            let mut connections = mem::take(&mut self.connections);
            connections.retain(|connection| {
                let is_talking = talking.next().unwrap_or(false);
                !is_talking || self.receive(connection)
            });
            self.connections = connections;
            if connecting {
                self.connect();
            }
            if asked {
                self.tell_status();
            }
            for due in self.refusals.due(Instant::now()) {
                tell(&self.audit, &due);
            }
        }
    }

    fn reload(&mut self, reload: &mut impl FnMut(&mut Judge) -> anyhow::Result<()>) {
        self.service_manager.reloading();
        match reload(&mut self.judge) {
            Ok(()) => self.service_manager.ready(READY),
            Err(error) => {
                logging::not_reloaded(&error);
                self.service_manager.ready(&format!("{READY}; not reloaded: {error:#}"));
            }
        }
    }

    /// What to wait for: first signals, then new connections of the server's and of the operator's.
    fn descriptors<'a>(
        &'a self,
        signals: &'a Signals,
    ) -> [Option<BorrowedFd<'a>>; 3 + MAX_CONNECTIONS] {
        let own = [signals.as_fd(), self.listener.as_fd(), self.status.as_fd()];
        let mut all = own.into_iter().chain(self.connections.iter().map(AsFd::as_fd));
        array::from_fn(|_| all.next())
    }

    /// Takes one connection at a time, so that many of them do not keep orders waiting.
    fn connect(&mut self) {
        match self.listener.accept() {
            Ok(Some(connection)) if self.connections.len() < MAX_CONNECTIONS => {
                tracing::debug!("server connected");
                self.connections.push(connection);
            }
            Ok(Some(_)) => {
                let detail = format_args!("{MAX_CONNECTIONS} are there already");
                self.refusals.note("too_many_connections", detail);
            }
            Ok(None) => {}
            Err(error) => self.pause_without_connection(error),
        }
    }

    fn tell_status(&mut self) {
        if let Err(error) = self.status.answer(self.runs.count(), self.connections.len()) {
            self.pause_without_connection(error);
        }
    }

    /// No descriptors or no memory left: it passes, and until then it shall not be asked for at full
    /// speed.
    fn pause_without_connection(&mut self, error: io::Error) {
        self.refusals.note("no_connection", error);
        thread::sleep(Duration::from_millis(100));
    }

    /// Reads one message and does what it asks. Says whether the connection stays.
    ///
    /// Descriptors that came with a message are closed by the kernel, as `recv` has no place for
    /// them. An empty message cannot be told from the end and is one.
    fn receive(&mut self, connection: &OwnedFd) -> bool {
        // One byte more than an order, so that one which is too long does not look right.
        let mut buffer = [0; order::SIZE + 1];
        match recv(connection, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                tracing::debug!("server disconnected");
                false
            }
            Ok((length, _)) => {
                self.obey(buffer.get(..length).unwrap_or_default());
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(error) => {
                self.refusals.note("broken_connection", error);
                false
            }
        }
    }

    fn obey(&mut self, message: &[u8]) {
        match self.judge.judge(boot_clock::now(), message, self.runs.count()) {
            Ok(permitted) => {
                if let Err(error) = self.runs.start(permitted) {
                    self.refusals.note("no_thread", error);
                }
            }
            Err(refusal) => self.refusals.note(refusal.name(), &refusal),
        }
    }
}

/// Tells of orders that were refused.
fn tell(audit: &Audit, due: &Due<'_>) {
    let Due { kind, count, total, detail } = due;
    tracing::warn!(reason = %kind, count, total, %detail, "refused");
    audit.refused(due);
}
