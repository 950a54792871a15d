//! No candidate makes the server allocate memory, whatever becomes of it, and neither does waiting
//! for one: there is nothing in it for whoever sends many.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[path = "floors/harness.rs"]
#[expect(dead_code, reason = "the rest is for the other tests")]
mod harness;

use ruroco_daemon::clock::Now;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{self, Write},
    net::{SocketAddr, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use harness::{Host, NOW, SOURCE, START, knock};
use ruroco_common::{
    address::Address, candidate::Candidate, command::CommandHash, datagram::KeyId,
    plaintext::Plaintext,
};
use ruroco_daemon::{event_loop::Daemon, logging::journal::Journal, shares::Shares, wait::wait};
use ruroco_ipc::{order, private_socket::PrivateListener, slots};
use ruroco_server::{
    daemon::ServerDaemon, refusal::Refusal, refusal_log::RefusalLog, server::Server, source,
};
use rustix::{
    net::{RecvFlags, SendFlags, getsockname, recv, send},
    process::{Resource, Rlimit, geteuid, getrlimit, setrlimit},
};
use signal_hook::consts::SIGXFSZ;
use zerocopy::IntoBytes;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks for.
struct Counting;

// SAFETY: everything is passed on unchanged to an allocator that keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller keeps the contract of the allocator, to which this is passed on.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: as for `dealloc`.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as for this function.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often memory is allocated while this is done.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// What is logged, in memory that is there from the start.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How many candidates there are of each kind, and how often a key may knock.
const EACH: u16 = 300;

/// The keys, by what they are here for: to be accepted, with either cipher; to have knocked too
/// often; to knock when the disk is full, through a socket, when the commander is away, when its commands
/// have all the slots they may have; to want more than its share of what all keys may ask for; to have expired;
/// to come from elsewhere; to have to name an address.
const KEYS: u16 = 11;
const CHACHA: usize = 0;
const AES: usize = 1;
const TIRED: usize = 2;
const UNLUCKY: usize = 3;
const NETWORK: usize = 4;
const FORSAKEN: usize = 5;
const BUSY: usize = 6;
const GREEDY: usize = 7;
const EXPIRED: usize = 8;
const FOREIGN: usize = 9;
const NAMELESS: usize = 10;

/// How often the keys before the greedy one are let through by their rates, and its share.
const LET_THROUGH: u16 = 7 * EACH - 2;
const SHARE: u16 = EACH / 2;

/// Above all other counters.
const LATER: u128 = START + 1_000_000;

/// One candidate for each refusal that needs nothing else than the candidate.
fn refused(host: &Host) -> Vec<(Refusal, Candidate)> {
    let good = host.knock(CHACHA, LATER);
    let mut unknown = good;
    unknown.datagram.key_id = KeyId([0xff; 8]);
    let mut forged = good;
    forged.datagram.tag[0] ^= 1;
    let mut other_version = knock(LATER).encode();
    other_version[0] = 2;
    let elsewhere = Address::from_ipv4([203, 0, 113, 1]);
    let seal = |plaintext: Plaintext| host.seal(AES, plaintext.encode());
    let plaintext = knock(LATER);
    vec![
        (Refusal::Expired, Candidate { received_at: 0, ..good }),
        (Refusal::UnknownKey, unknown),
        (Refusal::Forged, forged),
        (Refusal::WrongVersion, host.seal(CHACHA, other_version)),
        (Refusal::KeyExpired, host.knock(EXPIRED, LATER)),
        (Refusal::SourceNotAllowed, host.knock(FOREIGN, LATER)),
        (Refusal::AddressRequired, host.knock(NAMELESS, LATER)),
        (Refusal::OldCounter, host.knock(AES, START)),
        (Refusal::FutureCounter, host.knock(AES, START + 86_400_000_000_000)),
        (Refusal::WrongDestination, seal(Plaintext { destination: elsewhere, ..plaintext })),
        (
            Refusal::WrongSource,
            seal(Plaintext { strict: true, claimed_source: Some(elsewhere), ..plaintext }),
        ),
        (
            Refusal::UnusableAddress,
            seal(Plaintext { claimed_source: Some(Address::from_ipv4([255; 4])), ..plaintext }),
        ),
        (
            Refusal::NonRoutableAddress,
            seal(Plaintext {
                claimed_source: Some(Address::from_ipv4([10, 0, 0, 1])),
                ..plaintext
            }),
        ),
        (
            Refusal::CommandNotAllowed,
            seal(Plaintext { command: CommandHash::of("other"), ..plaintext }),
        ),
        (Refusal::RateLimited, host.knock(TIRED, LATER)),
    ]
}

/// The server, and the commander's end of what it sends to.
struct Bench {
    daemon: ServerDaemon,
    /// Room for what the service manager is told.
    summary: String,
    commander: OwnedFd,
    /// How many orders have come.
    orders: u16,
}

impl Bench {
    fn take(&mut self, candidate: Result<&Candidate, Refusal>) {
        self.daemon.server.take(NOW, candidate);
        self.receive();
    }

    /// Takes an order, if there is one, and reports that it was rejected or is done already.
    fn receive(&mut self) {
        let mut record = [0; order::SIZE];
        let received = recv(&self.commander, &mut record[..], RecvFlags::DONTWAIT);
        if matches!(received, Ok((order::SIZE, _))) {
            self.orders += 1;
            let mut report = [slots::VERSION; 9];
            report[1..].copy_from_slice(&u64::from(self.orders).to_be_bytes());
            self.report(&report);
        }
    }

    fn report(&self, report: &[u8]) {
        send(&self.commander, report, SendFlags::DONTWAIT).unwrap();
    }

    /// One turn of the server's loop.
    fn turn(&mut self) {
        let [_, socket] = self.daemon.source.descriptors();
        wait([socket], Instant::now().checked_add(Duration::from_secs(5))).unwrap();
        self.daemon.take_batch(NOW).unwrap();
        self.daemon.server.tidy(NOW);
        self.summary.clear();
        self.daemon.summarise(&mut self.summary).unwrap();
        self.receive();
    }
}

/// Lets no file grow, or lets them again.
fn fill_disk(is_full: bool) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: is_full.then_some(0), maximum }).unwrap();
}

/// One test, because the log and the limit are those of the process.
#[test]
fn no_candidate_makes_the_server_allocate() {
    LOG.lock().unwrap().reserve(16 << 20);
    tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).init();
    // The limit would otherwise end this process.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).unwrap();
    let mut host = Host::with_configuration(
        KEYS,
        &format!(
            "source = \"udp\"\n\
             port = 1\n\
             listen = \"127.0.0.1\"\n\
             max_knocks_per_second_per_key = {EACH}\n\
             max_knocks_per_second = {}\n\
             allow_non_public_addresses = false\n\
             keys.key-{AES}.commands = [\"default\"]\n\
             keys.key-{EXPIRED}.expires = 2001-09-09\n\
             keys.key-{FOREIGN}.sources = [\"203.0.113.0/24\"]\n\
             keys.key-{NAMELESS}.require_address = true",
            LET_THROUGH + 2 * SHARE
        ),
    );
    let path = host.config.socket_dir.join(order::SOCKET);
    let listener = PrivateListener::listen(&path, geteuid().as_raw()).unwrap();
    let mut server = Server::new(
        host.config.read_again().or_problems().unwrap(),
        host.keys.clone(),
        host.open().unwrap(),
    );
    server = server.recording(RefusalLog::open(host.path().parent().unwrap()).unwrap());

    // What is made once: the connection to the commander, the log's buffer for a line.
    let commander = thread::spawn(move || {
        wait([Some(listener.as_fd())], None).unwrap();
        let commander = listener.accept().unwrap().unwrap();
        let nothing = slots::encode(0, std::iter::empty());
        send(&commander, &nothing, SendFlags::DONTWAIT).unwrap();
        (listener, commander)
    });
    server.take(NOW, Ok(&host.knock(TIRED, START + 1)));
    let (listener, commander) = commander.join().unwrap();
    host.config.listen.set_port(0); // the kernel's choice
    let source = source::open(&host.config).unwrap();
    let [_, socket] = source.descriptors();
    let address = SocketAddr::try_from(getsockname(socket.unwrap()).unwrap()).unwrap();
    let daemon = ServerDaemon::new(source, server);
    let mut bench = Bench { daemon, summary: String::with_capacity(1024), commander, orders: 0 };
    bench.receive();

    let accepted = |key: usize| -> Vec<Candidate> {
        (2..=u128::from(EACH)).map(|above| host.knock(key, START + above)).collect()
    };
    for key in [TIRED, CHACHA, AES] {
        // Other rules may make it allocate, and no candidate after them.
        bench.daemon.server.adopt(NOW, host.keys.clone()).unwrap();
        let knocks = accepted(key);
        let count = allocations(|| knocks.iter().for_each(|knock| bench.take(Ok(knock))));
        assert_eq!(count, 0, "accepted from key {key}");
    }
    let mut orders = 3 * (EACH - 1) + 1;
    assert_eq!(bench.orders, orders);

    for (refusal, candidate) in refused(&host) {
        let count = allocations(|| (0..EACH).for_each(|_| bench.take(Ok(&candidate))));
        assert_eq!(count, 0, "{refusal:?}");
    }
    assert_eq!(bench.orders, orders);

    let knock = host.knock(UNLUCKY, LATER);
    fill_disk(true);
    let count = allocations(|| (0..EACH).for_each(|_| bench.take(Ok(&knock))));
    fill_disk(false);
    assert_eq!(count, 0, "{:?}", Refusal::FloorNotPersisted);
    assert_eq!(bench.orders, orders);
    // What went wrong with the disk is told once in five seconds, which may allocate.
    bench.daemon.server.tidy(NOW);

    let knock = host.knock(BUSY, LATER);
    let mut busy = Shares::new(slots::SLOTS, 1);
    (0..slots::SLOTS / 2).for_each(|_| busy.take(knock.datagram.key_id));
    bench.report(&slots::encode(orders.into(), busy.taken()));
    let count = allocations(|| (0..EACH).for_each(|_| bench.take(Ok(&knock))));
    assert_eq!(count, 0, "{:?}", Refusal::TooManyRunning);
    assert_eq!(bench.orders, orders);
    bench.report(&slots::encode(orders.into(), std::iter::empty()));

    // The line about the knocks that found no slot is due: a line is text, and is made once in seconds.
    bench.daemon.server.tidy(NOW);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for above in 1..=u128::from(EACH) {
        // From the loopback interface, which is not public.
        let plaintext = Plaintext { claimed_source: Some(SOURCE), ..harness::knock(START + above) };
        let candidate = host.seal(NETWORK, plaintext.encode());
        client.send_to(candidate.datagram.as_bytes(), address).unwrap();
        client.send_to(b"too short", address).unwrap();
        assert_eq!(allocations(|| bench.turn()), 0);
    }
    orders += EACH;
    assert_eq!(bench.orders, orders);

    let share: Vec<_> = (1..=u128::from(SHARE)).map(|n| host.knock(GREEDY, START + n)).collect();
    let forsaken = host.knock(FORSAKEN, LATER);

    drop(listener);
    bench.commander = OwnedFd::from(client); // anything else: it closes the commander's end
    let count = allocations(|| (0..EACH).for_each(|_| bench.take(Ok(&forsaken))));
    assert_eq!(count, 0, "{:?}", Refusal::CommanderAway);

    // In vain, too, but it has had them.
    share.iter().for_each(|knock| bench.take(Ok(knock)));
    let knock = host.knock(GREEDY, LATER);
    let count = allocations(|| (0..EACH).for_each(|_| bench.take(Ok(&knock))));
    assert_eq!(count, 0, "{:?}", Refusal::GlobalRateLimited);

    // All of them were what they were to be.
    let later = Now { boot: NOW.boot + Duration::from_secs(60), ..NOW };
    bench.daemon.server.tidy(later);
    let log = LOG.lock().unwrap();
    let log = str::from_utf8(&log).unwrap();
    for refusal in Refusal::ALL {
        let is_away = refusal == Refusal::CommanderAway;
        let total = if is_away { EACH + SHARE } else { EACH };
        let (start, total) =
            (format!("refused reason={} ", refusal.name()), format!(" total={total}"));
        let told = log.lines().any(|line| line.contains(&start) && line.contains(&total));
        assert!(told, "no line with {start:?} and {total:?} in {log}");
    }
    assert_eq!(log.matches("accepted key=").count(), usize::from(orders));
    assert_eq!(log.matches("could not write the floors").count(), 1);
}

#[test]
fn no_line_for_the_journal_makes_the_server_allocate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let logging = Journal::connect(&path, tracing::Level::INFO).unwrap();
    let mut line = [0; 1024];
    let mut log = |key: &str, counter: u128| {
        let hash = CommandHash::of("default");
        tracing::info!(%key, command_hash = %hash, counter, reason = "x", "accepted");
        assert!(journal.recv(&mut line).unwrap() > 100);
    };
    tracing::subscriber::with_default(logging, || {
        log("a key with the longest name that there is", u128::MAX);
        assert_eq!(allocations(|| (0..300).for_each(|counter| log("laptop", counter))), 0);
    });
}
