//! What the server needs in its sandbox, from the library that it is made of.

use ruroco_daemon::clock::Now;
use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixDatagram, process::ExitStatusExt},
    },
    process::Child,
    time::{Duration, Instant},
};

use ruroco_common::{
    address::Address, candidate::Candidate, command::CommandHash, plaintext::Plaintext,
};
use ruroco_daemon::{
    event_loop::Daemon,
    signals::{Request, Signals},
    wait::wait,
};
use ruroco_ipc::{
    handover::{self, Handover, memory},
    order,
    private_socket::{PrivateListener, send_descriptors},
    slots,
};
use ruroco_keys::named_key::NamedKey;
use ruroco_seal::Aead;
use ruroco_server::{
    daemon::{Event, ServerDaemon},
    floor_file::FloorFile,
    sandbox::{Needs, State},
    server::Server,
    source,
};
use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    net::{RecvFlags, SendFlags, recv, send},
    process::{Pid, Signal, geteuid, kill_process},
};

use super::host::{Host, Outcome, START, Wall};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// One thing that has to work.
pub(crate) struct Need {
    pub(crate) name: &'static str,
    /// What the process in the sandbox does; it panics if that does not work.
    pub(crate) meet: fn(&Host),
    /// What somebody outside has to do, and how the process has to end.
    outside: fn(&Host, Child) -> Result<(), String>,
}

/// Makes sure that the need is met.
pub(crate) fn judge(need: &Need) -> Result<&'static str, String> {
    let host = Host::new();
    let child = host.start(need.name, Wall::Up);
    (need.outside)(&host, child).map(|()| "works")
}

fn ends_well(_: &Host, child: Child) -> Result<(), String> {
    match Outcome::of(child) {
        Outcome::Done | Outcome::NoLandlock => Ok(()),
        other @ (Outcome::Failed(_) | Outcome::Ended(_)) => Err(format!("{other:?}")),
    }
}

/// Lets the process outside do something.
fn wait_for_outside() {
    println!("your turn");
    let mut answer = [0];
    assert_eq!(rustix::io::read(io::stdin(), &mut answer), Ok(1));
}

/// Waits for that, outside.
fn wait_for_turn(child: &mut Child) -> Result<(), String> {
    loop {
        let mut line = String::new();
        // Byte by byte, as what follows is somebody else's to read.
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::with_capacity(1, stdout).read_line(&mut line).unwrap();
        if line == "your turn\n" {
            return Ok(());
        }
        if line.is_empty() {
            let mut told = String::new();
            child.stderr.as_mut().unwrap().read_to_string(&mut told).unwrap();
            return Err(format!("it has ended too early: {told}"));
        }
    }
}

/// Ends it, outside.
fn go_on(child: &mut Child) {
    child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
}

/// A server in the sandbox that has taken no candidate yet.
fn server(host: &Host) -> Server {
    let (config, keys) = (host.config(), host.keys());
    let ids = keys.iter().map(|named| named.key.id);
    let floors = FloorFile::open(&config.state_dir, ids, START).unwrap();
    let server = Server::new(config, keys, floors);
    host.enter(None);
    server
}

/// The moment of all knocks.
fn now() -> Now {
    Now { epoch: START, boot: Duration::from_secs(1_000) }
}

fn knock(key: &NamedKey, number: u16) -> Candidate {
    let destination = Address::from_ipv4([192, 0, 2, 1]);
    let plaintext = Plaintext {
        command: CommandHash::of("default"),
        counter: START + u128::from(number),
        strict: false,
        claimed_source: None,
        destination,
    };
    Candidate {
        received_at: now().boot.as_nanos().try_into().unwrap(),
        source: Address::from_ipv4([198, 51, 100, 1]),
        destination,
        interface: 1,
        source_port: 1,
        destination_port: 80,
        datagram: Aead::new(&key.key).seal([3; 12], plaintext.encode()).unwrap(),
        padding: [0; 2],
    }
}

fn floors(host: &Host) -> u64 {
    fs::metadata(host.path("floors/floors")).unwrap().len()
}

/// Waits until `look` finds something.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        // Not by sleeping, which the server does not do.
        wait([None], Instant::now().checked_add(Duration::from_millis(5))).unwrap();
    }
}

/// A commander whose commands end at once.
struct Commander {
    connection: OwnedFd,
    read: u64,
}

impl Commander {
    fn accept(listener: &PrivateListener) -> Self {
        let connection = eventually("the server", || listener.accept().unwrap());
        let commander = Self { connection, read: 0 };
        commander.report();
        commander
    }

    fn report(&self) {
        let report = slots::encode(self.read, std::iter::empty());
        send(&self.connection, &report, SendFlags::NOSIGNAL).unwrap();
    }
}

/// Enough knocks for the floors to be written anew.
const MANY: u16 = 4_200;

pub(crate) const NEEDS: &[Need] = &[
    Need {
        name: "all of the sandbox can be had",
        meet: |host| {
            let report = host.enter_for(&Needs::of(&host.config(), None));
            let states = report.states().into_iter();
            let missing = states.filter(|(_, state)| **state != State::Enforced).count();
            // Only somebody with CAP_SETPCAP can empty the bounding set; Landlock is the kernel's.
            let by_others = usize::from(!geteuid().is_root());
            assert!(missing == by_others || report.files != State::Enforced, "{report}");
        },
        outside: ends_well,
    },
    Need {
        name: "carry out knocks, and write the floors anew",
        meet: |host| {
            let keys = host.keys();
            let mut server = server(host);
            wait_for_outside();
            for number in 1..=MANY {
                server.take(now(), Ok(&knock(&keys[0], number)));
                wait_for_outside();
                server.tidy(now());
            }
        },
        outside: |host, mut child| {
            let user = geteuid().as_raw();
            let commander =
                PrivateListener::listen(&host.path("run").join(order::SOCKET), user).unwrap();
            let mut connection = None;
            wait_for_turn(&mut child)?;
            go_on(&mut child);
            for number in 1..=MANY {
                // Halfway another commander takes its place.
                if number == MANY / 2 {
                    connection = None;
                }
                let commander = connection.get_or_insert_with(|| Commander::accept(&commander));
                wait_for_turn(&mut child)?;
                let mut order = [0; order::SIZE];
                let taken = recv(&commander.connection, &mut order, RecvFlags::DONTWAIT);
                let (length, _) = taken.map_err(|error| format!("order {number}: {error}"))?;
                assert_eq!(length, order::SIZE);
                commander.read += 1;
                commander.report();
                if number == MANY / 2 - 1 {
                    connection = None;
                }
                go_on(&mut child);
            }
            ends_well(host, child)?;
            // Made, then written anew at the start, and once more on the way.
            let text = fs::read(host.path("floors/floors")).unwrap();
            let has = |generation| {
                text.windows(34)
                    .any(|part| part == format!("ruroco floors v2: {generation:016x}").as_bytes())
            };
            assert!(has(3) && !has(2), "never written anew");
            Ok(())
        },
    },
    Need {
        name: "replace floors that somebody has removed",
        meet: |host| {
            let keys = host.keys();
            let mut server = server(host);
            let before = floors(host);
            wait_for_outside();
            for number in 1..=3 {
                server.take(now(), Ok(&knock(&keys[0], number)));
                assert_eq!(floors(host), before, "after {number}");
            }
        },
        outside: |host, mut child| {
            let commander = host.path("run").join(order::SOCKET);
            let commander = PrivateListener::listen(&commander, geteuid().as_raw()).unwrap();
            wait_for_turn(&mut child)?;
            fs::remove_file(host.path("floors/floors")).unwrap();
            go_on(&mut child);
            let _commander = Commander::accept(&commander);
            ends_well(host, child)
        },
    },
    Need {
        name: "take a ring and keys from each gate that comes",
        meet: |host| {
            let source = source::open(&host.config()).unwrap();
            let mut daemon = ServerDaemon::new(source, server(host));
            for _ in 0..2 {
                eventually("the gate", || {
                    daemon.on(Event::Gate).unwrap();
                    // None is due once there is a gate.
                    daemon.source.next_attempt().is_none().then_some(())
                });
                wait_for_outside();
                eventually("the gate's end", || {
                    daemon.on(Event::Gate).unwrap();
                    daemon.source.next_attempt()
                });
            }
        },
        outside: |host, mut child| {
            let path = host.path("run").join(handover::SOCKET);
            for _ in 0..2 {
                let gate = PrivateListener::listen(&path, geteuid().as_raw()).unwrap();
                let server = eventually("the server", || gate.accept().unwrap());
                let ring_size = 1 << 16;
                // What the kernel makes of the mapping does not matter here.
                let ring = memfd_create("ring", MemfdFlags::CLOEXEC).unwrap();
                ftruncate(&ring, 1 << 20).unwrap();
                let message = Handover { ring_size }.encode();
                let keys = handover::keys::encode(&host.keys());
                let keys = memory::put(keys.as_bytes()).unwrap();
                send_descriptors(server.as_fd(), &message, &[ring.as_fd(), keys.as_fd()]).unwrap();
                wait_for_turn(&mut child)?;
                go_on(&mut child);
            }
            ends_well(host, child)
        },
    },
    Need {
        name: "read configuration and keys again, also new ones",
        meet: |host| {
            assert_eq!(
                (host.config().max_knocks_per_second_per_key, host.keys().len()),
                (20_000, 1)
            );
            host.enter(None);
            wait_for_outside();
            assert_eq!((host.config().max_knocks_per_second_per_key, host.keys().len()), (7, 2));
        },
        outside: |host, mut child| {
            wait_for_turn(&mut child)?;
            let text = fs::read_to_string(host.path("etc/config.toml")).unwrap();
            let another = Host::new();
            fs::copy(another.path("etc/laptop.key"), host.path("etc/phone.key")).unwrap();
            fs::write(host.path("etc/new"), text.replace("20_000", "7")).unwrap();
            fs::rename(host.path("etc/new"), host.path("etc/config.toml")).unwrap();
            go_on(&mut child);
            ends_well(host, child)
        },
    },
    Need {
        name: "read again what symbolic links lead to",
        meet: |host| {
            for name in ["etc/config.toml", "etc/laptop.key"] {
                let target = host.path("elsewhere").join(name.rsplit_once('/').unwrap().1);
                fs::rename(host.path(name), &target).unwrap();
                std::os::unix::fs::symlink(&target, host.path(name)).unwrap();
            }
            host.enter(None);
            assert_eq!(
                (host.config().max_knocks_per_second_per_key, host.keys().len()),
                (20_000, 1)
            );
        },
        outside: ends_well,
    },
    Need {
        name: "receive from the network",
        meet: |host| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            host.enter(Some(socket.as_fd()));
            let error = socket.recv_from(&mut [0; 95]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        },
        outside: ends_well,
    },
    Need {
        name: "tell a service manager how it is",
        meet: |host| {
            let listener = UnixDatagram::bind(host.path("run/notify")).unwrap();
            let mut needs = Needs::of(&host.config(), None);
            needs.service_manager = true;
            host.enter_for(&needs);
            let socket = UnixDatagram::unbound().unwrap();
            socket.connect(host.path("run/notify")).unwrap();
            socket.send(b"READY=1").unwrap();
            assert_eq!(listener.recv(&mut [0; 16]).unwrap(), 7);
        },
        outside: ends_well,
    },
    Need {
        name: "have memory, random numbers and the time",
        meet: |host| {
            host.enter(None);
            let mut bytes = Vec::new();
            for number in 0..64_u8 {
                bytes.resize(bytes.len() + (1 << 20), number);
            }
            let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
            drop(bytes);
            let map: HashMap<usize, usize> = (0..10_000).map(|number| (number, sum)).collect();
            assert_eq!(map[&7], sum);
            assert!(Now::read().epoch > START);
        },
        outside: ends_well,
    },
    Need {
        name: "end when it is told to",
        meet: |host| {
            let mut signals = Signals::handle().unwrap();
            host.enter(None);
            println!("your turn");
            let deadline = Instant::now() + PATIENCE;
            while signals.next_request() != Some(Request::End) {
                assert!(Instant::now() < deadline, "there was no signal");
                wait([Some(signals.as_fd())], Some(deadline)).unwrap();
            }
        },
        outside: |host, mut child| {
            wait_for_turn(&mut child)?;
            // Stopped and let go on in the middle of its waiting.
            let pid = Pid::from_child(&child);
            for signal in [Signal::STOP, Signal::CONT, Signal::TERM] {
                kill_process(pid, signal).unwrap();
            }
            ends_well(host, child)
        },
    },
    Need {
        name: "end when it panics",
        meet: |host| {
            host.enter(None);
            process_abort();
        },
        outside: |_, child| ends_by(child, libc::SIGABRT),
    },
    Need {
        name: "end when it reaches for memory that is not there",
        meet: |host| {
            host.enter(None);
            // SAFETY: it is not: nothing is mapped there, and this process is to end of it.
            unsafe { std::ptr::without_provenance::<u8>(16).read_volatile() };
        },
        outside: |_, child| ends_by(child, libc::SIGSEGV),
    },
    #[cfg(target_arch = "x86_64")]
    Need {
        name: "end by a call by the conventions of another architecture",
        meet: |host| {
            host.enter(None);
            // SAFETY: `getpid` by the conventions of i386, which changes nothing but the register.
            unsafe { std::arch::asm!("int 0x80", inlateout("eax") 20 => _) };
        },
        // A kernel without these conventions ends it, too, by another signal.
        outside: |_, child| {
            ends_by(child, libc::SIGSYS).or_else(|other| match other.contains("signal: 11") {
                true => Ok(()),
                false => Err(other),
            })
        },
    },
];

/// As a program does whose panics do not unwind.
fn process_abort() -> ! {
    std::process::abort()
}

fn ends_by(child: Child, signal: i32) -> Result<(), String> {
    let output = child.wait_with_output().unwrap();
    match output.status.signal() {
        Some(ended_by) if ended_by == signal => Ok(()),
        _ => Err(format!("{}: {output:?}", output.status)),
    }
}
