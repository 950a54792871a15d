//! A server as its unit has it: in real time, and with a limit to how long it goes on without sleeping.

use std::{
    fs,
    net::UdpSocket,
    os::fd::OwnedFd,
    process::Stdio,
    time::{Duration, Instant},
};

use nix::sys::{
    signal::Signal,
    socket::{setsockopt, sockopt::RcvBufForce},
};
use ruroco_lab::{
    files::Options,
    lab::{Lab, require_tool},
    many::Sender,
    network::{Family, PORT},
    wait::DEADLINE,
};

use super::udp_source::TAKE_SOCKET;

/// After so much of a CPU without sleeping the kernel kills the server: half of what the unit allows.
const LIMIT: Duration = Duration::from_secs(1);

/// The unit in which the kernel tells the time that a process had (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// How long a process has had a CPU, in user space and in the kernel (proc_pid_stat(5)); `None` if it
/// has ended.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let third_and_on: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let has_ended = ["Z", "X"].contains(&third_and_on[0]);
    let ticks = |field: usize| third_and_on[field - 3].parse::<u32>().unwrap();
    (!has_ended).then(|| TICK * (ticks(14) + ticks(15)))
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn who_has_a_key_keeps_the_server_busy_and_does_not_have_it_killed() {
    let mut lab = Lab::new(&Options { source: "udp", ..Options::default() });
    // So much waits in it that the server finds something also when the sender has to wait for a CPU.
    let socket = lab.network.server.enter(|| UdpSocket::bind(("::", PORT)).unwrap());
    setsockopt(&socket, RcvBufForce, &(32 << 20)).unwrap();
    // Authentic, and never accepted: nothing is written to the disk, for which it would sleep.
    let mut knock = lab.good_knock(Family::V4);
    knock.plaintext.counter = 1;
    let datagram = lab.seal(&knock);
    send(&lab, &datagram, 1000);

    for tool in ["chrt", "prlimit"] {
        require_tool(tool);
    }
    let limit = format!("--rttime={}", LIMIT.as_micros());
    let launcher = ["chrt", "--rr", "1", "prlimit", &limit, "sh", "-c", TAKE_SOCKET, "sh"];
    let mut command = lab.server_command_by(&launcher, &[]);
    command.stdin(Stdio::from(OwnedFd::from(socket)));
    lab.start_server_until(&mut command, &["ready"]);

    let pid = lab.server().pid();
    let end = Instant::now() + DEADLINE;
    while cpu_time(pid).expect("the server was killed") < LIMIT * 3 {
        assert!(Instant::now() < end, "the server is not kept busy");
        send(&lab, &datagram, 100);
    }
    lab.server().wait_for(&["refused", "old_counter"]);
    lab.server().signal(Signal::SIGTERM);
    assert!(lab.server().wait_for_end().success());
    lab.expect_silence();
}

/// Sends some thousands of copies from the client.
fn send(lab: &Lab, datagram: &[u8], times: usize) {
    lab.network.client.enter(|| {
        let mut sender = Sender::new(PORT);
        for _ in 0..times {
            sender.send(datagram);
        }
    });
}
