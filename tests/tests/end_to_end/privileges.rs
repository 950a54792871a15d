//! What the running programs may do, as the kernel sees them.

use std::{os::unix::fs::MetadataExt, process::Command};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, setsockopt,
            socket, sockopt::SendTimeout,
        },
        time::{TimeVal, TimeValLike},
    },
};
use ruroco_lab::{
    daemon::Daemon,
    files::Options,
    lab::Lab,
    network::Family,
    process::{Capabilities, Process},
    wait,
};
use rustix::thread::{Uid, set_thread_uid};
use std::os::fd::AsRawFd;

use crate::doors;

/// Bits of linux/capability.h.
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_NET_ADMIN: u32 = 12;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_server_is_another_user_without_any_capability() {
    let mut lab = Lab::running(&Default::default());
    // It has done its work once: nothing that it needs for that is still to be given up.
    lab.expect_next_knock_to_run(Family::V4);
    let user = lab.files.user().clone();
    let process = Process(lab.server().pid());
    let threads = process.threads();
    // Landlock and capabilities are a thread's.
    assert_eq!(threads.len(), 1);
    for thread in threads {
        let status = thread.status();
        let uid = user.uid.to_string();
        let gid = user.gid.to_string();
        assert_eq!(status["Uid"].split_whitespace().collect::<Vec<_>>(), [&uid; 4]);
        assert_eq!(status["Gid"].split_whitespace().collect::<Vec<_>>(), [&gid; 4]);
        assert_eq!(status["Groups"], "");
        assert_eq!(status["NoNewPrivs"], "1");
        let none =
            Capabilities { inheritable: 0, permitted: 0, effective: 0, bounding: 0, ambient: 0 };
        assert_eq!(thread.capabilities(), none);
        assert_eq!(status["Seccomp"], "2", "SECCOMP_MODE_FILTER");
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_server_holds_no_network_socket_in_xdp_mode() {
    let mut lab = Lab::running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    let process = Process(lab.server().pid());
    let sockets = process.sockets();
    assert!(!sockets.is_empty(), "at least those to gate and commander");
    // Of all sockets that it holds the kernel says that they are Unix sockets,
    let unix = process.sockets_of_kind("unix");
    for socket in &sockets {
        assert!(unix.contains(socket), "socket {socket} is not a Unix socket");
    }
    // and of none that it is one of the network.
    for kind in
        ["udp", "udp6", "udplite", "tcp", "tcp6", "raw", "raw6", "packet", "netlink", "icmp"]
    {
        let of_kind = process.sockets_of_kind(kind);
        assert!(!sockets.iter().any(|socket| of_kind.contains(socket)), "a {kind} socket");
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn network_sockets_would_be_seen() {
    // The counterpart of the test above: in `udp` mode the one that there is shows.
    let mut lab = Lab::running(&Options { source: "udp", ..Options::default() });
    let process = Process(lab.server().pid());
    let sockets = process.sockets();
    let of_kind = process.sockets_of_kind("udp6");
    assert!(sockets.iter().any(|socket| of_kind.contains(socket)));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_gate_keeps_the_three_capabilities_that_it_needs() {
    let mut lab = Lab::running(&Default::default());
    expect_capabilities(lab.gate(), &[CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_without_the_program_changes_tables_and_reads_keys() {
    let doors = doors::options(doors::LONG, "backend = \"nftables\"");
    let mut lab = Lab::running(&Options { source: "udp", ..doors });
    lab.start_gate_until(&["gate is ready"]);
    expect_capabilities(lab.gate(), &[CAP_DAC_READ_SEARCH, CAP_NET_ADMIN]);
}

/// Each thread of a gate has these capabilities and gets no others.
#[track_caller]
fn expect_capabilities(gate: &Daemon, capabilities: &[u32]) {
    let kept = capabilities.iter().map(|capability| 1 << capability).sum();
    for thread in Process(gate.pid()).threads() {
        let expected = Capabilities {
            inheritable: 0,
            permitted: kept,
            effective: kept,
            bounding: kept,
            ambient: 0,
        };
        assert_eq!(thread.capabilities(), expected);
        assert_eq!(thread.status()["NoNewPrivs"], "1");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_gate_gives_the_ring_to_the_servers_user_alone() {
    let mut lab = Lab::new(&Default::default());
    lab.start_commander();
    // No server yet: a second one would be turned away whoever it is.
    lab.start_gate();
    let path = lab.files.sockets().join("gate.sock");
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.uid(), lab.files.user().uid.as_raw());
    assert_eq!(metadata.mode() & 0o077, 0, "nobody else can connect");

    // Root passes every mode, so its connection is made, and must be turned away.
    let client =
        socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(client.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    match recv(client.as_raw_fd(), &mut [0; 64], MsgFlags::empty()) {
        Ok(0) | Err(Errno::ECONNRESET) => {}
        other => panic!("root was given {other:?}"),
    }
    lab.gate().wait_for(&["rejected the connection of another user", "uid=0"]);
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_flood_of_connections_neither_fills_the_gates_log_nor_keeps_a_knock_out() {
    // What somebody could do who has taken over the server.
    for server_is_there in [true, false] {
        let mut lab = Lab::new(&Default::default());
        lab.start_commander();
        lab.start_gate();
        if server_is_there {
            lab.start_server();
        }
        connect_often(&lab, 2_000);
        if !server_is_there {
            lab.start_server();
        }
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
        lab.expect_silence();
        // All that it has to say has been said when it has ended.
        lab.gate().signal(nix::sys::signal::Signal::SIGTERM);
        assert!(lab.gate().wait_for_end().success());
        let lines = lab.gate().lines();
        let (count, last) = (lines.len(), lines.last());
        assert!(count < 20, "{count} lines (server: {server_is_there}), the last one {last:?}");
    }
}

/// Connects to the gate as the server's user, and leaves again, this many times.
fn connect_often(lab: &Lab, count: usize) {
    let address = UnixAddr::new(&lab.files.sockets().join("gate.sock")).unwrap();
    let user = Uid::from_raw(lab.files.user().uid.as_raw());
    let flood = || {
        set_thread_uid(user).unwrap(); // of this thread alone, which ends with the flood
        for _ in 0..count {
            let flags = SockFlag::SOCK_CLOEXEC;
            let client = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
            let patience = TimeVal::seconds(wait::DEADLINE.as_secs().try_into().unwrap());
            setsockopt(&client, SendTimeout, &patience).unwrap();
            connect(client.as_raw_fd(), &address).unwrap();
        }
    };
    std::thread::scope(|scope| scope.spawn(flood).join().unwrap());
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_server_refuses_to_be_root() {
    let lab = Lab::new(&Default::default());
    let mut command = Command::new(ruroco_lab::programs::path("ruroco-server"));
    let mut server =
        Daemon::start("ruroco-server", command.arg("--config").arg(lab.files.config()));
    assert!(!server.wait_for_end().success());
    server.wait_for(&["the server does not run as root"]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_with_somebody_elses_program_is_refused_and_left_as_it_is() {
    let mut first = Lab::running(&Default::default());
    // Somebody else's program is that of another gate, which has its own pins.
    let other = Options { config: String::new(), ..Options::default() };
    let second = ruroco_lab::files::Files::new(first.files.user().clone(), &other);
    let mut command = first.network.server.command();
    ruroco_lab::programs::add_launcher(&mut command, None);
    command.arg(ruroco_lab::programs::path("ruroco-gate")).arg("--config").arg(second.config());
    let mut gate = Daemon::start("the second ruroco-gate", &mut command);
    assert!(!gate.wait_for_end().success());
    gate.wait_for(&["server0", "another XDP program"]);

    first.expect_next_knock_to_run(Family::V4);
    first.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_gate_takes_itself_off_when_it_is_told_to_end() {
    let mut lab = Lab::running(&Default::default());
    lab.gate().signal(nix::sys::signal::Signal::SIGTERM);
    assert!(lab.gate().wait_for_end().success());
    assert!(lab.capture.replies_from_gate().is_empty());
    // Now the host answers as one without a gate does.
    lab.send(Family::V4, b"anybody there?");
    assert_eq!(lab.capture.replies_from_gate().len(), 1);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_program_ends_within_a_second_of_being_told_to() {
    let mut lab = Lab::running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    for daemon in [Lab::server, Lab::commander, Lab::gate] {
        let daemon = daemon(&mut lab);
        let told = std::time::Instant::now();
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(daemon.wait_for_end().success());
        assert!(told.elapsed() < std::time::Duration::from_secs(1), "{daemon:?}");
    }
}
