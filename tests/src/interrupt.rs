//! Ctrl-C while a lab is running.
//!
//! Namespaces, mounts and programs of a lab end with its process, however that ends; its directory,
//! with keys in it, stays until the next lab is made. Who interrupts a demonstration may never make
//! another one, so the signal removes the directory before it ends the process.

use std::{
    io::Read as _,
    os::unix::net::UnixStream,
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::pipe,
};

use crate::directory;

/// Whether a signal is ending the process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM remove the directories of all labs and end the process, with the
/// status that a shell gives a program that a signal has ended.
///
/// To be called before there is a lab: the thread that removes its directory must not be in its
/// mount namespace, where parts of the directory are in use.
///
/// # Panics
/// If the signals cannot be caught.
pub fn leave_nothing_behind() {
    silence_panics_at_the_end();
    for signal in [SIGINT, SIGTERM] {
        let (mut told, tell) = UnixStream::pair().expect("make a pair of sockets");
        pipe::register(signal, tell).expect("catch a signal");
        thread::Builder::new()
            .name(format!("signal {signal}"))
            .spawn(move || {
                if told.read_exact(&mut [0]).is_ok() {
                    ENDING.store(true, Ordering::SeqCst);
                    directory::remove_all_and_exit(signal.saturating_add(128));
                }
            })
            .expect("start a thread");
    }
}

/// A terminal interrupts the lab's programs too, and their files go: that the lab then fails is no
/// news. Its thread waits for the end of the process instead of reporting it.
fn silence_panics_at_the_end() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        while ENDING.load(Ordering::SeqCst) {
            thread::park();
        }
        report(panic);
    }));
}
