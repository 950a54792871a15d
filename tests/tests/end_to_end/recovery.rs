//! Processes and interfaces that go and come back: each part finds the others again by itself, and
//! meanwhile nothing gets past the gate.

use std::{
    fs,
    net::UdpSocket,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
    },
};
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    knock::{Bytes, forge},
    lab::{Lab, udp_socket},
    network::{Family, gate},
    wait,
};

/// How many candidates the ring of 1 MiB holds: each takes 144 bytes and a header of 8
/// (linux/bpf.h), and one byte always stays free.
const RING_HOLDS: u64 = 6_898;

/// Keeps sending junk and old knocks of both families while `action` runs. All of it is for the
/// gate to drop: what reached the stack would be answered.
pub(crate) fn under_fire(lab: &mut Lab, action: impl FnOnce(&mut Lab)) {
    let fire: Vec<(Family, UdpSocket, Vec<Vec<u8>>)> = Family::BOTH
        .map(|family| {
            let forged = forge(lab.seal(&lab.good_knock(family))).to_vec();
            let datagrams = vec![vec![0; 94], vec![0; 10], vec![0; 1400], forged];
            (family, udp_socket(&lab.network.client, family.unspecified()), datagrams)
        })
        .into();
    let (done, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let fire_once = || {
        for (family, socket, datagrams) in &fire {
            for datagram in datagrams {
                // An interface that is gone takes nothing, and that is not what is tested.
                let _ = socket.send_to(datagram, gate(*family));
            }
        }
        rounds.fetch_add(1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fire_once();
                // Enough for any gap to be hit, and not so much that the ring overflows.
                thread::sleep(Duration::from_millis(2));
            }
        });
        let _end = EndOnDrop(&done);
        action(lab);
    });
    assert!(rounds.into_inner() > 1, "nothing was sent");
}

/// Ends the fire also when the action fails, so that the failure is reported.
pub(crate) struct EndOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn knocks_wait_in_the_ring_for_a_server_that_restarts() {
    let mut lab = Lab::running(&Default::default());
    under_fire(&mut lab, |lab| {
        lab.server().crash();
        lab.gate().wait_for(&["server disconnected"]);
        lab.knock(Family::V4, &[]);
        lab.start_server();
        lab.expect_one_run();
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_that_was_away_for_longer_than_the_ring_lasts_takes_the_next_knock() {
    // The one key may fill the ring.
    let options = Options { max_knocks_per_second_per_key: 5_000, ..Options::default() };
    let mut lab = Lab::running(&options);
    lab.expect_next_knock_to_run(Family::V4);
    lab.server().crash();

    let (before, sent) = (lab.verdicts(), RING_HOLDS + 100);
    let socket = udp_socket(&lab.network.client, Family::V6.unspecified());
    for _ in 0..sent {
        socket.send_to(&unwanted_knock(&lab), gate(Family::V6)).unwrap();
    }
    let after = wait::until("all of them to be judged", || {
        let now = lab.verdicts();
        (now.since(&before).values().sum::<u64>() >= sent).then_some(now)
    });
    let of = |verdict| after.of(verdict) - before.of(verdict);
    assert_eq!((of(Verdict::Candidate), of(Verdict::RingFull)), (RING_HOLDS, 100));

    lab.start_server();
    // The one that finds no room is lost; the next one is not.
    lab.server().wait_for(&["refused", "wrong_version"]);
    for family in Family::BOTH {
        wait_for_room(&lab);
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

/// An authentic packet, another one each time, that the server refuses.
fn unwanted_knock(lab: &Lab) -> Bytes {
    let mut knock = lab.good_knock(Family::V6);
    knock.version = 2;
    lab.seal(&knock)
}

/// Waits until the server has made room in the ring.
fn wait_for_room(lab: &Lab) {
    wait::until("room in the ring", || {
        let before = lab.verdicts();
        lab.send(Family::V6, &unwanted_knock(lab));
        let since = lab.verdicts().since(&before);
        since.contains_key(Verdict::Candidate.name()).then_some(())
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_crashed_stays_closed_and_is_replaced_without_a_gap() {
    let mut lab = Lab::running(&Default::default());
    under_fire(&mut lab, |lab| {
        for round in 1..=3 {
            lab.gate().crash();
            lab.start_gate();
            lab.server().wait_for_nth(round + 1, &["ready", "xdp"]);
            for family in Family::BOTH {
                lab.expect_next_knock_to_run(family);
            }
        }
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn while_the_gate_is_away_it_is_closed() {
    let mut lab = Lab::running(&Default::default());
    lab.gate().crash();
    for family in Family::BOTH {
        for _ in 0..100 {
            lab.send(family, b"anybody there?");
        }
    }
    lab.expect_silence();
    lab.start_gate();
    lab.server().wait_for_nth(2, &["ready"]);
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_while_the_gate_is_away_runs() {
    let mut lab = Lab::running(&Default::default());
    under_fire(&mut lab, |lab| {
        for round in 1..=3 {
            lab.gate().crash();
            // The program that it has left behind still fills the ring.
            for family in Family::BOTH {
                lab.expect_next_knock_to_run(family);
            }
            lab.start_gate();
            lab.server().wait_for_nth(round + 1, &["ready", "xdp"]);
            for family in Family::BOTH {
                lab.expect_next_knock_to_run(family);
            }
        }
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_cannot_start_takes_nothing_from_one_that_crashed() {
    let mut lab = Lab::running(&Default::default());
    lab.gate().crash();
    lab.network.server.ip("tuntap add mode tun name tun0\nlink set tun0 up\n");
    let good = fs::read_to_string(lab.files.config()).unwrap();
    let bad = good.replace("[\"server0\"]", "[\"server0\", \"tun0\"]");
    assert_ne!(good, bad);
    under_fire(&mut lab, |lab| {
        fs::write(lab.files.config(), bad).unwrap();
        let output = lab.gate_command().output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("tun0"), "{said}");
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
        fs::write(lab.files.config(), good).unwrap();
        lab.start_gate();
        lab.server().wait_for_nth(2, &["ready", "xdp"]);
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_from_before_a_new_gate_is_taken_out_of_the_old_ring() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&Default::default());
        lab.expect_next_knock_to_run(family);
        // A server that is slow: by the time it looks, the gate has died and been replaced.
        lab.server().signal(Signal::SIGSTOP);
        lab.gate().crash();
        lab.knock(family, &[]);
        lab.start_gate();
        lab.server().signal(Signal::SIGCONT);
        lab.expect_one_run();
        lab.server().wait_for_nth(2, &["ready", "xdp"]);
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_ends_at_once_also_while_the_gate_is_stuck() {
    for queue_is_full in [false, true] {
        let mut lab = Lab::new(&Default::default());
        lab.start_commander();
        lab.start_gate();
        lab.gate().signal(Signal::SIGSTOP);
        let path = lab.files.sockets().join("gate.sock");
        let queue = if queue_is_full { fill_queue(&path) } else { Vec::new() };
        let mut server = lab.server_command(&[]);
        lab.start_server_until(&mut server, &["waiting for the gate"]);
        let told = Instant::now();
        lab.server().signal(Signal::SIGTERM);
        assert!(lab.server().wait_for_end().success());
        let took = told.elapsed();
        assert!(took < Duration::from_secs(1), "it took {took:?} (full: {queue_is_full})");

        drop(queue);
        lab.gate().signal(Signal::SIGCONT);
        lab.start_server();
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
        lab.expect_silence();
    }
}

/// Connects to a socket whose owner does not accept, until there is no more room.
fn fill_queue(path: &Path) -> Vec<OwnedFd> {
    let address = UnixAddr::new(path).unwrap();
    let mut queue = Vec::new();
    loop {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let client = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        match connect(client.as_raw_fd(), &address) {
            Ok(()) => queue.push(client),
            Err(Errno::EAGAIN) => return queue,
            Err(error) => panic!("connect to {}: {error}", path.display()),
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_while_the_commander_is_away_is_not_used_up() {
    let mut lab = Lab::running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    let knock = lab.good_knock(Family::V6);
    under_fire(&mut lab, |lab| {
        lab.commander().crash();
        lab.send(Family::V6, &lab.seal(&knock));
        lab.expect_refusal("commander_away");
        lab.start_commander();
        // The same counter: the floor is where it was.
        lab.send(Family::V6, &lab.seal(&knock));
        lab.expect_one_run();
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
    });
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_that_comes_back_is_closed_before_it_is_up() {
    let mut lab = Lab::running(&Default::default());
    for round in 1..=2 {
        lab.network.disconnect_client();
        lab.gate().wait_for_nth(round, &["the interface has gone"]);
        assert_eq!(lab.status()["interfaces"][0]["attached"], false);
        under_fire(&mut lab, |lab| {
            lab.network.add_client_link();
            lab.gate().wait_for_nth(round + 1, &["attached", "server0", "native"]);
            lab.network.bring_client_link_up();
            for family in Family::BOTH {
                lab.expect_next_knock_to_run(family);
            }
        });
        assert_eq!(lab.status()["interfaces"][0]["attached"], true);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_starts_before_its_interface_waits_for_it() {
    let mut lab = Lab::new(&Default::default());
    lab.network.disconnect_client();
    lab.start_commander();
    lab.start_gate_until(&["this interface does not exist"]);
    lab.start_server();
    lab.network.add_client_link();
    lab.gate().wait_for(&["gate is attached"]);
    lab.network.bring_client_link_up();
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn programs_may_start_in_any_order() {
    let mut lab = Lab::new(&Default::default());
    let mut server = lab.server_command(&[]);
    lab.start_server_until(&mut server, &["waiting for the gate"]);
    lab.start_gate();
    lab.server().wait_for(&["ready", "xdp"]);
    lab.start_commander();
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}
