//! What the commander reports to its operator, over a socket that only its own user, root, can connect to.
//!
//! Without it, no program on the host could distinguish a dead commander from an idle one: orders have no
//! reply, and the server connects only when it has an order. A connection is the request, and the answer is
//! one message with a JSON object. The commander reads nothing from this socket and waits for no reader.

use std::{
    io,
    path::{self, Path},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use ruroco_daemon::listener::Listener;
use ruroco_ipc::{commander_status, slots::SLOTS};
use rustix::{
    net::{SendFlags, send},
    process::geteuid,
};

use super::json::Object;

/// Where the commander listens for questions, and the part of the answer that never changes.
#[derive(Debug)]
pub struct StatusSocket {
    /// Where questions come.
    pub listener: Listener,
    start_time: u64,
    commands_file: String,
}

impl StatusSocket {
    /// Listens in `socket_dir`; `commands` is the file that the commands were read from.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn listen(socket_dir: &Path, commands: &Path) -> anyhow::Result<Self> {
        let path = socket_dir.join(commander_status::SOCKET);
        let listener = Listener::listen(&path, geteuid().as_raw())?;
        let start_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // The one who asks may be in another directory.
        let commands_file = path::absolute(commands).unwrap_or_else(|_| commands.to_owned());
        let commands_file = commands_file.to_string_lossy().into_owned();
        Ok(Self { listener, start_time, commands_file })
    }

    /// Answers one process that has connected; `notify` is the program that is notified of events. It does not matter whether the answer is received.
    ///
    /// # Errors
    /// If the kernel has no connection to give.
    pub fn answer(
        &mut self,
        now: Instant,
        running: usize,
        connections: usize,
        notify: Option<&str>,
    ) -> io::Result<()> {
        let Some(peer) = self.listener.accept(now)? else { return Ok(()) };
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let answer = Object::default()
            .text("version", env!("CARGO_PKG_VERSION"))
            .number("start_time_seconds", self.start_time)
            .number("running", number(running))
            .number("max_running", u64::from(SLOTS))
            .number("connections", number(connections))
            .text("commands_file", &self.commands_file);
        let answer = match notify {
            Some(program) => answer.text("notify", program),
            None => answer,
        };
        let _ = send(&peer, answer.close().as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        Ok(())
    }
}
