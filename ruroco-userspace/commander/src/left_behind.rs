//! The output of processes that outlive the run that started them: read and dropped.
//!
//! A run is over when its leader has ended, and does not wait for processes in the background. If they print,
//! they would wait for ever once 64 KiB are full. So the thread of the run stays and empties the pipe,
//! without a slot, until no process has it open any more. Each such thread is a [share](Shares) of its key: a
//! key with many processes in the background does not prevent the output of other keys from being read.

use std::{
    io::{PipeReader, Read},
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, PoisonError},
};

use ruroco_common::datagram::KeyId;
use ruroco_daemon::{shares::Shares, wait::wait};
use ruroco_ipc::slots::SLOTS;

/// How much is read at once.
const CHUNK: usize = 8 * 1024;

/// Pipes that are being emptied.
#[derive(Debug)]
pub struct LeftBehind(Mutex<Shares>);

impl Default for LeftBehind {
    /// None yet.
    fn default() -> Self {
        Self(Mutex::new(Shares::new(SLOTS, 0)))
    }
}

impl LeftBehind {
    /// Empties a pipe until it has no writer, or the other end of `stop` is closed. Without a share for the
    /// key it is left alone.
    pub fn empty(&self, key: KeyId, output: PipeReader, stop: BorrowedFd<'_>) {
        let may_take = self.change(|shares| {
            let may_take = shares.may_take(key);
            if may_take {
                shares.take(key);
            }
            may_take
        });
        if may_take {
            empty(output, stop);
            self.change(|shares| shares.give_back(key));
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Shares) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn empty(mut output: PipeReader, stop: BorrowedFd<'_>) {
    let mut chunk = [0; CHUNK];
    while let Ok([has_output, false]) = wait([Some(output.as_fd()), Some(stop)], None) {
        if has_output && matches!(output.read(&mut chunk), Ok(0) | Err(_)) {
            return;
        }
    }
}
