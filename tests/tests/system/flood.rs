//! Junk for the gate's port, as fast as a socket can, until it is enough.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ruroco_lab::{
    many::Sender,
    network::{Network, PORT},
};

/// At most so many packets in all.
const MOST: usize = 20_000_000;

pub(crate) struct Flood {
    end: Arc<AtomicBool>,
    sender: Option<JoinHandle<usize>>,
}

impl Flood {
    pub(crate) fn start(network: &Network) -> Self {
        let (end, client) = (Arc::new(AtomicBool::new(false)), network.client.handle());
        let told = Arc::clone(&end);
        let flood = move || {
            let mut sender = Sender::new(PORT);
            let mut sent = 0;
            while !told.load(Ordering::Relaxed) && sent < MOST {
                sent += sender.send(&[0x5a; 94]);
                // The knocks go by the same link, whose queue is short.
                thread::sleep(Duration::from_micros(200));
            }
            sent
        };
        Self { end, sender: Some(thread::spawn(move || client.enter(flood))) }
    }

    /// How many packets were sent.
    pub(crate) fn stop(mut self) -> usize {
        self.end.store(true, Ordering::Relaxed);
        self.sender.take().unwrap().join().unwrap()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}
