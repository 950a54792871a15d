//! What a source yields, and in which order, when gates come and go. A file in memory stands for each ring.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[path = "floors/harness.rs"]
#[expect(dead_code, reason = "the rest is for the other tests")]
mod harness;

use ruroco_daemon::clock::Now;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use harness::{Host, NOW, START};
use ruroco_common::candidate::{self, Candidate};
use ruroco_ipc::{
    handover::{self, Handover, memory},
    private_socket::{PrivateListener, send_descriptors},
};
use ruroco_server::source::{self, Arrival, NewRing, Source};
use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    param::page_size,
    process::geteuid,
};
use zerocopy::IntoBytes;

const RING_SIZE: u32 = 1 << 16;

/// Size of a record, with its header.
const RECORD: u64 = 144 + 8;

/// A ring as the kernel lays it out: the consumer's page, the producer's, the data.
struct Ring(File);

impl Ring {
    fn holding(candidates: &[Candidate]) -> Self {
        let file = memfd_create("ring", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, 1 << 20).unwrap();
        let ring = Self(file.into());
        candidates.iter().for_each(|candidate| ring.write(candidate));
        ring
    }

    fn number(&self, at: u64) -> u64 {
        let mut number = [0; 8];
        self.0.read_exact_at(&mut number, at).unwrap();
        u64::from_ne_bytes(number)
    }

    /// How many records the reader has given free.
    fn freed(&self) -> u64 {
        self.number(0) / RECORD
    }

    fn write(&self, candidate: &Candidate) {
        let page = u64::try_from(page_size()).unwrap();
        let end = self.number(page);
        let header = u64::try_from(candidate::SIZE).unwrap().to_ne_bytes();
        self.0.write_all_at(&header, 2 * page + end).unwrap();
        self.0.write_all_at(candidate.as_bytes(), 2 * page + end + 8).unwrap();
        self.0.write_all_at(&(end + RECORD).to_ne_bytes(), page).unwrap();
    }
}

/// Accepts the server as a gate does, and hands over.
fn hand_over(gate: &PrivateListener, host: &Host, ring: &Ring) -> OwnedFd {
    let server = gate.accept().unwrap().unwrap();
    let keys = handover::keys::encode(&host.keys);
    let keys = memory::put(keys.as_bytes()).unwrap();
    let message = Handover { ring_size: RING_SIZE }.encode();
    send_descriptors(server.as_fd(), &message, &[ring.0.as_fd(), keys.as_fd()]).unwrap();
    server
}

/// The candidate that is next.
#[track_caller]
fn candidate(source: &mut dyn Source, now: Now) -> Candidate {
    match source.next(now).unwrap() {
        Some(Arrival::Candidate(candidate)) => candidate.unwrap(),
        Some(Arrival::Handover { .. }) => panic!("a handover"),
        None => panic!("nothing"),
    }
}

#[track_caller]
fn new_ring(source: &mut dyn Source, now: Now) -> NewRing {
    match source.next(now).unwrap() {
        Some(Arrival::Handover { ring, keys }) => {
            assert_eq!(keys.len(), 1);
            ring
        }
        Some(Arrival::Candidate(_)) => panic!("a candidate"),
        None => panic!("nothing"),
    }
}

#[test]
fn what_a_ring_holds_arrives_before_the_next_keys_and_keeps_its_place_until_it_was_judged() {
    log_from_the_beginning();
    let host = Host::new(1);
    let [first, second, third, fourth, fifth] =
        [1, 2, 3, 4, 5].map(|above| host.knock(0, START + above));
    let path = host.config.socket_dir.join(handover::SOCKET);
    let gate = PrivateListener::listen(&path, geteuid().as_raw()).unwrap();
    let mut source = source::open(&host.config).unwrap();
    let source = &mut *source;
    assert!(source.next(NOW).unwrap().is_none() && !source.is_there());

    let ring = Ring::holding(&[first, second]);
    let connection = hand_over(&gate, &host, &ring);
    let new = new_ring(source, NOW);
    source.change_to(new);
    assert_eq!((candidate(source, NOW), ring.freed()), (first, 0));
    assert_eq!((candidate(source, NOW), ring.freed()), (second, 1));
    assert!(source.next(NOW).unwrap().is_none());
    assert_eq!(ring.freed(), 2);

    // The gate goes, and another one hands over while something is still in its predecessor's ring.
    drop(connection);
    assert!(source.next(NOW).unwrap().is_none());
    ring.write(&third);
    let next = Ring::holding(&[fifth]);
    drop(hand_over(&gate, &host, &next));
    assert_eq!(candidate(source, NOW), third);
    let new = new_ring(source, NOW);
    assert_eq!(ring.freed(), 3);

    // Its keys could not be put into force: the ring before is still read, and the gate is asked again.
    drop(new);
    source.retry(NOW, &anyhow::anyhow!("the disk is full"));
    ring.write(&fourth);
    assert_eq!(candidate(source, NOW), fourth);
    assert!(source.next(NOW).unwrap().is_none());
    let later = Now { boot: NOW.boot + Duration::from_secs(1), ..NOW };
    assert!(source.next_attempt().unwrap() <= later.boot);
    assert!(source.next(later).unwrap().is_none());
    let _connection = hand_over(&gate, &host, &next);
    let new = new_ring(source, later);
    source.change_to(new);
    assert_eq!((candidate(source, later), source.next_attempt()), (fifth, None));
}

/// Makes sure that lines are logged before the first one comes: a line that is first met by a thread without a subscriber,
/// while another thread begins to listen, may be switched off for both.
fn log_from_the_beginning() {
    static BEGIN: Once = Once::new();
    BEGIN.call_once(|| {
        let nowhere = tracing_subscriber::fmt().with_writer(io::sink).finish();
        tracing::subscriber::set_global_default(nowhere).unwrap();
    });
}

/// The lines that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_gate_that_hands_over_again_has_reloaded_and_a_gate_that_is_away_was_lost() {
    log_from_the_beginning();
    let host = Host::new(1);
    let path = host.config.socket_dir.join(handover::SOCKET);
    let gate = PrivateListener::listen(&path, geteuid().as_raw()).unwrap();
    let mut source = source::open(&host.config).unwrap();
    let source = &mut *source;
    let ring = Ring::holding(&[]);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        assert!(source.next(NOW).unwrap().is_none());
        let connection = hand_over(&gate, &host, &ring);
        let new = new_ring(source, NOW);
        source.change_to(new);
        log.take();

        drop(connection);
        assert!(source.next(NOW).unwrap().is_none());
        let said = log.take();
        assert!(said.contains("INFO") && said.contains("ruroco-gate has reloaded"), "{said}");
        assert!(!said.contains("WARN"), "{said}");
        let connection = hand_over(&gate, &host, &ring);
        let new = new_ring(source, NOW);
        source.change_to(new);

        drop((connection, gate));
        let _ = fs::remove_file(&path);
        assert!(source.next(NOW).unwrap().is_none());
        let said = log.take();
        assert!(said.contains("WARN") && said.contains("lost the connection"), "{said}");
        assert!(!said.contains("has reloaded"), "{said}");
    });
}
